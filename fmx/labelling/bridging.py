"""Masks across a few frames in which a face is lost, or faint, between two in which it is clear.

A flash, a frame of noise or one that arrived in pieces, a hand that passes: what is there just
before and just behind is there in between. A face's crops are upright and of its size, so what the
networks say of it in them can be blended from frame to frame.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from fmx.finding import motion
from fmx.labelling.crops import crop_of
from fmx.labelling.faces import FaceState, Reading, Sight, own_labels
from fmx.labelling.frame_masks import BRIDGED
from fmx.labelling.parts import PartView
from fmx.weights import Model
from tfds_300vw.pose import move

LONGEST = 4  # Frames of a gap that is bridged.
# Confidence that a mask lacks to those around it. Of 2,578 frames of 30 real videos 3 do; where frames
# are spoiled, half of those in which the face is not lost.
FAINT = 0.02

_STORED = np.float16  # States are written to disk.


class Bridge(NamedTuple):
  """A frame in which a face is lost or faint, between two in which it is neither.

  Attributes:
    time: Position in the window.
    start: Of the one before; -1 for the last frame of the window before.
    end: Of the one behind.
  """

  time: int
  start: int
  end: int

  def blend(self, before: np.ndarray, behind: np.ndarray) -> np.ndarray:
    """What is between two arrays of one shape; the nearer one weighs more."""
    share = np.float32((self.time - self.start) / (self.end - self.start))
    return (1 - share) * before + share * behind


def bridges(
  reading: Reading, verdicts: Sequence[str | None], before: FaceState | None
) -> list[Bridge]:
  """The frames of a window to bridge: of short gaps, with the face in the same place around them.

  Args:
    reading: Of the face.
    verdicts: On it, None where it is lost.
    before: What is known of it from the window before; None for nothing.
  """
  poses = dict(enumerate(reading.course.poses))
  sure = {
    time: float(confidence)
    for time, (confidence, verdict) in enumerate(zip(reading.confidence, verdicts, strict=True))
    if verdict is not None
  }
  if before is not None:
    poses[-1], sure[-1] = before.last.pose, before.last.confidence
  firm = sorted(time for time in sure if not _is_faint(sure, time))
  return [
    Bridge(time, start, end)
    for start, end in itertools.pairwise(firm)
    if end - start - 1 <= LONGEST and motion.agree(poses[start], poses[end])
    for time in range(start + 1, end)
  ]


def _is_faint(sure: Mapping[int, float], time: int) -> bool:
  """Whether the mask of a frame is much less sure than one shortly before and one behind."""
  before = max((sure[t] for t in range(time - LONGEST, time) if t in sure), default=0.0)
  behind = max((sure[t] for t in range(time + 1, time + LONGEST + 1) if t in sure), default=0.0)
  return min(before, behind) - sure[time] > FAINT


def bridged(
  reading: Reading,
  verdicts: Sequence[str | None],
  across: Sequence[Bridge],
  before: FaceState | None,
  model: Model,
  size: tuple[int, int],
) -> tuple[Reading, list[str | None]]:
  """A face as it is seen in the frames that are not bridged, and as it must be in those that are.

  Args:
    reading: Of the face.
    verdicts: On it.
    across: Its bridges.
    before: What is known of it from the window before.
    model: The primary network.
    size: Height and width of the frames.

  Returns:
    The reading and the verdicts.
  """
  poses, points, crops = map(list, (reading.course.poses, reading.course.points, reading.crops))
  probs, labels, sure = reading.probs.copy(), reading.labels.copy(), reading.confidence.copy()
  told = list(verdicts)
  for bridge in across:
    time, one, other = bridge.time, _start(reading, bridge, before), sight(reading, bridge.end)
    vectors = [motion.vector_of(end.pose) for end in (one, other)]
    (vector,) = motion.between((bridge.start, bridge.end), vectors, (time,))
    poses[time] = motion.pose_of(vector)
    crops[time] = crop_of(poses[time], model)
    back = cv2.invertAffineTransform(crops[time].matrix)
    points[time] = move(bridge.blend(one.points, other.points), back)
    probs[time] = bridge.blend(one.probs, other.probs)
    (labels[time],), _ = own_labels(probs[time, None], crops[time].inside(*size)[None])
    sure[time] = bridge.blend(np.float32(one.confidence), np.float32(other.confidence))
    told[time] = BRIDGED
  course = reading.course._replace(poses=tuple(poses), points=np.stack(points))
  return dataclasses.replace(
    reading, course=course, crops=tuple(crops), probs=probs, labels=labels, confidence=sure
  ), told


def bridged_view(view: PartView, across: Sequence[Bridge], before: FaceState | None) -> PartView:
  """Likewise what a zoomed-in network sees."""
  probs = view.probs.copy()
  known = before.last.parts.get((view.region, view.number)) if before else None
  for bridge in across:
    behind = view.probs[bridge.end]
    one = view.probs[bridge.start] if bridge.start >= 0 else known
    probs[bridge.time] = behind if one is None else bridge.blend(one, behind)
  return view._replace(probs=probs)


def sight(reading: Reading, time: int, views: Sequence[PartView] = ()) -> Sight:
  """What is seen of a face in one frame of a window."""
  course, crop = reading.course, reading.crops[time]
  return Sight(
    course.poses[time],
    move(course.points[time], crop.matrix),
    reading.probs[time].astype(_STORED),
    float(reading.confidence[time]),
    {(view.region, view.number): view.probs[time].astype(_STORED) for view in views},
  )


def _start(reading: Reading, bridge: Bridge, before: FaceState | None) -> Sight:
  if bridge.start >= 0:
    return sight(reading, bridge.start)
  assert before is not None  # Else there is no such bridge.
  return before.last
