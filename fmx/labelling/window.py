"""One window of a video: looking, labelling, verifying, and all that once more where it fails."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from fmx.finding.follower import Follower
from fmx.finding.looking import Finder, look
from fmx.finding.looking_again import (
  Looks,
  Pause,
  add_followed,
  add_hanging,
  add_harder,
  add_smaller,
  add_surer,
)
from fmx.finding.tracks import Shown
from fmx.labelling import frame_masks
from fmx.labelling.bridging import number_settled
from fmx.labelling.faces import FaceState, Reading, read_faces, read_settled_faces
from fmx.labelling.frame_masks import GOOD, MOST_BRIDGED, MOST_SKIPPED, FrameMasks
from fmx.labelling.passes import Pass, told_apart
from fmx.labelling.pieces import draw_faces
from fmx.labelling.predictor import Predictor
from fmx.labelling.steadying import STEADINESS
from fmx.labelling.verdicts import Verdicts, verdicts_of
from tfds_300vw.pose import Pose


@dataclasses.dataclass(frozen=True)
class Options:
  """How windows are labelled.

  Attributes:
    rest: Frames after one in which the finder saw a face, in which it need not look.
    bridge: As of `draw_faces`.
    steadiness: Likewise.
    skip: Frames in a row that the networks may skip where nothing happens.
  """

  rest: int = 0
  bridge: int = MOST_BRIDGED
  steadiness: float = STEADINESS
  skip: int = MOST_SKIPPED

  def __post_init__(self) -> None:
    """Raises ValueError if one is out of its range."""
    frame_masks.check_bridge(self.bridge)
    frame_masks.check_steadiness(self.steadiness)
    frame_masks.check_skip(self.skip)


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

  def has_trace(self, key: int) -> bool:
    """Whether the last frame has a mask of the face of a track."""
    return key in self.faces and self.faces[key].trace is not None


def label_window(
  frames: Sequence[np.ndarray],
  before: ShotState,
  finder: Finder,
  predictors: Mapping[str, Predictor],
  options: Options,
  *,
  start: int,
  is_cut: bool,
  waits: bool = False,
) -> tuple[list[FrameMasks], ShotState]:
  """Labels the faces of a window.

  The finder looks at the last frame, and if faces are not where they were to be expected there, at
  the first and the middle one. Where a face is then missing, it looks at the others and, if that
  does not help, harder; then all is done again from the start. What it sees in frames that are to
  be bridged is not believed, for it misleads. It may rest where it has just seen every face and
  their masks are sure without it.

  Args:
    frames: uint8 [H, W, 3], of one size.
    before: What the windows before left.
    finder: The finder.
    predictors: By name: 'primary', and those of the zoomed-in networks that are to be used.
    options: How.
    start: Index of the first frame in the video.
    is_cut: Whether a new shot begins with the window.
    waits: Whether frames at the end, in which a face is lost or hardly seen, are left to the next
      window, which shows whether it comes back.

  Returns:
    The masks of the frames, but for those that are left, and what the next window needs.
  """
  known = _unlooked(frames, before, predictors, start, options.rest)
  if known is not None:
    masks, follower, faces = _finish(frames, before, known, predictors, options, start, is_cut)
    return masks, dataclasses.replace(before, follower=follower, faces=faces)
  looks, parts = _first_looks(finder, frames, before, start)
  first = _first_way(frames, before, looks, predictors, options, start)
  found, harder = first, before.harder
  missed = [
    track for track in before.follower.tracks
    if track.is_shown and track.key not in {r.course.key for r in first.readings}
  ]  # fmt: skip
  is_bare = first.is_empty() and not any(track.is_shown for track in before.follower.tracks)
  rests = is_bare and harder.left > 0  # Nothing was there, and nothing is.
  if first.failed() or missed or first.is_empty() and not rests:
    _look_again(
      finder, frames, looks, first, lambda time: before.follower.expected(start + time), rests
    )
    found = _go_through_again(frames, before, looks, predictors, start, first)
  if rests and found.is_empty():
    harder = harder.shorter()
  elif found is not first:
    harder = harder.after(helped=not found.is_empty())
  doubted = found.bridged(before.faces, options.bridge)
  if any(looks.get(time) for time in doubted):
    others = [time for time in range(len(frames)) if time not in doubted]
    looks = {time: looks[time] for time in others if time in looks}
    looks |= look(finder, frames, [time for time in others if time not in looks])
    found = _go_through_again(frames, before, looks, predictors, start, first)
  settled = number_settled(
    len(frames), found.readings, found.verdicts, before.faces, options.bridge
  )
  if waits and settled < len(frames):
    return label_window(
      frames[:settled], before, finder, predictors, options, start=start, is_cut=is_cut
    )
  masks, follower, faces = _finish(frames, before, found, predictors, options, start, is_cut)
  return masks, ShotState(follower, faces, harder, parts)


def _first_looks(
  finder: Finder, frames: Sequence[np.ndarray], before: ShotState, start: int
) -> tuple[Looks, Pause]:
  """What the finder sees in one frame, or in three if that is a surprise; and the next `parts`."""
  middle, last, parts = len(frames) // 2, len(frames) - 1, before.parts
  looks = look(finder, frames, [last])
  if not before.follower.foresaw(looks[last], start + last):
    looks |= look(finder, frames, sorted({0, middle} - {last}))
    follower = before.follower
    add_hanging(finder, frames, looks, lambda face, time: follower.expects(face, start + time))
  if before.follower.max_faces > max(len(looks[last]), 1):
    if parts.left:
      parts = parts.shorter()
    else:
      parts = parts.after(helped=add_smaller(finder, frames, looks, last))
  return looks, parts


def _look_again(
  finder: Finder,
  frames: Sequence[np.ndarray],
  looks: Looks,
  first: Pass,
  expected: Callable[[int], Sequence[Pose]],
  rests: bool,
) -> None:
  """Adds what the finder sees in the other frames, around known faces, and looking harder.

  It does that where it sees nothing. Where what it sees is no face, a small one may be beside it,
  for which it looks unless it `rests` from that.
  """
  times = sorted(looks)
  looks |= look(finder, frames, [time for time in range(len(frames)) if time not in looks])
  add_followed(finder, frames, looks, expected)
  if first.overlooks_all(looks):
    add_harder(finder, frames, looks, times)
  elif first.is_empty() and not rests:
    add_surer(finder, frames, looks, times)
  add_hanging(finder, frames, looks, first.has_mask, margin=0.0)


def _unlooked(
  frames: Sequence[np.ndarray],
  before: ShotState,
  predictors: Mapping[str, Predictor],
  start: int,
  rest: int,
) -> Pass | None:
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
  return Pass(before.follower, courses, readings, [[GOOD] * len(frames) for _ in readings])


def _first_way(
  frames: Sequence[np.ndarray],
  before: ShotState,
  looks: Looks,
  predictors: Mapping[str, Predictor],
  options: Options,
  start: int,
) -> Pass:
  """The first way through a window; the networks skip frames where nothing happens."""
  if options.skip and len(looks) == 1:  # Faces are where they were to be expected.
    found = _go_through(frames, before, looks, predictors, start, skip=options.skip)
    if not found.skips() or found.is_calm(before.faces, options.bridge):
      return found
  return _go_through(frames, before, looks, predictors, start)


def _go_through(
  frames: Sequence[np.ndarray],
  before: ShotState,
  looks: Mapping[int, Sequence],
  predictors: Mapping[str, Predictor],
  start: int,
  given_up: frozenset[int] = frozenset(),
  skip: int = 0,
) -> Pass:
  follower, courses = before.follower.follow(frames, looks, start)
  chosen = follower.choose(courses, given_up)
  if not all(before.has_trace(course.key) for course in chosen):
    skip = 0
  readings = read_settled_faces(frames, chosen, before.faces, predictors['primary'], skip)
  verdicts = [verdicts_of(reading, before.faces) for reading in readings]
  return Pass(follower, courses, readings, verdicts)


def _go_through_again(
  frames: Sequence[np.ndarray],
  before: ShotState,
  looks: Mapping[int, Sequence],
  predictors: Mapping[str, Predictor],
  start: int,
  first: Pass,
) -> Pass:
  """The second way through a window, with other looks than the first."""
  given_up = first.given_up()
  found = _go_through(frames, before, looks, predictors, start, given_up)
  return told_apart(first, _relieved(frames, before, found, predictors, given_up))


def _relieved(
  frames: Sequence[np.ndarray],
  before: ShotState,
  found: Pass,
  predictors: Mapping[str, Predictor],
  given_up: frozenset[int],
) -> Pass:
  """Adds faces that were not looked for, in the frames in which those that were have no mask.

  Where a cut was overlooked, or a face is taken for another one after a leap, the window's later
  frames show a face that had no chance.
  """
  known = {reading.course.key for reading in found.readings}
  room = [found.follower.max_faces - sum(map(bool, verdicts)) for verdicts in zip(*found.verdicts)]
  others = [
    course
    for course in found.courses
    if course.key not in known
    and any(is_seen and left > 0 for is_seen, left in zip(course.is_seen, room))
  ]
  readings, verdicts = list(found.readings), list(found.verdicts)
  chosen = found.follower.choose(others, given_up)
  for reading in read_settled_faces(frames, chosen, before.faces, predictors['primary']):
    its = [
      verdict if verdict == GOOD and left > 0 else None
      for verdict, left in zip(verdicts_of(reading, before.faces), room)
    ]
    if any(its):
      readings.append(reading)
      verdicts.append(its)
      room = [left - (verdict is not None) for verdict, left in zip(its, room)]
  return dataclasses.replace(found, readings=readings, verdicts=verdicts)


def _finish(
  frames: Sequence[np.ndarray],
  before: ShotState,
  found: Pass,
  predictors: Mapping[str, Predictor],
  options: Options,
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
    bridge=options.bridge,
    steadiness=options.steadiness,
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
