import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fmx.data import finder_targets
from fmx.models import finder

TINY = finder.FinderNetwork(widths=(4, 4, 8, 8), blocks=(1, 0, 1, 0), features=4)


def test_each_cell_says_fourteen_numbers_and_first_that_faces_are_rare():
  frames = jnp.zeros((2, 64, 96, 3), jnp.uint8)
  variables = TINY.init(jax.random.key(0), frames)
  output = TINY.apply(variables, frames)
  assert output.shape == (2, 8, 12, finder.CHANNELS)
  assert output.dtype == jnp.float32
  assert jax.nn.sigmoid(output[..., finder.HEAT]).max() < 0.2


def test_sides_that_do_not_divide_are_refused():
  with pytest.raises(ValueError, match='48x64; both sides must be multiples of 32'):
    TINY.init(jax.random.key(0), jnp.zeros((1, 48, 64, 3), jnp.uint8))


def test_patches_hold_the_pixels_row_by_row():
  frames = np.arange(32 * 32 * 3).reshape(1, 32, 32, 3)
  (patch,) = np.asarray(finder.patches(jnp.asarray(frames)))[0, 2:3, 5]
  np.testing.assert_array_equal(patch.reshape(4, 4, 3), frames[0, 8:12, 20:24])


def test_twice_as_large_repeats_each_position():
  x = jnp.arange(6.0).reshape(1, 2, 3, 1)
  large = finder.twice_as_large(x)
  np.testing.assert_array_equal(large[0, :, :, 0], np.kron(x[0, :, :, 0], np.ones((2, 2))))


def test_the_data_knows_the_network():
  assert finder_targets.STRIDE == finder.STRIDE
  assert finder_targets.UNIT_SIZE == finder.UNIT_SIZE
  assert finder_targets.CHANNELS == finder.CHANNELS
