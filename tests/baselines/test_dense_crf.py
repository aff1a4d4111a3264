import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs import primary
from fmx.baselines import dense_crf
from fmx.baselines.dense_crf import DenseCRF

OPTIONS = {name: value for name, value in primary.dense_crf().items() if name != 'apply'}
SMALL = DenseCRF(5, 1.0, 1.5, 3.0, 4.0, 30.0)  # For frames of a few pixels.


def softmax(scores):
  weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
  return weights / weights.sum(axis=-1, keepdims=True)


def draw(seed, height=9, width=11, classes=3):
  """A frame of two colours with noise, and probabilities that know little of it."""
  rng = np.random.default_rng(seed)
  frame = np.full((height, width, 3), (60.0, 90, 120))
  frame[:, width // 2 :] += 80
  frame = np.clip(frame + rng.normal(0, 5, frame.shape), 0, 255).astype(np.uint8)
  return frame, softmax(rng.normal(size=(height, width, classes))).astype(np.float32)


def kernels(crf, frame):
  """Both, between all pairs of pixels, normalised and weighted: [N, N]."""
  height, width, _ = frame.shape
  places = np.stack(np.mgrid[:height, :width], axis=-1).reshape(-1, 2)
  colors = frame.reshape(-1, 3).astype(float)
  apart = ((places[:, None] - places) ** 2).sum(axis=-1)
  unlike = ((colors[:, None] - colors) ** 2).sum(axis=-1)
  near = np.exp(-apart / (2 * crf.position_deviation**2))
  alike = np.exp(-apart / (2 * crf.bilateral_deviation**2) - unlike / (2 * crf.color_deviation**2))
  total = 0
  for weight, kernel in ((crf.position_weight, near), (crf.bilateral_weight, alike)):
    root = np.sqrt(kernel.sum(axis=1))
    total = total + weight * kernel / root / root[:, None]
  return total


def brute_force(crf, frame, probs):
  """Kraehenbuehl and Koltun's Algorithm 1, pair by pair."""
  scores = np.log(probs.astype(float)).reshape(-1, probs.shape[-1])
  pairs = kernels(crf, frame)
  found = softmax(scores)
  for _ in range(crf.iterations):
    found = softmax(scores + pairs @ found)
  return found.reshape(probs.shape)


class ExactFilter:
  """In place of the lattice."""

  def __init__(self, points):
    distances = ((points[:, None] - points) ** 2).sum(axis=-1)
    self._kernel = np.exp(-distances / 2)

  def __call__(self, values):
    return (self._kernel @ values).astype(np.float32)


@pytest.mark.parametrize('seed', range(3))
def test_the_mean_field_is_that_of_all_pairs(seed, monkeypatch):
  frame, probs = draw(seed)
  expected = brute_force(SMALL, frame, probs)
  assert np.abs(expected - probs).max() > 0.3
  close = SMALL.refine(frame, probs)
  assert np.abs(close - expected).max() < 0.06  # The lattice is an approximation.
  assert (close.argmax(axis=-1) == expected.argmax(axis=-1)).mean() > 0.97
  monkeypatch.setattr(dense_crf, 'Lattice', ExactFilter)
  # All but that is exact, down to what the kernel of positions leaves out beyond 4 deviations.
  np.testing.assert_allclose(SMALL.refine(frame, probs), expected, atol=2e-3)


def test_two_pixels_by_hand():
  # Only the kernel of positions, deviation 1, weight 2: k = exp(-1/2) = 0.606531 between the two,
  # n = 1.606531. Messages: (0.9 + 0.606531 · 0.4) / n = 0.711230 and 0.288770 to the first,
  # (0.4 + 0.606531 · 0.9) / n = 0.588770 and 0.411230 to the second. Scores differ by
  # ln 9 + 2 · 0.422460 = 3.042145 and ln(2/3) + 2 · 0.177540 = -0.050385.
  crf = DenseCRF(1, 2.0, 1.0, 0.0, 1.0, 1.0)
  probs = np.array([[[0.9, 0.1], [0.4, 0.6]]], np.float32)
  found = crf.refine(np.zeros((1, 2, 3), np.uint8), probs)
  np.testing.assert_allclose(found[0, :, 0], [0.954431, 0.487406], atol=1e-4)


def test_borders_go_where_colours_change():
  frame = np.full((48, 64, 3), 80, np.uint8)
  frame[:, 32:] = 160
  noise = np.random.default_rng(0).integers(-3, 4, frame.shape)
  frame = (frame + noise).astype(np.uint8)
  is_right = np.arange(64) >= 27  # What the network says is five pixels off.
  probs = np.where(is_right[:, None], (0.3, 0.7), (0.7, 0.3)).astype(np.float32)
  found = DenseCRF(**OPTIONS).refine(frame, np.tile(probs, (48, 1, 1))).argmax(axis=-1)
  assert (found == (np.arange(64) >= 32)).mean() > 0.99


@given(seed=st.integers(0, 99), classes=st.integers(1, 4))
@settings(max_examples=15)
def test_probabilities_stay_probabilities_and_classes_have_no_order(seed, classes):
  frame, probs = draw(seed, classes=classes)
  found = SMALL.refine(frame, probs)
  assert (found.shape, found.dtype) == (probs.shape, np.float32)
  assert found.min() >= 0
  np.testing.assert_allclose(found.sum(axis=-1), 1, atol=1e-5)
  np.testing.assert_allclose(SMALL.refine(frame, probs[..., ::-1])[..., ::-1], found, atol=1e-4)


def test_without_weights_or_iterations_nothing_changes():
  frame, probs = draw(0)
  for change in ({'iterations': 0}, {'position_weight': 0.0, 'bilateral_weight': 0.0}):
    found = dataclasses.replace(SMALL, **change).refine(frame, probs)
    np.testing.assert_allclose(found, probs, atol=1e-6)


def test_certainty_and_impossibility_are_borne():
  frame, _ = draw(0)
  probs = np.zeros((*frame.shape[:2], 3), np.float32)
  probs[..., 1] = 1
  found = SMALL.refine(frame, probs)
  np.testing.assert_allclose(found, probs, atol=1e-6)


def test_a_frame_of_one_pixel():
  found = SMALL.refine(np.zeros((1, 1, 3), np.uint8), np.full((1, 1, 2), 0.5, np.float32))
  np.testing.assert_allclose(found, 0.5)


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'iterations': -1}, 'dense_crf.iterations is -1; it must be 0 or more.'),
    ({'color_deviation': 0.0}, 'dense_crf.color_deviation is 0.0; it must be above 0.'),
    ({'bilateral_weight': float('nan')}, 'dense_crf.bilateral_weight is nan; it must be 0 or more'),
  ],
)
def test_what_makes_no_sense_gets_one_sentence(change, message):
  with pytest.raises(ValueError, match=message):
    DenseCRF(**OPTIONS | change)


def test_sizes_must_agree():
  frame, probs = draw(0)
  with pytest.raises(ValueError, match=r'The frame is \(9, 11\), the probabilities \(8, 11\)'):
    SMALL.refine(frame, probs[:8])
