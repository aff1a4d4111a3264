import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmx.baselines import smoothing


def clips(seed, length):
  rng = np.random.default_rng(seed)
  return smoothing.softmax(rng.normal(size=(length, 2, 3, 4))).astype(np.float32)


def test_the_weights_are_those_of_a_gaussian_of_five_frames():
  # exp(-0.5 · (d / 0.6)²) is 1, 0.249352 and 0.003866 at d = 0, 1 and 2. In the middle their sum is
  # 1 + 2 · 0.249352 + 2 · 0.003866 = 1.506436; on the first frame, without the two before it,
  # 1 + 0.249352 + 0.003866 = 1.253218; on the second, 1.502570.
  probs = np.zeros((7, 1, 1, 1), np.float32)
  probs[3] = 1  # One frame, and its share in each of the others.
  found = smoothing.smooth(probs).ravel()
  shares = [0, 0.003866 / 1.502570, 0.249352 / 1.506436, 1 / 1.506436]
  np.testing.assert_allclose(found, [*shares, *shares[2::-1]], atol=2e-6)
  probs = np.zeros((7, 1, 1, 1), np.float32)
  probs[0] = 1
  found = smoothing.smooth(probs).ravel()
  expected = [1 / 1.253218, 0.249352 / 1.502570, 0.003866 / 1.506436, 0, 0, 0, 0]
  np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.mark.parametrize('length', [1, 2, 3, 5, 9])
def test_each_frame_is_the_weighted_mean_of_those_that_are_there(length):
  probs = clips(0, length)
  found = smoothing.smooth(probs, window=5, deviation=0.9)
  for t in range(length):
    near = range(max(t - 2, 0), min(t + 3, length))
    weights = np.array([np.exp(-0.5 * ((s - t) / 0.9) ** 2) for s in near])
    expected = np.tensordot(weights / weights.sum(), probs[list(near)], axes=1)
    np.testing.assert_allclose(found[t], expected, atol=1e-6)


@given(seed=st.integers(0, 99), length=st.integers(1, 12))
@settings(max_examples=20, deadline=None)
def test_probabilities_stay_probabilities_and_time_has_no_direction(seed, length):
  probs = clips(seed, length)
  found = smoothing.smooth(probs)
  assert found.shape == probs.shape
  assert found.dtype == np.float32
  np.testing.assert_allclose(found.sum(axis=-1), 1, atol=1e-5)
  assert found.min() >= 0
  np.testing.assert_allclose(smoothing.smooth(probs[::-1])[::-1], found, atol=1e-6)


def test_a_clip_that_does_not_change_and_a_window_of_one_stay_as_they_are():
  still = np.repeat(clips(1, 1), 6, axis=0)
  np.testing.assert_allclose(smoothing.smooth(still), still, atol=1e-6)
  probs = clips(2, 6)
  np.testing.assert_array_equal(smoothing.smooth(probs, window=1), probs)


def test_softmax_is_over_classes_and_bears_large_logits():
  probs = smoothing.softmax(np.array([[1000.0, 1000.0, 0.0], [0.0, np.log(3), -np.inf]]))
  np.testing.assert_allclose(probs, [[0.5, 0.5, 0], [0.25, 0.75, 0]])


@pytest.mark.parametrize(('window', 'deviation'), [(4, 0.6), (0, 0.6), (-1, 0.6), (5, 0), (5, -1)])
def test_what_is_no_gaussian_is_refused(window, deviation):
  with pytest.raises(ValueError, match='is no Gaussian'):
    smoothing.smooth(clips(0, 3), window=window, deviation=deviation)
