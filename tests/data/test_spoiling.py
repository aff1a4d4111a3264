"""What comes between a camera and a face."""

import dataclasses

import numpy as np
import pytest

from fmx.data import spoiling
from fmx.data.spoiling import Spoiling, spoil

SIDE = 48
EYES = np.array([[16.0, 20.0], [32.0, 20.0]])
OPTIONS = {
  'occluders': 1.0,
  'glasses': 1.0,
  'brightness': 0.3,
  'contrast': 0.5,
  'color': 0.3,
  'gamma': 0.8,
  'gray': 1.0,
  'blur': 3.0,
  'motion_blur': 1.0,
  'low_resolution': 1.0,
  'noise': 20.0,
  'jpeg': 1.0,
}


def picture(seed=0):
  """Smooth colours with some texture."""
  rng = np.random.default_rng(seed)
  x, y = np.meshgrid(np.linspace(0, 200, SIDE), np.linspace(20, 220, SIDE))
  smooth = np.stack([x, y, (x + y) / 2], axis=-1)
  return np.clip(smooth + rng.normal(0, 12, smooth.shape), 0, 255).astype(np.uint8)


def spoilt(seed=0, donor=None, **options):
  return spoil(picture(), Spoiling(**options), np.random.default_rng(seed), eyes=EYES, donor=donor)


@pytest.mark.parametrize('seed', range(5))
def test_with_everything_off_a_picture_stays_as_it_is(seed):
  np.testing.assert_array_equal(spoilt(seed), picture())


@pytest.mark.parametrize('option', OPTIONS)
def test_each_option_does_something_and_leaves_the_picture_that_it_is_given(option):
  frame = picture()
  changed = [
    spoil(frame, Spoiling(**{option: OPTIONS[option]}), np.random.default_rng(seed), eyes=EYES)
    for seed in range(12)
  ]
  np.testing.assert_array_equal(frame, picture())
  for found in changed:
    assert (found.dtype, found.shape) == (np.uint8, frame.shape)
  assert sum((found != frame).any() for found in changed) >= 3
  if option != 'gray':  # Grey is grey.
    assert any((changed[0] != found).any() for found in changed)


@pytest.mark.parametrize('option', OPTIONS)
def test_the_same_seed_spoils_alike(option):
  first, second = (spoilt(3, **{option: OPTIONS[option]}) for _ in range(2))
  np.testing.assert_array_equal(first, second)


def test_everything_at_once_is_a_picture_still():
  for seed in range(30):
    found = spoilt(
      seed, donor=lambda rng: rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8), **OPTIONS
    )
    assert (found.dtype, found.shape) == (np.uint8, (SIDE, SIDE, 3))
    assert found.std() > 0


def test_a_probability_is_how_often():
  often = sum((spoilt(seed, gray=0.25) != picture()).any() for seed in range(400))
  assert often == pytest.approx(100, abs=30)


def test_a_grey_picture_is_grey():
  red, green, blue = np.moveaxis(spoilt(gray=1.0).astype(int), -1, 0)
  assert np.abs(red - green).max() <= 1
  assert np.abs(green - blue).max() <= 1


def test_glasses_lie_about_the_eyes_and_need_them():
  away = np.ones((SIDE, SIDE), bool)
  away[6:34, 4:44] = False
  for seed in range(20):
    found = spoilt(seed, glasses=1.0)
    assert (found != picture()).any()
    np.testing.assert_array_equal(found[away], picture()[away])
  without = spoil(picture(), Spoiling(glasses=1.0), np.random.default_rng(0))
  np.testing.assert_array_equal(without, picture())


def test_an_occluder_shows_a_piece_of_the_donor():
  def donor(rng):
    return np.full((SIDE, SIDE, 3), (255, 0, 255), np.uint8)

  def share(donors):
    hidden = [
      spoilt(seed, donor, occluders=1.0, donors=donors, occluder_size=1.0) for seed in range(60)
    ]
    return np.mean([((found == (255, 0, 255)).all(axis=-1)).any() for found in hidden])

  assert share(0.0) == 0
  assert share(1.0) > 0.6


def test_larger_occluders_hide_more():
  def hidden(size):
    frames = [spoilt(seed, occluders=1.0, occluder_size=size) for seed in range(60)]
    return np.mean([(found != picture()).any(axis=-1).mean() for found in frames])

  assert 0 < hidden(0.2) < 0.5 * hidden(0.9)


@pytest.mark.parametrize('shape', sorted({shape.__name__ for shape in spoiling.SHAPES}))
def test_every_shape_is_an_opacity_and_hides_something(shape):
  make = getattr(spoiling, shape)
  masks = [make(SIDE, 0.6 * SIDE, np.random.default_rng(seed)) for seed in range(20)]
  for mask in masks:
    assert (mask.dtype, mask.shape) == (np.float32, (SIDE, SIDE))
    assert mask.min() >= 0
    assert mask.max() <= 1
  assert sum(mask.any() for mask in masks) >= 15
  assert np.mean(masks) < 0.6


@pytest.mark.parametrize('length', [0.1, 1.0, 4.8, 11.0])
def test_a_streak_keeps_the_brightness_and_has_its_length(length):
  for seed in range(10):
    kernel = spoiling._streak(length, np.random.default_rng(seed))
    assert kernel.sum() == pytest.approx(1.0)
    assert kernel.shape[0] == kernel.shape[1]
    assert kernel.shape[0] % 2 == 1
    rows, columns = np.nonzero(kernel)
    across = np.hypot(np.ptp(rows), np.ptp(columns))
    assert abs(across - length) <= 1.5


def test_blur_and_low_resolution_take_detail_away():
  def detail(frame):
    return np.abs(np.diff(frame.astype(int), axis=1)).mean()

  for options in ({'motion_blur': 1.0}, {'low_resolution': 1.0, 'lowest_resolution': 0.3}):
    frames = [spoilt(seed, **options) for seed in range(20)]
    assert np.mean([detail(frame) for frame in frames]) < 0.8 * detail(picture())


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'occluders': 1.2}, 'spoiling.occluders is 1.2; it must be from 0 to 1.0'),
    ({'jpeg': -0.1}, 'spoiling.jpeg is -0.1'),
    ({'noise': -1.0}, 'spoiling.noise is -1.0; it must be from 0 to inf'),
    ({'blur': float('nan')}, 'spoiling.blur is nan'),
  ],
)
def test_what_is_out_of_range_is_named(options, message):
  with pytest.raises(ValueError, match=message):
    Spoiling(**options)


def test_every_option_is_tried_here():
  names = {field.name for field in dataclasses.fields(Spoiling)}
  assert names == OPTIONS.keys() | {'occluder_size', 'donors', 'lowest_resolution'}
