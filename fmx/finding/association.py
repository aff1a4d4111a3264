"""Whose face is it that was found: by place, size and looks, all faces of a frame at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from fmx.finding import appearance
from tfds_300vw.pose import Pose

# Of 544 faces a few frames later, 7 % are less alike than this; of 166,000 pairs of two people 8 %
# are more.
SAME_LOOKS = 0.82
CROWD = 1.6  # Distance over the mean size, below which one face's hair may hide a part of another.
BRIEF = 10  # Frames: so long a face needs only be where it was, whatever it looks like.

_OTHER_LOOKS = 0.3  # Likeness below which place alone does not make two faces one.
_NEAR = 0.6  # Of the size: how far a face may be from where it is expected, ...
_NEAR_GROWTH = 0.08  # ... and more for each frame since it was seen, ...
_FARTHEST = 2.0  # ... up to this.
_SIZE_CHANGE = np.log(1.6)  # Likewise for its size.
_SIZE_GROWTH = 0.03
_SIZE_MOST = np.log(3.0)
_AGE_COST = 0.02  # A frame: a face that is followed comes before one that is remembered.
_NEVER = 1e3


class Known(NamedTuple):
  """A face that was seen before.

  Attributes:
    pose: Where it is expected now.
    last: Where it was seen: what leaps about is as likely there as where it was heading.
    frames: Since it was seen.
    looks: From `appearance.describe`.
    is_familiar: Whether it may be known by its looks wherever it turns up.
  """

  pose: Pose
  last: Pose
  frames: int
  looks: np.ndarray
  is_familiar: bool


class Stranger(NamedTuple):
  """A face that was found.

  Attributes:
    pose: Where it is.
    looks: From `appearance.describe`.
    is_crowded: Whether another face was found next to it.
  """

  pose: Pose
  looks: np.ndarray
  is_crowded: bool


def associate(known: Sequence[Known], found: Sequence[Stranger]) -> dict[int, int]:
  """Says which found face is which known one.

  First those that are about where they are expected; of what is left, those that look the same.
  Of a face that fills the frame, or is hardly in it, too little is in view to compare its looks:
  then its place alone counts, where no other face is near.

  Args:
    known: Faces that were seen before.
    found: Faces of one frame.

  Returns:
    From the place of a found face to that of a known one; strangers are left out.
  """
  if not known or not found:
    return {}
  unlike = 1 - appearance.likeness(
    np.stack([face.looks for face in known]), np.stack([face.looks for face in found])
  )
  frames = np.array([face.frames for face in known])[:, None]
  gaps, changes = _differences([face.pose for face in known], [face.pose for face in found])
  from_last, _ = _differences([face.last for face in known], [face.pose for face in found])
  near = np.minimum(gaps, from_last) <= np.minimum(_NEAR + _NEAR_GROWTH * frames, _FARTHEST)
  near &= changes <= np.minimum(_SIZE_CHANGE + _SIZE_GROWTH * frames, _SIZE_MOST)
  # Next to somebody else, seen now or a moment ago, looks say little.
  close = (gaps <= CROWD) & (frames <= BRIEF)
  crowded = np.array([face.is_crowded for face in found]) | (close.sum(axis=0) > close)
  most = np.where((frames <= BRIEF) | crowded, 1 - _OTHER_LOOKS, 1 - SAME_LOOKS)
  near &= np.where(np.isnan(unlike), ~crowded, unlike <= most)
  cost = gaps + changes + np.nan_to_num(unlike, nan=1.0) + np.minimum(_AGE_COST * frames, 0.3)
  pairs = _matched(np.where(near, cost, _NEVER))
  familiar = np.array([face.is_familiar for face in known])[:, None]
  alike = familiar & (unlike <= 1 - SAME_LOOKS) & (changes <= _SIZE_MOST)
  alike[list(pairs.values())] = False
  alike[:, list(pairs)] = False
  return pairs | _matched(np.where(alike, unlike, _NEVER))


def is_crowded(pose: Pose, other: Pose) -> bool:
  """Whether another face is so near that it may hide a part of this one."""
  distance = np.hypot(pose.x - other.x, pose.y - other.y)
  return bool(distance < CROWD * (pose.size + other.size) / 2)


def _matched(cost: np.ndarray) -> dict[int, int]:
  """The cheapest pairs, from column to row, of those that may be."""
  rows, columns = linear_sum_assignment(cost)
  return {int(j): int(i) for i, j in zip(rows, columns) if cost[i, j] < _NEVER}


def _differences(poses: Sequence[Pose], others: Sequence[Pose]) -> tuple[np.ndarray, np.ndarray]:
  """Distances of centres over the mean size, and changes of the log size: [N, M] each."""
  one, other = (np.array([(p.x, p.y, p.size) for p in each]) for each in (poses, others))
  gaps = np.hypot(*np.moveaxis(one[:, None, :2] - other[None, :, :2], -1, 0))
  sizes, other_sizes = one[:, None, 2], other[None, :, 2]
  return gaps / ((sizes + other_sizes) / 2), np.abs(np.log(sizes / other_sizes))
