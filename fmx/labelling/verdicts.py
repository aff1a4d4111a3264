"""What to think of the masks of a face, frame by frame."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from fmx.labelling.faces import FaceState, Reading
from fmx.labelling.frame_masks import DOUBTFUL, GOOD
from tfds_300vw.pose import Pose

Verdicts = list[str | None]  # Of the frames of a window; None leaves the mask empty.
_LEAP, _TURN = 0.3, np.radians(30)  # Of the size, and radians.
_MOST_TURN = np.radians(60)  # Of a head in a window.
# A face begins where the finder or its masks are as sure as that, and surer by a step for each
# window in which it was none: what is no face is nearly one all the time, and now and then is.
_SURE_FIND, _SURE_MASK = 0.6, 0.88
_FIND_STEP, _MASK_STEP, _MOST_STEPS = 0.03, 0.005, 5


def verdicts_of(reading: Reading, before: Mapping[int, FaceState]) -> Verdicts:
  """What to think of a face's masks; one that was seen well may be half hidden for a while.

  Args:
    reading: Of the face in a window.
    before: What the window before left, by key of the track.
  """
  course = reading.course
  seen = list(zip(course.poses, course.is_seen, reading.evidence, strict=True))
  known = [pose for pose, is_seen, evidence in seen if is_seen and evidence.is_whole]
  if course.key in before:
    known.append(before[course.key].last.pose)
  verdicts: Verdicts = []
  for pose, is_seen, evidence in seen:
    is_where_it_was = any(_is_near(pose, other) for other in known)
    is_good = evidence.is_whole or (evidence.is_face and not known)
    if is_seen and (is_good or (evidence.is_like and is_where_it_was)):
      verdicts.append(GOOD)
      known.append(pose)
    else:
      verdicts.append(DOUBTFUL if evidence.is_sure else None)
  unproved = _unproved(reading, before.get(course.key))
  if _is_sure(reading, [time for time in unproved if verdicts[time]]):
    return verdicts
  return [None if time in unproved else verdict for time, verdict in enumerate(verdicts)]


def _unproved(reading: Reading, before: FaceState | None) -> set[int]:
  """The frames in which a face must be sure: where it was not just before, or not turned so."""
  if before is None:
    return set() if reading.course.is_given else set(range(len(reading.course.poses)))
  poses = enumerate(reading.course.poses)
  return {time for time, pose in poses if _turn(pose, before.last.pose) > _MOST_TURN}


def _is_sure(reading: Reading, times: Collection[int]) -> bool:
  """Whether these frames show a face, and not a thing that looks like one."""
  steps = min(reading.course.failures, _MOST_STEPS)
  if reading.course.confidence >= _SURE_FIND + _FIND_STEP * steps:
    return True
  if reading.probs.max() < _SURE_MASK:  # Bounded logits, as of the paper's ConvLSTM, say less.
    return True
  limit = _SURE_MASK + _MASK_STEP * steps
  return not times or float(np.median([reading.confidence[time] for time in times])) >= limit


def _is_near(pose: Pose, other: Pose) -> bool:
  """Whether a half hidden face can be the one that was there: it has neither leapt nor turned."""
  away = np.hypot(pose.x - other.x, pose.y - other.y)
  return bool(_turn(pose, other) <= _TURN and away <= _LEAP * other.size)


def _turn(pose: Pose, other: Pose) -> float:
  """Between the two, radians."""
  turn = pose.roll - other.roll
  return float(abs(np.arctan2(np.sin(turn), np.cos(turn))))
