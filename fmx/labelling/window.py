"""One window of a video: looking, labelling, verifying, and all that once more where it fails."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from fmx.finding.follower import Follower
from fmx.finding.looking import ONE, Finder, distinct, look, look_harder, look_upside_down
from fmx.finding.overlap import shared
from fmx.finding.tracks import Course, Shown
from fmx.labelling import frame_masks
from fmx.labelling.faces import FaceState, Reading, draw_faces, read_faces, settled
from fmx.labelling.frame_masks import DOUBTFUL, GOOD, REFOUND, FrameMasks
from fmx.labelling.predictor import Predictor

Verdicts = list[str | None]  # Of the frames of a window; None leaves the mask empty.
_SETTLING = 2  # Further looks at a face whose mask is not in the middle of its crop.
_LONGEST_PAUSE = 5  # Windows: a second at 30 frames a second.


@dataclasses.dataclass(frozen=True)
class ShotState:
  """What is known after some windows of a shot.

  Attributes:
    follower: Of the faces.
    faces: What the networks need to go on, by key of the track.
    wait: Windows without a face until the finder looks harder again.
    pause: Windows that it then waits.
  """

  follower: Follower
  faces: Mapping[int, FaceState] = dataclasses.field(default_factory=dict)
  wait: int = 0
  pause: int = 0


@dataclasses.dataclass(frozen=True)
class _Pass:
  """What one way through a window gave."""

  follower: Follower
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
    return _finish(frames, before, known, predictors, start, is_cut, before.wait, before.pause)
  times = sorted({0, length // 2, length - 1})
  looks: dict[int, list] = look(finder, frames, times)
  first = _go_through(frames, before, looks, predictors, start)
  found, wait, pause = first, before.wait, before.pause
  missed = [
    track for track in before.follower.tracks
    if track.is_shown and track.key not in {r.course.key for r in first.readings}
  ]  # fmt: skip
  if first.is_empty() and not first.failed() and wait:
    wait -= 1  # Nothing was there, and nothing is.
  elif first.failed() or first.is_empty() or missed:
    looks |= look(finder, frames, [time for time in range(length) if time not in looks])
    if _is_unseen(first, looks):
      _look_harder(finder, frames, looks, times)
    _look_upside_down(finder, frames, looks, _rejected(first))
    given_up = frozenset(
      reading.course.key
      for reading, verdicts in zip(first.readings, first.verdicts)
      if not any(verdicts)
    )
    found = _go_through(frames, before, looks, predictors, start, given_up)
    found = _told_apart(first, found)
    wait, pause = (pause, min(2 * pause + 1, _LONGEST_PAUSE)) if found.is_empty() else (0, 0)
  return _finish(frames, before, found, predictors, start, is_cut, wait, pause)


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
  return _Pass(before.follower, readings, [[GOOD] * len(frames) for _ in readings])


def _go_through(
  frames: Sequence[np.ndarray],
  before: ShotState,
  looks: Mapping[int, Sequence],
  predictors: Mapping[str, Predictor],
  start: int,
  given_up: frozenset[int] = frozenset(),
) -> _Pass:
  follower, courses = before.follower.follow(frames, looks, start)
  chosen = follower.choose(courses, given_up)
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
  return _Pass(follower, readings, [_verdicts(reading, before.faces) for reading in readings])


def _verdicts(reading: Reading, before: Mapping[int, FaceState]) -> Verdicts:
  """What to think of a face's masks; one that was seen well may be half hidden for a while."""
  seen = list(zip(reading.course.is_seen, reading.evidence, strict=True))
  is_known = reading.course.key in before or any(
    is_seen and evidence.is_face for is_seen, evidence in seen
  )
  verdicts: Verdicts = []
  for is_seen, evidence in seen:
    if is_seen and (evidence.is_face or (is_known and evidence.is_like)):
      verdicts.append(GOOD)
    else:
      verdicts.append(DOUBTFUL if evidence.is_sure else None)
  return verdicts


def _is_unseen(first: _Pass, looks: Mapping[int, Sequence]) -> bool:
  """Whether the finder sees no face at all, or not one that is followed."""
  return not any(looks.values()) or not all(r.course.is_seen.any() for r in first.readings)


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


def _rejected(first: _Pass) -> list[Course]:
  """The courses of faces that the finder sees in frames in which their masks are none of a face."""
  return [
    reading.course
    for reading, verdicts in zip(first.readings, first.verdicts)
    if any(is_seen and not verdict for is_seen, verdict in zip(reading.course.is_seen, verdicts))
  ]


def _look_upside_down(
  finder: Finder, frames: Sequence[np.ndarray], looks: dict[int, list], courses: Sequence[Course]
) -> None:
  """Puts surer finds in the places of those that may be of hanging heads."""

  def found(times: Sequence[int]) -> dict[int, list]:
    return {
      time: [
        face
        for face in faces
        if any(shared(face.pose, course.poses[time]) >= ONE for course in courses)
      ]
      for time, faces in look_upside_down(finder, frames, times).items()
    }

  middle = len(frames) // 2
  if not courses or not (seen := found([middle]))[middle]:
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
  wait: int,
  pause: int,
) -> tuple[list[FrameMasks], ShotState]:
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
  return masks, ShotState(follower, faces, wait, pause)


def _shown(reading: Reading, verdicts: Verdicts, start: int) -> Shown:
  times = [time for time, verdict in enumerate(verdicts) if verdict is not None]
  offsets = np.stack([reading.evidence[time].offset for time in times])
  is_seen = bool(reading.course.is_seen.any())
  offset = np.median(offsets, axis=0) if is_seen else offsets[-1]
  return Shown([start + time for time in times], offset, is_seen)
