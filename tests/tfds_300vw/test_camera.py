import numpy as np
import pytest
from small_datasets import face

from tfds_300vw import camera, face_mask

WHOLE = np.array([0, 0, 240, 220])


def views(seed=0, num_frames=5, strength=1.0, landmarks=None):
  landmarks = face(120, 110, 120) if landmarks is None else landmarks
  rng = np.random.default_rng(seed)
  return camera.film(landmarks, num_frames, frame_rate=25.0, rng=rng, strength=strength)


def dots(points, height=220, width=240):
  """A black image with a soft white dot at each point."""
  rows, columns = np.mgrid[:height, :width]
  image = np.zeros((height, width))
  for x, y in points:
    image += 240 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 2.0**2))
  return np.repeat(image.astype(np.uint8)[..., None], 3, axis=2)


def middle(image, near, reach=7):
  """The centre of mass of the dot near a point, x then y."""
  rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
  weight = image[..., 0] * (np.hypot(columns - near[0], rows - near[1]) < reach)
  return np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()


@pytest.mark.parametrize('seed', range(5))
def test_moved_points_land_on_the_moved_pixels(seed):
  points = np.stack(np.meshgrid([70, 95, 120, 145, 170], [60, 85, 110, 135, 160]), -1).reshape(
    -1, 2
  )
  image = dots(points)
  for view in views(seed):
    frame, moved = view.render(image, WHOLE), view.move(points)
    assert np.abs(moved - points).max() > 1
    for near in moved:
      assert np.abs(middle(frame, near) - near).max() < 0.3


def test_a_push_on_its_own_moves_its_centre_by_its_shift():
  # One push of 2 px to the right, Gaussian of 10 px, at (50, 40). The way back from a point m is
  # m - 2 exp(-|m - c|²/200), so what ends at the centre comes from 2 px to its left, and
  # what ends 10 px above the centre, from 2 exp(-1/2) = 1.2131 px to its left.
  view = camera.View(
    affine=np.eye(2, 3),
    centers=np.array([[50.0, 40.0]]),
    reaches=np.array([10.0]),
    shifts=np.array([[2.0, 0.0]]),
    gain=1.0,
  )
  points = np.array([[48.0, 40.0], [50 - 1.2131, 30.0], [300.0, 300.0]])
  moved = view.move(points)
  np.testing.assert_allclose(moved, [[50, 40], [50, 30], [300, 300]], atol=1e-3)


def test_a_camera_without_motion_gives_the_image_itself():
  image = np.random.default_rng(0).integers(0, 256, (220, 240, 3), np.uint8)
  landmarks = face(120, 110, 120)
  for view in views(strength=0.0):
    np.testing.assert_array_equal(view.render(image, WHOLE), image)
    np.testing.assert_allclose(view.move(landmarks), landmarks, atol=1e-9)


def test_a_part_of_the_frame_is_that_part_of_the_whole_frame():
  image = np.random.default_rng(1).integers(0, 256, (220, 240, 3), np.uint8)
  box = np.array([31, 50, 131, 97])
  for view in views(3):
    part = view.render(image, box).astype(int)
    assert np.abs(part - view.render(image, WHOLE)[50:97, 31:131]).max() <= 1


def test_beyond_the_border_lies_the_mirror_image_and_nothing_black():
  image = np.full((220, 240, 3), 90, np.uint8)
  for seed in range(5):
    for view in views(seed):
      frame = view.render(image, np.array([-20, -20, 260, 240]))
      assert np.abs(frame - 90.0 * view.gain).max() < 1


@pytest.mark.parametrize('size', [30, 200, 900])
def test_motion_never_folds_the_image(size):
  # Small squares around points all over the face keep their orientation.
  corners = np.array([[0, 0], [1, 0], [0, 1]]) * size / 1000
  landmarks = face(0, 0, size)
  points = landmarks[:, None] + corners
  for seed in range(20):
    for view in views(seed, landmarks=landmarks):
      origin, right, down = np.moveaxis(view.move(points), 1, 0)
      a, b = right - origin, down - origin
      area = (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]) / (size / 1000) ** 2
      assert (area > 0.2).all()
      assert (area < 4).all()


def test_motion_is_smooth_and_differs_between_frames():
  landmarks = face(120, 110, 120)
  for seed in range(5):
    moved = np.stack([view.move(landmarks) for view in views(seed, num_frames=50)])
    steps = np.abs(np.diff(moved, axis=0))
    assert (steps.max(axis=(1, 2)) > 0).all()
    assert steps.max() < 0.04 * 120  # Of the face's size in a frame.
    assert np.abs(np.diff(moved, 2, axis=0)).max() < 0.015 * 120


def test_the_face_itself_changes_not_only_the_camera():
  landmarks = face(120, 110, 120)
  ratios = []
  for seed in range(10):
    for view in views(seed):
      moved = view.move(landmarks)
      labels = face_mask.landmarks_to_mask(moved, 220, 240)
      ratios.append((labels == 4).sum() / (labels > 0).sum())
  assert np.max(ratios) > 1.5 * np.min(ratios)  # Of the open mouth in the face.


def test_wandering_stays_within_one():
  rng = np.random.default_rng(0)
  for _ in range(20):
    way = camera.wander(rng, np.arange(200) / 25, (0.5, 2.5))
    assert np.abs(way).max() <= 1
    assert np.ptp(way) > 1


@pytest.mark.parametrize('landmarks', [np.zeros((68, 2)), np.repeat(face(9, 9, 9)[:, :1], 2, 1)])
def test_degenerate_landmarks_still_give_finite_views(landmarks):
  for view in views(landmarks=landmarks):
    assert np.isfinite(view.move(landmarks)).all()
