"""Boxes from landmarks and masks, crops and pastes."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfds_300vw import boxes

SEEDS = st.integers(0, 2**32 - 1)


def test_the_face_box_of_a_face_worked_by_hand():
  # x 100..140, y 50..110: centre (120, 80), half side round(1.3 * (40 + 60) / 4) = round(32.5)
  # = 33; pixels 87..153 and 47..113.
  points = np.array([[100, 50], [140, 110.0]])
  box = boxes.face_box(points, 480, 640)
  assert box.dtype == np.int64
  assert box.tolist() == [87, 47, 154, 114]


def test_halves_of_the_face_box_are_rounded_up():
  # Half side 1.3 * (3 + 5) / 4 = 2.6 -> 3. Centres (1.5, 2.5) -> (2, 3), (12.5, 12.5) -> (13, 13),
  # (11.5, 12.5) -> (12, 13); rounding to even would take 12.5 to 12.
  assert boxes.face_box(np.array([[0, 0], [3, 5]]), 50, 50).tolist() == [0, 0, 6, 7]
  assert boxes.face_box(np.array([[11, 10], [14, 15]]), 50, 50).tolist() == [10, 10, 17, 17]
  assert boxes.face_box(np.array([[10, 10], [13, 15]]), 50, 50).tolist() == [9, 10, 16, 17]


def test_the_face_box_is_cut_off_at_the_border():
  # Centre (5, 95), half side round(1.3 * (30 + 30) / 4) = round(19.5) = 20.
  points = np.array([[-10, 80], [20, 110]])
  assert boxes.face_box(points, 100, 64).tolist() == [0, 75, 26, 100]


def test_the_region_box_of_points_worked_by_hand():
  # x 20..30, y 40..44 over both frames: side 1.6 * 10 = 16 around (25, 42), which is (25.5, 42.5)
  # from the image's edge: 17.5 -> 18 and 34.5 -> 35, halves up.
  points = np.array([[[20, 40], [26, 44]], [[22, 41], [30, 43.0]]])
  assert boxes.region_box(points, 100, 100).tolist() == [18, 35, 34, 51]
  assert boxes.region_box(points, 45, 30).tolist() == [18, 35, 30, 45]


@given(SEEDS, st.booleans())
@settings(max_examples=100, deadline=None)
def test_region_boxes_hold_their_points_and_stay_inside(seed, noisy):
  rng = np.random.default_rng(seed)
  height, width = rng.integers(2, 300, 2)
  points = rng.uniform(-20, 320, 2) + rng.uniform(0, 80, (5, 12, 2))
  inside = ((points > -0.5) & (points < np.array([width, height]) - 0.5)).all(axis=-1)
  if not inside.any():
    return
  x0, y0, x1, y1 = boxes.region_box(points, height, width, rng=rng if noisy else None)
  assert 0 <= x0 < x1 <= width
  assert 0 <= y0 < y1 <= height
  seen = points[inside]
  # A noisy box may lose a pixel at its rim to rounding.
  assert (seen >= np.array([x0, y0]) - 1.5).all()
  assert (seen <= np.array([x1, y1]) + 0.5).all()


@given(SEEDS, st.integers(-200, 200), st.integers(-200, 200))
@settings(max_examples=60, deadline=None)
def test_boxes_move_with_the_face_by_whole_pixels(seed, right, down):
  points = np.round(np.random.default_rng(seed).uniform(400, 500, (68, 2)) * 16) / 16
  moved = points + [right, down]
  for box in (boxes.face_box, boxes.region_box):
    np.testing.assert_array_equal(
      box(moved, 1000, 1000), box(points, 1000, 1000) + [right, down, right, down]
    )


def test_noise_stays_within_its_bounds_and_reaches_them():
  rng = np.random.default_rng(0)
  box = np.array([1000, 1000, 1100, 1040])  # Side 1.6 * 100 = 160; centre (1050, 1020).
  drawn = np.array([boxes.enlarge(box, 1.6, rng=rng) for _ in range(2000)])
  sides = drawn[:, 2] - drawn[:, 0]
  np.testing.assert_array_equal(sides, drawn[:, 3] - drawn[:, 1])
  # 160 * 0.85 = 136, 160 * 1.15 = 184; centres within 0.1 * 160 = 16, and half a pixel of rounding.
  assert (sides.min(), sides.max()) == (136, 184)
  centers = (drawn[:, :2] + drawn[:, 2:]) / 2 - [1050, 1020]
  assert np.abs(centers).max() <= 16.5
  assert (np.abs(centers).max(axis=0) > 15.5).all()
  np.testing.assert_allclose(centers.mean(axis=0), 0, atol=1)
  np.testing.assert_allclose(sides.mean(), 160, atol=1.5)


def test_noise_comes_from_the_given_generator_alone():
  points = np.array([[40, 40], [60, 50.0]])
  draws = [
    boxes.region_box(points, 200, 200, rng=np.random.default_rng(seed)).tolist()
    for seed in (1, 1, 2)
  ]
  assert draws[0] == draws[1] != draws[2]
  quiet = boxes.region_box(points, 200, 200, rng=np.random.default_rng(1), shift=0, scale=0)
  assert quiet.tolist() == boxes.region_box(points, 200, 200).tolist()


@pytest.mark.parametrize('box', [boxes.face_box, boxes.region_box])
@pytest.mark.parametrize('point', [[-9, 5], [5, -9], [99, 5], [5, 99]])
def test_landmarks_wholly_outside_are_an_error(box, point):
  with pytest.raises(ValueError, match='wholly outside the image of 50 x 40 pixels'):
    box(np.full((68, 2), point), 40, 50)


@pytest.mark.parametrize('box', [boxes.face_box, boxes.region_box])
@pytest.mark.parametrize('value', [np.nan, np.inf, 1e300])
def test_landmarks_that_are_no_pixels_are_an_error(box, value):
  with pytest.raises(ValueError, match='finite'):
    box(np.array([[1, 2], [3, value]]), 40, 50)


@given(st.floats(-0.49, 49.49), st.floats(-0.49, 39.49), SEEDS)
@settings(max_examples=60, deadline=None)
def test_a_face_of_one_point_still_gives_two_pixels(x, y, seed):
  rng = np.random.default_rng(seed)
  for box in (
    boxes.face_box(np.full((68, 2), [x, y]), 40, 50),
    boxes.region_box(np.full((68, 2), [x, y]), 40, 50, rng=rng),
  ):
    assert (box[2:] - box[:2] >= [1, 1]).all()
    assert (box >= 0).all()
    assert (box[2:] <= [50, 40]).all()


@pytest.mark.parametrize('axis', [0, 1])
@pytest.mark.parametrize('ends', [(-40, -0.4), (59.4, 99)])
def test_a_box_that_touches_the_image_by_a_hair_is_not_empty(axis, ends):
  # The points reach just into the first or the last pixel of 60; noise and rounding lose it.
  points = np.full((2, 2), 30.0)
  points[:, axis] = ends
  for seed in range(50):
    box = boxes.region_box(points, 60, 60, rng=np.random.default_rng(seed), margin=0.5)
    low, high = box[axis], box[axis + 2]
    assert (low == 0) if ends[0] < 0 else (high == 60)
    assert high - low >= boxes.MIN_SIDE


def test_boxes_are_fixed_within_a_window_and_follow_from_one_to_the_next():
  # 7 frames: windows 0..4 and 5..6. The point moves by 10 pixels a frame.
  points = np.array([[[100 + 10 * t, 200], [110 + 10 * t, 204]] for t in range(7)], np.float64)
  found = boxes.window_boxes(points, 480, 640)
  assert found.shape == (7, 4)
  for part in (slice(0, 5), slice(5, 7)):
    expected = boxes.region_box(points[part], 480, 640)
    assert (found[part] == expected).all()
  assert found[4].tolist() != found[5].tolist()
  noisy = boxes.window_boxes(points, 480, 640, rng=np.random.default_rng(0))
  assert len(np.unique(noisy, axis=0)) == 2


def test_a_window_outside_the_image_is_named():
  points = np.full((12, 4, 2), 10.0)
  points[5:10] = -50
  with pytest.raises(ValueError, match=re.escape('Frames 5 to 9 of the clip: The landmarks lie')):
    boxes.window_boxes(points, 40, 50)


def test_a_window_of_no_frames_is_an_error():
  with pytest.raises(ValueError, match='at least one frame, not 0'):
    boxes.window_boxes(np.ones((3, 4, 2)), 40, 50, window=0)


def test_the_box_of_a_mask_is_tight_over_all_frames():
  mask = np.zeros((2, 8, 9), bool)
  mask[0, 3, 2] = mask[1, 5, 7] = True
  assert boxes.mask_box(mask).tolist() == [2, 3, 8, 6]
  assert boxes.mask_box(mask[0]).tolist() == [2, 3, 3, 4]
  assert boxes.mask_box(np.zeros((2, 8, 9), bool)) is None


@pytest.mark.parametrize('mask', [np.zeros((4, 4), np.uint8), np.zeros(4, bool)])
def test_a_mask_that_is_none_is_an_error(mask):
  with pytest.raises(ValueError, match='A mask must be bool'):
    boxes.mask_box(mask)


def test_an_enlarged_box_keeps_its_centre_and_may_leave_the_image():
  # Side 1.6 * max(10, 5) = 16 around (5, 2.5): x -3..13, y -5.5 -> -5 (halves up) ..11.
  assert boxes.enlarge(np.array([0, 0, 10, 5]), 1.6).tolist() == [-3, -5, 13, 11]
  assert boxes.enlarge(np.array([7, 7, 7, 7]), 1.6).tolist() == [6, 6, 8, 8]


@given(*[st.integers(-30, 60)] * 4)
@settings(max_examples=200, deadline=None)
def test_a_crop_is_what_the_box_shares_with_the_image_and_pastes_back(x0, y0, x1, y1):
  image = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
  rows, columns = np.mgrid[:20, :30]
  inside = (x0 <= columns) & (columns < x1) & (y0 <= rows) & (rows < y1)
  box = np.array([x0, y0, x1, y1])
  if not inside.any():
    for use in (lambda: boxes.crop(image, box), lambda: boxes.paste(image, image, box)):
      with pytest.raises(ValueError, match='empty or wholly outside'):
        use()
    return
  cut = boxes.crop(image, box)
  np.testing.assert_array_equal(cut.reshape(-1, 3), image[inside])
  canvas = np.zeros_like(image)
  pasted = boxes.paste(canvas, cut, box)
  np.testing.assert_array_equal(pasted, np.where(inside[..., None], image, 0))
  assert not canvas.any()  # Left as it was.


def test_crops_of_label_images_work_too():
  labels = np.arange(12).reshape(3, 4)
  assert boxes.crop(labels, np.array([1, 1, 9, 3])).tolist() == [[5, 6, 7], [9, 10, 11]]


def test_a_patch_of_another_size_is_an_error():
  with pytest.raises(ValueError, match=re.escape('The patch is (4, 4), but the box holds (2, 3)')):
    boxes.paste(np.zeros((5, 5)), np.zeros((4, 4)), np.array([2, 3, 6, 7]))


def test_a_clip_is_seen_whole_or_not():
  points = np.zeros((4, 3, 2)) + np.arange(0, 40, 10)[:, None, None]  # At 0, 10, 20 and 30.
  assert boxes.all_seen(points, 40, 40, window=1)
  assert not boxes.all_seen(points, 40, 25, window=1)
  assert boxes.all_seen(points, 40, 25, window=2)  # The second window is at 20 and 30.
  assert not boxes.all_seen(points - 15, 40, 40, window=2)
