import numpy as np
import pytest

from fmx.finding import motion
from tfds_300vw.pose import Pose


def test_a_pose_becomes_a_vector_and_back():
  pose = Pose(3.0, 4.0, 20.0, -3.0)
  again = motion.pose_of(motion.vector_of(pose) + (0, 0, 0, 4 * np.pi))
  np.testing.assert_allclose([again.x, again.y, again.size, again.roll], [3, 4, 20, -3], atol=1e-12)


def follow(poses, step=2):
  vector, velocity, found = motion.vector_of(poses[0]), np.zeros(2), []
  for pose in poses[1:]:
    vector, velocity = motion.smoothed(vector, velocity, step, motion.vector_of(pose))
    found.append(vector)
  return np.stack(found)


def test_errors_of_the_finder_are_smoothed():
  rng = np.random.default_rng(0)
  poses = [
    Pose(100 + 2 * a, 80 + 2 * b, 100 * np.exp(0.02 * c), 0.02 * d)
    for a, b, c, d in rng.normal(size=(200, 4))
  ]
  given = np.stack([motion.vector_of(pose) for pose in poses[1:]])
  assert (follow(poses)[5:].std(axis=0) < 0.85 * given[5:].std(axis=0)).all()


@pytest.mark.parametrize('speed', [1, 4, 12])
def test_a_motion_is_followed_without_lag(speed):
  poses = [Pose(speed * time, 50.0, 100.0, 0.0) for time in range(0, 80, 2)]
  errors = follow(poses)[:, 0] - [pose.x for pose in poses[1:]]
  assert np.abs(errors[6:]).max() < 2  # Of a size of 100.


def test_a_jump_is_believed_at_once_and_a_roll_goes_on_beyond_half_a_turn():
  found = follow([Pose(0.0, 0.0, 50.0, 0.0), Pose(40.0, 0.0, 90.0, 1.0)])
  np.testing.assert_allclose(found[0], [40, 0, np.log(90), 1], rtol=1e-3, atol=0.1)
  rolls = np.arange(0, 3 * np.pi, 0.2)
  found = follow([Pose(0.0, 0.0, 50.0, float(np.angle(np.exp(1j * roll)))) for roll in rolls])
  assert np.abs(found[:, 3] - rolls[1:]).max() < 0.2


def test_a_face_that_is_not_seen_goes_on_ever_more_slowly():
  # 10 pixels a frame: 9.3, then 8.649, … of which there are 10 * 0.93 / 0.07 = 132.9 in all.
  start = np.array([0.0, 0, 3, 0])
  places = [motion.expected(start, np.array([10.0, 0]), frames)[0] for frames in (0, 1, 2, 1000)]
  np.testing.assert_allclose(places, [0, 9.3, 17.949, 132.857], rtol=1e-4)


def test_poses_in_between_are_interpolated_and_outside_the_nearest():
  vectors = [np.array([0.0, 0, 1, 3.0]), np.array([10.0, 20, 2, -3.0])]
  found = motion.between([1, 3], vectors, range(5))
  assert found[:, 0].tolist() == [0, 0, 5, 10, 10]
  # From 3 to -3 radians it is 0.28 across half a turn, not 6 back.
  np.testing.assert_allclose(found[2, 3], np.pi)
