"""Poses over time: smoothing without lag, and poses of frames at which nobody looked.

Here a pose is a vector: x, y, the logarithm of the size, and the roll, which goes on beyond half a
turn instead of jumping.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfds_300vw.pose import Pose

# A change of this much may be an error of the finder: centre over size, log size, radians.
_NOISE = np.array([0.03, 0.03, 0.04, 0.05])
_SAME = np.array([0.25, 0.25, 0.2, 0.25])  # In the same units, what two poses of a face may differ.
_GAIN = 0.35  # Share of a change far below the noise that is believed; far above it, all is.
_VELOCITY_GAIN = 0.5
_MAX_STEP = 0.15  # Of the size, a frame: no velocity is believed to be more.
_FADING = 0.93  # Of the velocity, each frame without a look.


def vector_of(pose: Pose) -> np.ndarray:
  """The vector of a pose, float64 [4]."""
  return np.array([pose.x, pose.y, np.log(pose.size), pose.roll])


def pose_of(vector: np.ndarray) -> Pose:
  """The pose of a vector."""
  x, y, log_size, roll = (float(value) for value in vector)
  return Pose(x, y, float(np.exp(log_size)), float(np.arctan2(np.sin(roll), np.cos(roll))))


def expected(vector: np.ndarray, velocity: np.ndarray, frames: int | np.integer) -> np.ndarray:
  """Where a face will be after some frames, going on ever more slowly.

  Args:
    vector: Its pose, [4].
    velocity: Of its centre, pixels a frame, [2].
    frames: How many, at least 0.
  """
  way = velocity * (1 - _FADING**frames) / (1 - _FADING) * _FADING
  return np.concatenate([vector[:2] + way, vector[2:]])


def difference(vector: np.ndarray, other: np.ndarray) -> np.ndarray:
  """From one pose to another, [4]; the roll by the shorter way."""
  change = other - vector
  change[3] = np.arctan2(np.sin(change[3]), np.cos(change[3]))
  return change


def agree(pose: Pose, other: Pose) -> bool:
  """Whether two poses can be of one face in one frame: about as large, as far rolled, and there."""
  change = np.abs(difference(vector_of(pose), vector_of(other)))
  change[:2] /= other.size
  return bool((change <= _SAME).all())


def smoothed(
  vector: np.ndarray, velocity: np.ndarray, frames: int, measured: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Takes a new pose of a face in.

  A small change is an error more likely than a motion, and is believed in part; a large one is a
  motion, and is believed at once.

  Args:
    vector: The pose before, [4].
    velocity: Of the centre, pixels a frame, [2].
    frames: Since then, at least 1.
    measured: The new pose, [4].

  Returns:
    The pose and the velocity that are believed.
  """
  guess = expected(vector, velocity, frames)
  error = difference(guess, measured)
  relative = error / _NOISE
  relative[:2] /= np.exp(measured[2])
  relative[:2] = np.hypot(*relative[:2])  # Both of a centre alike.
  new = guess + (1 - (1 - _GAIN) * np.exp(-((relative / 2) ** 2))) * error
  step = (new[:2] - vector[:2]) / frames
  velocity = velocity + _VELOCITY_GAIN * (step - velocity)
  limit = _MAX_STEP * np.exp(new[2])
  return new, velocity * min(1.0, limit / max(float(np.hypot(*velocity)), 1e-9))


def between(
  times: Sequence[int], vectors: Sequence[np.ndarray], wanted: Sequence[int] | np.ndarray
) -> np.ndarray:
  """Poses at frames between those that were looked at; outside, those of the nearest.

  Args:
    times: Of the known poses, ascending; at least one.
    vectors: The known poses, [4] each.
    wanted: Times.

  Returns:
    float64 [number of wanted times, 4].
  """
  known = np.stack(vectors)
  known[:, 3] = np.unwrap(known[:, 3])
  return np.stack([np.interp(wanted, times, known[:, i]) for i in range(4)], axis=1)
