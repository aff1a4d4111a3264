import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fmx.data import transforms
from fmx.data.transforms import Augmentation, augment, resize_frame, resize_labels

EVERYTHING = Augmentation(
  flip=0.5,
  scale=0.3,
  shift=0.2,
  rotation=30,
  brightness=0.2,
  contrast=0.3,
  color=0.2,
  saturation=0.5,
  blur=1.5,
  noise=10,
  occlusion=0.5,
)


def random_window(rng, num_frames=3, side=24):
  frames = rng.integers(0, 256, (num_frames, side, side, 3), dtype=np.uint8)
  labels = rng.integers(0, 5, (num_frames, side, side), dtype=np.uint8)
  return frames, labels


def test_frames_grow_bilinearly_between_pixel_centres():
  frame = np.zeros((2, 2, 3), np.uint8)
  frame[:, 1] = 100
  # Centres of the 4 new pixels lie at -0.25, 0.25, 0.75, 1.25 of the old: 0, 25, 75, 100.
  np.testing.assert_array_equal(resize_frame(frame, 4)[0, :, 0], [0, 25, 75, 100])


def test_frames_shrink_without_aliasing():
  frame = np.zeros((64, 64, 3), np.uint8)
  frame[:, ::4] = 255  # A quarter is white; picking every fourth column would find all or none.
  inner = resize_frame(frame, 16)[:, 2:-2]
  assert np.abs(inner.astype(int) - 64).max() <= 8


def test_labels_take_the_class_at_the_pixel_centre():
  labels = np.array([[1, 2], [3, 4]], np.uint8)
  np.testing.assert_array_equal(
    resize_labels(labels, 4), [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
  )
  # The centres of 2 pixels across 5 lie at 1.25 and 3.75, in pixels 1 and 3; across 3 at 0.75 and
  # 2.25, in pixels 0 and 2.
  labels = np.arange(15, dtype=np.uint8).reshape(5, 3)
  np.testing.assert_array_equal(resize_labels(labels, 2), [[3, 5], [9, 11]])


@given(
  hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40)), st.integers(1, 50)
)
def test_resized_labels_gain_no_class(labels, size):
  assert set(np.unique(resize_labels(labels, size))) <= set(np.unique(labels))


def test_growing_labels_by_a_whole_factor_repeats_pixels():
  labels = np.random.default_rng(0).integers(0, 5, (7, 7), dtype=np.uint8)
  np.testing.assert_array_equal(resize_labels(labels, 21), labels.repeat(3, 0).repeat(3, 1))


def test_windows_of_differing_frame_sizes_get_one_size():
  frames = [np.full((h, w, 3), 7, np.uint8) for h, w in ((9, 12), (20, 6))]
  labels = [np.full(frame.shape[:2], 3, np.uint8) for frame in frames]
  resized, resized_labels = transforms.resize_window(frames, labels, 10)
  np.testing.assert_array_equal(resized, np.full((2, 10, 10, 3), 7))
  np.testing.assert_array_equal(resized_labels, np.full((2, 10, 10), 3))


def test_augmentation_is_off_by_default():
  frames, labels = random_window(np.random.default_rng(0))
  found, found_labels = augment(frames, labels, Augmentation(), np.random.default_rng(1))
  np.testing.assert_array_equal(found, frames)
  np.testing.assert_array_equal(found_labels, labels)


def test_flip_mirrors_frames_and_labels_and_keeps_classes():
  frames, labels = random_window(np.random.default_rng(0))
  found, found_labels = augment(frames, labels, Augmentation(flip=1), np.random.default_rng(1))
  np.testing.assert_array_equal(found, frames[:, :, ::-1])
  np.testing.assert_array_equal(found_labels, labels[:, :, ::-1])


def test_a_flip_of_probability_one_half_comes_half_of_the_time():
  frames, labels = random_window(np.random.default_rng(0), 1, 4)
  rng = np.random.default_rng(1)
  flipped = [
    (augment(frames, labels, Augmentation(flip=0.5), rng)[0] != frames).any() for _ in range(400)
  ]
  assert 0.4 < np.mean(flipped) < 0.6


def test_a_shift_by_whole_pixels_moves_frames_and_labels_alike():
  frames, labels = random_window(np.random.default_rng(0), 2, 8)
  moved, moved_labels = transforms.warp(frames, labels, transforms.affine(8, shift=(2, -1)))
  # 2 to the right and 1 up: what is new, 2 columns on the left and 1 row below, is 0.
  np.testing.assert_array_equal(moved[:, :7, 2:], frames[:, 1:, :6])
  np.testing.assert_array_equal(moved_labels[:, :7, 2:], labels[:, 1:, :6])
  for image in (moved, moved_labels):
    assert not image[:, 7].any()
    assert not image[:, :, :2].any()


def test_a_quarter_turn_is_clockwise_about_the_centre():
  frames, labels = random_window(np.random.default_rng(0), 2, 8)
  turned, turned_labels = transforms.warp(frames, labels, transforms.affine(8, angle=90))
  np.testing.assert_array_equal(turned, np.rot90(frames, -1, axes=(1, 2)))
  np.testing.assert_array_equal(turned_labels, np.rot90(labels, -1, axes=(1, 2)))


def test_scaling_enlarges_about_the_centre():
  labels = np.random.default_rng(0).integers(0, 5, (1, 9, 9), dtype=np.uint8)
  frames = np.zeros((1, 9, 9, 3), np.uint8)
  _, scaled = transforms.warp(frames, labels, transforms.affine(9, scale=3))
  # Each of the 3 × 3 pixels in the middle fills 3 × 3.
  np.testing.assert_array_equal(scaled[0], labels[0, 3:6, 3:6].repeat(3, 0).repeat(3, 1))


def test_the_strongest_shift_and_scale_are_drawn_and_not_exceeded():
  labels = np.zeros((1, 101, 101), np.uint8)
  labels[0, 50, 50] = 1
  frames = np.repeat(labels[..., None], 3, axis=-1)
  rng = np.random.default_rng(0)
  places = []
  for _ in range(300):
    _, moved = augment(frames, labels, Augmentation(shift=0.1), rng)
    places.append(np.argwhere(moved[0])[0] - 50)
  assert np.abs(places).max() == 10  # 0.1 × 101 pixels, rounded.
  assert np.min(places) == -10


@pytest.mark.parametrize('seed', range(5))
def test_labels_stay_on_their_pixels_whatever_the_geometry(seed):
  rng = np.random.default_rng(seed)
  labels = rng.integers(1, 5, (2, 6, 6), dtype=np.uint8).repeat(12, 1).repeat(12, 2)
  frames = np.repeat(50 * labels[..., None], 3, axis=-1)
  geometry = Augmentation(flip=0.5, scale=0.3, shift=0.2, rotation=30)
  frames, labels = augment(frames, labels, geometry, rng)
  painted = 50 * labels.astype(int)
  away_from_edges = np.ones(labels.shape, bool)
  for down in (-1, 0, 1):
    for right in (-1, 0, 1):
      away_from_edges &= labels == np.roll(labels, (down, right), (1, 2))
  away_from_edges[:, [0, -1]] = away_from_edges[:, :, [0, -1]] = False  # Where np.roll goes round.
  assert away_from_edges.mean() > 0.5
  difference = frames[away_from_edges] - painted[away_from_edges][:, None]
  assert np.abs(difference).max() <= 1  # Half a pixel apart it would be 25 or more.


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.sets(st.integers(0, 4), min_size=1))
def test_augmented_labels_gain_no_class_but_background(seed, classes):
  rng = np.random.default_rng(seed)
  labels = rng.choice(sorted(classes), (2, 16, 16)).astype(np.uint8)
  frames = rng.integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
  found, found_labels = augment(frames, labels, EVERYTHING, rng)
  assert set(np.unique(found_labels)) <= classes | {0}
  assert found.shape == frames.shape
  assert found.dtype == found_labels.dtype == np.uint8


def test_all_frames_of_a_window_share_one_draw():
  frames, labels = random_window(np.random.default_rng(0), 1)
  frames, labels = frames.repeat(3, 0), labels.repeat(3, 0)
  without_noise = dataclasses.replace(EVERYTHING, noise=0)
  for seed in range(10):
    found, found_labels = augment(frames, labels, without_noise, np.random.default_rng(seed))
    assert (found == found[:1]).all()
    assert (found_labels == found_labels[:1]).all()


def test_the_same_generator_draws_the_same_and_another_does_not():
  frames, labels = random_window(np.random.default_rng(0))
  kept = frames.copy(), labels.copy()
  first, again, other = (
    augment(frames, labels, EVERYTHING, np.random.default_rng(seed)) for seed in (1, 1, 2)
  )
  for one, two in zip(first, again):
    np.testing.assert_array_equal(one, two)
  assert (first[0] != other[0]).any()
  for image, before in zip((frames, labels), kept):  # The input is left as it was.
    np.testing.assert_array_equal(image, before)


def test_recolor_by_hand():
  def recolored(*rgb, **changes):
    return transforms.recolor(np.array(rgb, np.uint8).reshape(1, 1, 1, 3), **changes).ravel()

  np.testing.assert_array_equal(recolored(100, 0, 250, brightness=10.0), [110, 10, 255])
  # 127.5 + 3 × (100 − 127.5) = 45.
  np.testing.assert_array_equal(recolored(100, 100, 0, contrast=3.0), [45, 45, 0])
  np.testing.assert_array_equal(recolored(100, 100, 100, gains=(2.0, 1.0, 0.5)), [200, 100, 50])
  # The grey of pure red is 0.299 × 255 = 76.2; half saturation is halfway to it.
  np.testing.assert_array_equal(recolored(255, 0, 0, saturation=0.0), [76, 76, 76])
  np.testing.assert_array_equal(recolored(255, 0, 0, saturation=0.5), [166, 38, 38])


def test_blur_keeps_flat_colour_and_smooths_the_rest():
  flat = np.full((2, 16, 16, 3), 90, np.uint8)
  np.testing.assert_array_equal(transforms.blur(flat, 2.0), flat)
  frames, _ = random_window(np.random.default_rng(0))
  assert transforms.blur(frames, 2.0).std() < frames.std() / 3
  np.testing.assert_array_equal(transforms.blur(frames, 0.0), frames)


def test_noise_has_the_asked_for_spread_and_differs_between_frames():
  frames = np.full((2, 64, 64, 3), 128, np.uint8)
  noise = transforms.add_noise(frames, 10.0, np.random.default_rng(0)).astype(int) - 128
  assert abs(noise.mean()) < 0.3
  assert 9.5 < noise.std() < 10.5
  assert np.abs(noise).max() == 29  # 10 × the normal quantile of 255.5 / 256, 2.885.
  assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.05


def test_noise_stops_at_black_and_white():
  rng = np.random.default_rng(0)
  assert transforms.add_noise(np.full((1, 32, 32, 3), 255, np.uint8), 20.0, rng).min() > 150
  assert transforms.add_noise(np.zeros((1, 32, 32, 3), np.uint8), 20.0, rng).max() < 100


def test_an_occluding_patch_hides_frames_but_not_labels():
  frames, labels = random_window(np.random.default_rng(0), 2, 40)
  patch = Augmentation(occlusion=1, occlusion_size=0.5)
  for seed in range(20):
    found, found_labels = augment(frames, labels, patch, np.random.default_rng(seed))
    np.testing.assert_array_equal(found_labels, labels)
    changed = (found != frames).any(axis=(0, -1))
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    assert 5 <= np.ptp(rows) + 1 <= 20  # From an eighth to half of the side.
    assert 5 <= np.ptp(columns) + 1 <= 20
    inside = found[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    assert len(np.unique(inside.reshape(-1, 3), axis=0)) == 1


def test_augmentation_is_made_from_a_plain_mapping():
  options = {'flip': 0.5, 'noise': 4}
  assert Augmentation(**options) == Augmentation(flip=0.5, noise=4)


@pytest.mark.parametrize(
  ('options', 'legal'),
  [
    ({'flip': 1.5}, 'flip is 1.5; it must be at least 0 and at most 1'),
    ({'scale': 1.0}, 'scale is 1.0; it must be at least 0 and below 1'),
    ({'rotation': -1}, 'rotation is -1; it must be at least 0 and at most 180'),
    ({'noise': float('nan')}, 'noise is nan'),
  ],
)
def test_impossible_strengths_are_refused_by_name(options, legal):
  with pytest.raises(ValueError, match=legal):
    Augmentation(**options)
