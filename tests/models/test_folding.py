import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_weights
from flax import linen as nn
from flax import traverse_util

from fmx.models.folding import fold_batch_norm


def frames_of(region):
  shape = (2, 64, 64, 3) if region == 'finder' else (2, 1, 32, 32, 3)
  return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize('region', ['primary', 'finder'])
def test_the_network_says_the_same_and_batch_norm_only_adds(region):
  model, frames = tiny_weights.model(region), frames_of(region)
  before = jax.tree.map(np.copy, model.variables)
  folded = fold_batch_norm(model.network, model.variables, frames)
  expected, found = (
    jax.tree.leaves(jax.jit(model.network.apply)(variables, frames))[0]
    for variables in (model.variables, folded)
  )
  assert expected.std() > 0.01  # It tells cells apart: the comparison counts.
  np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)
  jax.tree.map(np.testing.assert_array_equal, model.variables, before)
  assert jax.tree.map(np.shape, folded) == jax.tree.map(np.shape, before)
  flat = traverse_util.flatten_dict(folded, sep='/')
  of = {end: [v for name, v in flat.items() if name.endswith(end)] for end in ('/mean', '/scale')}
  assert all((mean == 0).all() for mean in of['/mean'])
  assert all((scale == 1).all() for scale in of['/scale'])
  epsilon = np.float32(1e-5 if region == 'finder' else 1.001e-5)
  variances = [value for name, value in flat.items() if name.endswith('/var')]
  assert variances
  assert all((variance + epsilon == 1).all() for variance in variances)


class Lonely(nn.Module):
  @nn.compact
  def __call__(self, x):
    return nn.BatchNorm(use_running_average=True, name='norm')(x)


def test_a_batch_norm_with_nothing_to_fold_it_into_stays():
  x = jnp.zeros((1, 2, 2, 3))
  variables = Lonely().init(jax.random.key(0), x)
  jax.tree.map(np.testing.assert_array_equal, fold_batch_norm(Lonely(), variables, x), variables)
