"""Contrast stretching."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmx.data.levels import levels, missing_gain, stretched


def frames(number=5, seed=0, height=64, width=48):
  rng = np.random.default_rng(seed)
  return rng.integers(0, 256, (number, height, width, 3), np.uint8)


def spans(found):
  low, high = levels(found)
  return high - low


def test_in_fair_light_nothing_changes():
  fair = frames()
  assert stretched(fair) is fair


@pytest.mark.parametrize('dim', [lambda x: x // 8, lambda x: 170 + x // 8, lambda x: 255 - x // 20])
def test_what_is_dark_or_pale_is_spread(dim):
  found = stretched(dim(frames()))
  assert (found.dtype, found.shape) == (np.uint8, frames().shape)
  np.testing.assert_allclose(spans(found), 90, atol=6)
  for one, other in zip(found, dim(frames())):
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.98


def test_the_range_that_is_wanted_may_be_another():
  pale = 100 + frames() // 5
  np.testing.assert_allclose(spans(stretched(pale)), 90, atol=6)
  assert stretched(pale, 30.0) is pale
  np.testing.assert_allclose(spans(stretched(100 + frames() // 20, 30.0)), 30, atol=4)


def test_only_the_weak_channels_of_coloured_light_are_spread():
  red = frames()
  red[..., 1:] //= 10
  found = stretched(red)
  np.testing.assert_array_equal(found[..., 0], red[..., 0])
  assert (spans(found)[1:] > 80).all()


def test_one_dark_frame_stays_dark_and_so_does_one_of_fair_light_among_dark_ones():
  flash = frames()
  flash[2] //= 10
  assert stretched(flash) is flash
  dark = frames() // 10
  dark[2] = frames()[2]
  found = stretched(dark)
  assert spans(found[[0, 1, 3, 4]]).min() > 80
  np.testing.assert_array_equal(found[2], dark[2])


def test_frames_that_fade_are_all_in_fair_light():
  fading = np.stack([frame // by for frame, by in zip(frames(), (6, 7, 8, 9, 10))])
  assert spans(stretched(fading)).min() > 65


@pytest.mark.parametrize(('level', 'low', 'high'), [(0, 0, 60), (128, 118, 138), (255, 195, 255)])
@pytest.mark.parametrize('size', [(1, 1), (3, 200), (40, 40)])
def test_of_one_colour_it_stays_and_nothing_breaks(level, low, high, size):
  found = stretched(np.full((2, *size, 3), level, np.uint8))
  assert len(np.unique(found)) == 1
  assert low <= found[0, 0, 0, 0] <= high


@given(seed=st.integers(0, 99), gain=st.floats(0.02, 1), offset=st.floats(0, 200))
@settings(max_examples=25)
def test_the_order_of_values_stays(seed, gain, offset):
  dim = np.clip(frames(2, seed, 20, 20) * gain + offset, 0, 255).astype(np.uint8)
  found = stretched(dim)
  for frame, channel in np.ndindex(2, 3):
    before, after = dim[frame, ..., channel].ravel(), found[frame, ..., channel].ravel()
    order = np.argsort(before, kind='stable')
    assert (np.diff(after[order].astype(int)) >= 0).all()


def test_gain_is_bounded():
  np.testing.assert_allclose(
    missing_gain(np.array([0.0, 10, 10, 0]), np.array([0.0, 40, 100, 255])), [12, 3, 1, 1]
  )
