"""Masks across a few frames in which a face is lost, or faint, between two in which it is clear.

A flash, a frame of noise or one that arrived in pieces, a hand that passes: what is there just
before and just behind is there in between. A face's crops are upright and of its size, so what the
networks say of it in them can be blended from frame to frame.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np

from fmx.finding import motion
from fmx.labelling.crops import crop_of
from fmx.labelling.faces import FaceState, Reading, Sight, own_labels
from fmx.labelling.frame_masks import BRIDGED
from fmx.labelling.parts import PartView
from fmx.weights import Model
from tfds_300vw.pose import move

FAINT = 0.01  # Confidence that a mask lacks to those around it.

_SMALL = 20  # Pixels along a side of pictures that are compared.
_NOISE = 1.0  # Grey levels by which pictures differ in any case.
_WHOLE = np.float32(255)  # Probabilities are kept as bytes, of which so many are 1.


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

  def blend(self, before: Any, behind: Any) -> Any:
    """What is between two numbers or arrays of one shape; the nearer one weighs more."""
    share = np.float32((self.time - self.start) / (self.end - self.start))
    return (1 - share) * before + share * behind


def bridges(
  reading: Reading, verdicts: Sequence[str | None], before: FaceState | None, longest: int
) -> list[Bridge]:
  """The frames of a window to bridge: of short gaps, with the face in the same place around them.

  Args:
    reading: Of the face.
    verdicts: On it, None where it is lost.
    before: What is known of it from the window before; None for nothing.
    longest: Frames of a gap, at most MOST_BRIDGED.
  """
  seen = _seen(reading, verdicts, before)
  firm = sorted(time for time in seen if not _is_faint(seen, time, longest))
  return [
    Bridge(time, start, end)
    for start, end in itertools.pairwise(firm)
    if end - start - 1 <= longest and motion.agree(seen[start].pose, seen[end].pose)
    for time in range(start + 1, end)
    if time not in seen or _is_odd(seen[time], seen[start], seen[end])
  ]


def number_settled(
  length: int,
  readings: Sequence[Reading],
  verdicts: Sequence[Sequence[str | None]],
  known: Mapping[int, FaceState],
  longest: int,
) -> int:
  """The frames of a window before those at its end that might be bridged, if what comes is known.

  There a face is lost, or its mask is less sure and the picture changes faster than before.

  Args:
    length: Frames of the window.
    readings: Of the faces.
    verdicts: Of each face in each frame.
    known: What is known of them from the window before, by key of the track. If any is, a face that
      was not there yet does not count: bad pictures have such.
    longest: Frames of a gap.

  Returns:
    All, if nothing could be bridged, or if nothing would be left.
  """
  settled = min(
    (
      _last_firm(_seen(reading, of_face, known.get(reading.course.key))) + 1
      for reading, of_face in zip(readings, verdicts)
      if any(of_face) and (not known or reading.course.key in known)
    ),
    default=length,
  )
  return settled if settled > 0 and length - settled <= longest else length


def _last_firm(seen: Mapping[int, Sight]) -> int:
  """The last frame in which nothing speaks against a face, by what was before."""
  last, *others = sorted(seen)
  pace = np.inf
  for time in others:
    way = _difference(seen[time], seen[last])
    surest = max(seen[t].confidence for t in seen if t <= last)
    if surest - seen[time].confidence <= FAINT or way <= (time - last) * pace + _NOISE:
      pace, last = way / (time - last), time
  return last


def _seen(
  reading: Reading, verdicts: Sequence[str | None], before: FaceState | None
) -> dict[int, Sight]:
  """What is seen of a face where it is not lost, in the last frame of the window before too."""
  seen = {
    time: sight(reading, time) for time, verdict in enumerate(verdicts) if verdict is not None
  }
  return seen if before is None else seen | {-1: before.last}


def _is_faint(seen: Mapping[int, Sight], time: int, longest: int) -> bool:
  """Whether the mask of a frame is less sure than one shortly before and one shortly behind."""
  sides = range(time - longest, time), range(time + 1, time + longest + 1)
  sure = [max((seen[t].confidence for t in side if t in seen), default=0) for side in sides]
  return min(sure) - seen[time].confidence > FAINT


def _is_odd(sight: Sight, before: Sight, behind: Sight) -> bool:
  """Whether a face looks like neither of two frames around it, as much as these look alike.

  What is truly between them, a face that turns or a mouth that opens, is more like either.
  """
  ways = [_difference(sight, other) for other in (before, behind)]
  return min(ways) > _difference(before, behind) + _NOISE


def _difference(sight: Sight, other: Sight) -> float:
  """Of the pictures in small, grey levels."""
  small = [
    cv2.resize(seen.gray, (_SMALL, _SMALL), interpolation=cv2.INTER_AREA).astype(np.float32)
    for seen in (sight, other)
  ]
  return float(np.abs(small[0] - small[1]).mean())


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
  if not across:
    return reading, list(verdicts)
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
    sure[time] = bridge.blend(one.confidence, other.confidence)
    told[time] = BRIDGED
  course = reading.course._replace(poses=tuple(poses), points=np.stack(points))
  return dataclasses.replace(
    reading, course=course, crops=tuple(crops), probs=probs, labels=labels, confidence=sure
  ), told


def bridged_view(view: PartView, across: Sequence[Bridge], before: FaceState | None) -> PartView:
  """Likewise what a zoomed-in network sees."""
  if not across:
    return view
  probs = view.probs.copy()
  stored = before.last.parts.get((view.region, view.number)) if before else None
  known = None if stored is None else stored / _WHOLE
  for bridge in across:
    behind = view.probs[bridge.end]
    one = view.probs[bridge.start] if bridge.start >= 0 else known
    probs[bridge.time] = behind if one is None else bridge.blend(one, behind)
  return view._replace(probs=probs)


def sight(reading: Reading, time: int, views: Sequence[PartView] = ()) -> Sight:
  """What is seen of a face in one frame of a window; arrays are shared."""
  course, crop = reading.course, reading.crops[time]
  return Sight(
    course.poses[time],
    move(course.points[time], crop.matrix),
    reading.probs[time],
    float(reading.confidence[time]),
    reading.gray[time],
    {(view.region, view.number): view.probs[time] for view in views},
  )


def kept(seen: Sight) -> Sight:
  """The same for the windows that follow, in bytes and with arrays of its own."""
  parts = {part: _in_bytes(probs) for part, probs in seen.parts.items()}
  return dataclasses.replace(seen, probs=_in_bytes(seen.probs), gray=seen.gray.copy(), parts=parts)


def _in_bytes(probs: np.ndarray) -> np.ndarray:
  return (_WHOLE * probs + np.float32(0.5)).astype(np.uint8)


def _start(reading: Reading, bridge: Bridge, before: FaceState | None) -> Sight:
  if bridge.start >= 0:
    return sight(reading, bridge.start)
  assert before is not None  # Else there is no such bridge.
  return dataclasses.replace(before.last, probs=before.last.probs / _WHOLE)
