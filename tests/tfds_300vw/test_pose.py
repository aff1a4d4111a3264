"""Poses: what an upright crop is made of."""

import numpy as np
import pytest

from tfds_300vw import pose


def face(rng):
  """68 points around a plausible frontal face: eyes level, mouth below."""
  points = rng.uniform(-0.4, 0.4, (68, 2))
  points[0], points[16], points[8] = (-0.5, 0), (0.5, 0), (0, 0.5)
  points[19] = (0, -0.5)
  points[36:42], points[42:48] = (-0.2, -0.1), (0.2, -0.1)
  points[30], points[48], points[54] = (0, 0.1), (-0.15, 0.25), (0.15, 0.25)
  return points


def turned(points, roll, size, centre):
  cos, sin = np.cos(roll), np.sin(roll)
  return size * points @ np.array([[cos, sin], [-sin, cos]]) + centre


@pytest.mark.parametrize('roll', [-1.5, -0.3, 0.0, 0.7, 3.0])
def test_a_pose_undoes_how_the_face_was_moved(roll):
  points = face(np.random.default_rng(0))
  found = pose.face_pose(turned(points, roll, 80.0, (130.0, 90.0)))
  assert found.roll == pytest.approx(roll)
  assert (found.x, found.y, found.size) == pytest.approx((130.0, 90.0, 80.0))


@pytest.mark.parametrize('mirror', [False, True])
def test_the_crop_shows_the_face_upright_and_in_its_middle(mirror):
  points = face(np.random.default_rng(1))
  moved = turned(points, 0.9, 50.0, (40.0, 70.0))
  matrix = pose.face_pose(moved).matrix(100, margin=2.0, mirror=mirror)
  # A face of size 1 covers half of 100 pixels, about the middle of pixels 0 to 99.
  expected = 50 * points * ((-1, 1) if mirror else (1, 1)) + 49.5
  np.testing.assert_allclose(pose.move(moved, matrix), expected, atol=1e-9)


def test_the_corners_are_those_of_the_crop():
  found = pose.Pose(12.0, 30.0, 20.0, 0.4)
  corners = pose.move(found.corners(margin=1.5), found.matrix(60, margin=1.5))
  # Half a pixel more on each side: corners are edges of pixels.
  np.testing.assert_allclose(corners, [[-0.5, -0.5], [59.5, -0.5], [59.5, 59.5], [-0.5, 59.5]])


def test_in_profile_the_line_from_eyes_to_mouth_decides():
  points = np.array([[10.0, 10], [10, 10], [14, 20], [8, 30], [12, 30]])
  assert pose.roll_of(points) == pytest.approx(0.0)


def test_a_mirrored_face_has_its_points_in_the_mirrored_order():
  points = face(np.random.default_rng(2))
  five = pose.five_points(points)
  np.testing.assert_allclose(five[list(pose.MIRRORED)] * (-1, 1), five)
