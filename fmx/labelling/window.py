"""One window of a video: looking, labelling, verifying, and all that once more where it fails."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from fmx.finding.follower import Follower
from fmx.finding.looking import (
  ONE,
  Finder,
  distinct,
  look,
  look_harder,
  look_into_parts,
  look_upside_down,
)
from fmx.finding.overlap import shared
from fmx.finding.tracks import Course, Shown
from fmx.labelling import frame_masks
from fmx.labelling.faces import FaceState, Reading, draw_faces, read_faces, settled
from fmx.labelling.frame_masks import DOUBTFUL, GOOD, REFOUND, FrameMasks
from fmx.labelling.predictor import Predictor
from tfds_300vw.pose import Pose

Verdicts = list[str | None]  # Of the frames of a window; None leaves the mask empty.
_SETTLING = 2  # Further looks at a face whose mask is not in the middle of its crop.
_CLOSE = 0.25  # Shared area from which a hanging head would be a part of another face.
_LEAP, _TURN = 0.3, np.radians(30)  # Of the size, and radians.
_LONGEST_PAUSE = 5  # Windows: a second at 30 frames a second.


class Pause(NamedTuple):
  """How long something costly is left alone that showed nothing.

  Attributes:
    left: Windows until it is tried again.
    last: Windows that it was left alone before.
  """

  left: int = 0
  last: int = 0

  def after(self, *, helped: bool) -> Pause:
    """The pause after a try: none where it helped, else ever longer ones."""
    if helped:
      return Pause()
    return Pause(self.last, min(2 * self.last + 1, _LONGEST_PAUSE))

  def shorter(self) -> Pause:
    """After a window more."""
    return self._replace(left=self.left - 1)


@dataclasses.dataclass(frozen=True)
class ShotState:
  """What is known after some windows of a shot.

  Attributes:
    follower: Of the faces.
    faces: What the networks need to go on, by key of the track.
    harder: Pause of harder looks, where no face is there.
    parts: Pause of looks into parts of frames, for small faces beside those that are seen.
  """

  follower: Follower
  faces: Mapping[int, FaceState] = dataclasses.field(default_factory=dict)
  harder: Pause = Pause()
  parts: Pause = Pause()


@dataclasses.dataclass(frozen=True)
class _Pass:
  """What one way through a window gave: of each face that was looked for a reading and verdicts."""

  follower: Follower
  courses: list[Course]  # Also of faces that were not looked for.
  readings: list[Reading]
  verdicts: list[Verdicts]

  def failed(self) -> bool:
    """Whether a face is missing in some frame, or was not seen by the finder."""
    return any(None in verdicts or DOUBTFUL in verdicts for verdicts in self.verdicts)

  def is_empty(self) -> bool:
    """Whether no frame has a face."""
    return not any(any(verdicts) for verdicts in self.verdicts)


def label_window(
  frames: Sequence[np.ndarray],
  before: ShotState,
  finder: Finder,
  predictors: Mapping[str, Predictor],
  *,
  start: int,
  is_cut: bool,
  rest: int = 0,
) -> tuple[list[FrameMasks], ShotState]:
  """Labels the faces of a window.

  The finder looks at the first, the middle and the last frame. Where a face is then missing, it
  looks at the others and, if that does not help, harder; then all is done again from the start.
  It may rest where it has just seen every face and their masks are sure without it.

  Args:
    frames: uint8 [H, W, 3], of one size.
    before: What the windows before left.
    finder: The finder.
    predictors: By name: 'primary', and those of the zoomed-in networks that are to be used.
    start: Index of the first frame in the video.
    is_cut: Whether a new shot begins with the window.
    rest: Frames after one in which the finder saw a face, in which it need not look.

  Returns:
    The masks of the frames, and what the next window needs.
  """
  length = len(frames)
  known = _unlooked(frames, before, predictors, start, rest)
  if known is not None:
    masks, follower, faces = _finish(frames, before, known, predictors, start, is_cut)
    return masks, dataclasses.replace(before, follower=follower, faces=faces)
  times = sorted({0, length // 2, length - 1})
  looks: dict[int, list] = look(finder, frames, times)
  parts = _look_into_parts(finder, frames, looks, length // 2, before)
  first = _go_through(frames, before, looks, predictors, start)
  found, harder = first, before.harder
  missed = [
    track for track in before.follower.tracks
    if track.is_shown and track.key not in {r.course.key for r in first.readings}
  ]  # fmt: skip
  if first.is_empty() and not first.failed() and harder.left:
    harder = harder.shorter()  # Nothing was there, and nothing is.
  elif first.failed() or first.is_empty() or missed:
    looks |= look(finder, frames, [time for time in range(length) if time not in looks])
    if _is_unseen(first, looks):
      _look_harder(finder, frames, looks, times)
    _look_upside_down(finder, frames, looks, *_parted(first))
    given_up = frozenset(
      reading.course.key
      for reading, verdicts in zip(first.readings, first.verdicts)
      if not any(verdicts)
    )
    found = _go_through(frames, before, looks, predictors, start, given_up)
    found = _relieved(frames, before, found, predictors)
    found = _told_apart(first, found)
    harder = harder.after(helped=not found.is_empty())
  masks, follower, faces = _finish(frames, before, found, predictors, start, is_cut)
  return masks, ShotState(follower, faces, harder, parts)


def _unlooked(
  frames: Sequence[np.ndarray],
  before: ShotState,
  predictors: Mapping[str, Predictor],
  start: int,
  rest: int,
) -> _Pass | None:
  """A way through a window without the finder; None where it has to look."""
  last = start + len(frames) - 1
  shown = [track for track in before.follower.tracks if track.is_shown]
  if not shown or any(last - track.time > rest for track in shown):
    return None
  _, courses = before.follower.follow(frames, {}, start)
  readings = read_faces(
    frames, before.follower.choose(courses), before.faces, predictors['primary']
  )
  if not all(evidence.is_sure for reading in readings for evidence in reading.evidence):
    return None
  return _Pass(before.follower, courses, readings, [[GOOD] * len(frames) for _ in readings])


def _go_through(
  frames: Sequence[np.ndarray],
  before: ShotState,
  looks: Mapping[int, Sequence],
  predictors: Mapping[str, Predictor],
  start: int,
  given_up: frozenset[int] = frozenset(),
) -> _Pass:
  follower, courses = before.follower.follow(frames, looks, start)
  readings = _read(frames, follower.choose(courses, given_up), before, predictors)
  verdicts = [_verdicts(reading, before.faces) for reading in readings]
  return _Pass(follower, courses, readings, verdicts)


def _relieved(
  frames: Sequence[np.ndarray],
  before: ShotState,
  found: _Pass,
  predictors: Mapping[str, Predictor],
) -> _Pass:
  """Adds faces that were not looked for, in the frames in which those that were have no mask.

  Where a cut was overlooked, or a face is taken for another one after a leap, the window's later
  frames show a face that had no chance.
  """
  chosen = {reading.course.key for reading in found.readings}
  room = [found.follower.max_faces - sum(map(bool, verdicts)) for verdicts in zip(*found.verdicts)]
  others = [
    course
    for course in found.courses
    if course.key not in chosen
    and any(is_seen and left > 0 for is_seen, left in zip(course.is_seen, room))
  ]
  readings, verdicts = list(found.readings), list(found.verdicts)
  for reading in _read(frames, found.follower.choose(others), before, predictors):
    its = [
      verdict if verdict == GOOD and left > 0 else None
      for verdict, left in zip(_verdicts(reading, before.faces), room)
    ]
    if any(its):
      readings.append(reading)
      verdicts.append(its)
      room = [left - (verdict is not None) for verdict, left in zip(its, room)]
  return dataclasses.replace(found, readings=readings, verdicts=verdicts)


def _read(
  frames: Sequence[np.ndarray],
  chosen: Sequence[Course],
  before: ShotState,
  predictors: Mapping[str, Predictor],
) -> list[Reading]:
  """The masks of faces; where one is not in the middle of its crop, it is looked at again there."""
  readings = read_faces(frames, chosen, before.faces, predictors['primary'])
  for _ in range(_SETTLING):
    moved = {
      place: course for place, reading in enumerate(readings) if (course := settled(reading))
    }
    if not moved:
      break
    again = read_faces(frames, list(moved.values()), before.faces, predictors['primary'])
    for place, reading in zip(moved, again):
      readings[place] = reading
  return readings


def _verdicts(reading: Reading, before: Mapping[int, FaceState]) -> Verdicts:
  """What to think of a face's masks; one that was seen well may be half hidden for a while."""
  course = reading.course
  seen = list(zip(course.poses, course.is_seen, reading.evidence, strict=True))
  known = [pose for pose, is_seen, evidence in seen if is_seen and evidence.is_whole]
  if course.key in before:
    known.append(before[course.key].pose)
  verdicts: Verdicts = []
  for pose, is_seen, evidence in seen:
    is_where_it_was = any(_is_near(pose, other) for other in known)
    is_good = evidence.is_whole or (evidence.is_face and not known)
    if is_seen and (is_good or (evidence.is_like and is_where_it_was)):
      verdicts.append(GOOD)
      known.append(pose)
    else:
      verdicts.append(DOUBTFUL if evidence.is_sure else None)
  return verdicts


def _is_near(pose: Pose, other: Pose) -> bool:
  """Whether a half hidden face can be the one that was there: it has neither leapt nor turned."""
  turn = abs(np.arctan2(np.sin(pose.roll - other.roll), np.cos(pose.roll - other.roll)))
  away = np.hypot(pose.x - other.x, pose.y - other.y)
  return bool(turn <= _TURN and away <= _LEAP * other.size)


def _is_unseen(first: _Pass, looks: Mapping[int, Sequence]) -> bool:
  """Whether the finder sees no face at all, or not one that is followed."""
  return not any(looks.values()) or not all(r.course.is_seen.any() for r in first.readings)


def _look_into_parts(
  finder: Finder,
  frames: Sequence[np.ndarray],
  looks: dict[int, list],
  time: int,
  before: ShotState,
) -> Pause:
  """Adds smaller faces to what the finder saw at a time, where more are wanted than it saw."""
  if before.follower.max_faces == 1 or len(looks[time]) >= before.follower.max_faces:
    return before.parts
  if before.parts.left:
    return before.parts.shorter()
  smaller = [
    face
    for face in look_into_parts(finder, frames[time])
    if all(shared(face.pose, other.pose) < ONE for other in looks[time])
  ]
  looks[time] = [*looks[time], *smaller]
  return before.parts.after(helped=bool(smaller))


def _look_harder(
  finder: Finder, frames: Sequence[np.ndarray], looks: dict[int, list], times: Sequence[int]
) -> None:
  """Adds to what the finder saw; where the middle of the times shows nothing, no other will."""
  middle = times[len(times) // 2]
  for time in (middle, *(time for time in times if time != middle)):
    found = look_harder(finder, frames[time])
    if not found:
      return
    looks[time] = distinct([*looks[time], *found])


def _parted(first: _Pass) -> tuple[list[Course], list[Course]]:
  """The courses whose masks are all of a face, and those seen where they are not."""
  accepted, rejected = [], []
  for reading, verdicts in zip(first.readings, first.verdicts):
    if all(verdicts):
      accepted.append(reading.course)
    elif any(is_seen and not verdict for is_seen, verdict in zip(reading.course.is_seen, verdicts)):
      rejected.append(reading.course)
  return accepted, rejected


def _look_upside_down(
  finder: Finder,
  frames: Sequence[np.ndarray],
  looks: dict[int, list],
  accepted: Sequence[Course],
  rejected: Sequence[Course],
) -> None:
  """Puts surer finds in the places of those that may be of hanging heads."""

  def found(times: Sequence[int]) -> dict[int, list]:
    return {
      time: [
        face
        for face in faces
        if any(shared(face.pose, course.poses[time]) >= ONE for course in rejected)
        and not any(shared(face.pose, course.poses[time]) > _CLOSE for course in accepted)
      ]
      for time, faces in look_upside_down(finder, frames, times).items()
    }

  middle = len(frames) // 2
  if not rejected or not (seen := found([middle]))[middle]:
    return
  seen |= found([time for time in range(len(frames)) if time != middle])
  for time, faces in seen.items():
    looks[time] = distinct([*looks[time], *faces])


def _told_apart(first: _Pass, second: _Pass) -> _Pass:
  """The second way through a window, told where it found what the first did not."""
  before = {r.course.key: verdicts for r, verdicts in zip(first.readings, first.verdicts)}
  told = [
    [
      REFOUND if new == GOOD and old != GOOD else new
      for new, old in zip(verdicts, before.get(reading.course.key, [None] * len(verdicts)))
    ]
    for reading, verdicts in zip(second.readings, second.verdicts)
  ]
  return dataclasses.replace(second, verdicts=told)


def _finish(
  frames: Sequence[np.ndarray],
  before: ShotState,
  found: _Pass,
  predictors: Mapping[str, Predictor],
  start: int,
  is_cut: bool,
) -> tuple[list[FrameMasks], Follower, dict[int, FaceState]]:
  """Draws the masks and takes in what they say."""
  shown, failed, kept = {}, [], []
  for reading, verdicts in zip(found.readings, found.verdicts):
    if any(verdicts):
      shown[reading.course.key] = _shown(reading, verdicts, start)
      kept.append((reading, verdicts))
    else:
      failed.append(reading.course.key)
  follower = found.follower.finish(shown, failed, start, len(frames))
  ids = {track.key: track.id for track in follower.tracks if track.id is not None}
  pieces, faces = draw_faces(
    frames,
    [reading for reading, _ in kept],
    [verdicts for _, verdicts in kept],
    [ids[reading.course.key] for reading, _ in kept],
    before.faces,
    predictors,
  )
  chosen = {reading.course.key for reading in found.readings}
  masks = [
    frame_masks.compose(
      of_frame,
      start + time,
      *frames[0].shape[:2],
      is_cut=is_cut and time == 0,
      lost=follower.lost(start, {piece.id for piece in of_frame}, start + time, chosen),
      window=start,
    )
    for time, of_frame in enumerate(pieces)
  ]
  return masks, follower, faces


def _shown(reading: Reading, verdicts: Verdicts, start: int) -> Shown:
  times = [time for time, verdict in enumerate(verdicts) if verdict is not None]
  offsets = np.stack([reading.evidence[time].offset for time in times])
  is_seen = bool(reading.course.is_seen.any())
  offset = np.median(offsets, axis=0) if is_seen else offsets[-1]
  return Shown([start + time for time in times], offset, is_seen)
