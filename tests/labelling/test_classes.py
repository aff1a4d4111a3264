import jax
import numpy as np
import pytest

from fmx.labelling import classes


def test_logits_are_enlarged_with_half_pixel_centres_by_hand():
  # Two pixels 0 and 1 on four: centres at -1/4, 1/4, 3/4, 5/4 of the old grid; the border repeats.
  resized = classes.resize_logits(np.array([[[0.0], [1.0]]]), 1, 4)
  np.testing.assert_allclose(resized[0, :, 0], [0, 0.25, 0.75, 1], atol=1e-6)


@pytest.mark.parametrize('num_classes', [1, 2, 5, 9])
@pytest.mark.parametrize('size', [(61, 57), (32, 32), (20, 75)])
def test_resizing_is_that_of_the_network(num_classes, size):
  logits = np.random.default_rng(0).normal(size=(32, 32, num_classes)).astype(np.float32)
  expected = jax.image.resize(logits, (*size, num_classes), 'bilinear', antialias=False)
  actual = classes.resize_logits(logits, *size)
  np.testing.assert_allclose(actual, expected, atol=1e-4)
  assert actual.dtype == np.float32


def test_the_class_is_chosen_after_resizing_not_before():
  # Scores of class 1 (class 0 has 0): -1 and 3. Six pixels have their centres at
  # (x + 1/2) / 3 - 1/2 = -1/3, 0, 1/3, 2/3, 1, 4/3: scores -1, -1, 1/3, 5/3, 3, 3.
  # Enlarging the classes instead would give 0 0 0 1 1 1.
  logits = np.array([[[0.0, -1.0], [0.0, 3.0]]])
  np.testing.assert_array_equal(classes.predict(logits, 1, 6), [[0, 0, 1, 1, 1, 1]])
