"""Following faces: from what the finder sees in some frames to each face's pose in all frames."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from fmx.finding import appearance, motion
from fmx.finding.association import BRIEF, Known, Stranger, associate, is_crowded
from fmx.finding.looking import Found
from tfds_300vw.pose import Pose, move

PATIENCE = 30  # Frames, a second: so long a face is shown that the finder does not see.
MEMORY = 300  # Frames, ten seconds: so long a face keeps its id without being seen.
NEW = 0.4  # Confidence with which a face begins; what is followed may be less sure.

_MAX_TRACKS = 64
_STRANGER_MEMORY = 15  # Frames, for a face that was never shown.
_CLOSE = 0.25  # Shared area from which one face may hide another.
_HOLD = 1.5  # By how much a face must be larger than one that is shown to take its place.
_OVERLOOKED = 2  # Frames from a sighting to one in which a face is overlooked.
_LOOKS_GAIN = 0.15
_BIAS_GAIN = 0.3
_MAX_BIAS = 0.15  # Of the size: so far a mask may correct a pose.
_MAX_STEP = (
  0.2  # Of the size: so far a mask may lead a face that the finder does not see, a window,
)
_MAX_DRIFT = 0.5  # and so far in all.


@dataclasses.dataclass(frozen=True)
class Track:
  """What is known of one face; arrays are never changed in place.

  Attributes:
    key: Of this track, whether it is shown or not.
    id: What people see, from 1; None until it is shown.
    time: Index of the frame in which it was last seen.
    vector: Its smoothed pose there, see `motion`.
    velocity: Of its centre, pixels a frame, [2].
    points: [5, 2] in units of the face's size around its middle, upright.
    looks: See `appearance`.
    sightings: Looks at which it was seen.
    bias: What masks add to the pose: centre in units of the size, upright, and log size, [3].
    drift: Where a mask has led it since the finder lost it, pixels, [2].
    since: Index of the first frame in which it had a mask.
    shown: Index of the last one; -1 for none.
    is_shown: Whether the last window showed it.
    is_given: Whether the user pointed at it.
    failures: Windows in a row in which its masks were none of a face, while it was never shown.
  """

  key: int
  id: int | None
  time: int
  vector: np.ndarray
  velocity: np.ndarray
  points: np.ndarray
  looks: np.ndarray
  sightings: int = 1
  bias: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(3))
  drift: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(2))
  since: int = -1
  shown: int = -1
  is_shown: bool = False
  is_given: bool = False
  failures: int = 0

  def expected(self, time: int | np.integer) -> np.ndarray:
    """The vector of where it will be."""
    return motion.expected(self.vector, self.velocity, time - self.time)


class Course(NamedTuple):
  """One face in all frames of a window.

  Attributes:
    key: Of the track.
    poses: Of each of the t frames.
    points: Where the finder's five points are, float64 [t, 5, 2], pixels.
    is_seen: Whether the finder sees the face in the frame, or around it, bool [t].
  """

  key: int
  poses: tuple[Pose, ...]
  points: np.ndarray
  is_seen: np.ndarray


class Shown(NamedTuple):
  """What the masks of a window say of a face.

  Attributes:
    frames: Indices in the video of the frames that have a mask.
    offset: Of the masks from the poses, centre in units of the size, upright, and log size, [3]:
      the median over these frames, or where it was not seen that of the last one.
    is_seen: Whether the finder saw the face in the window.
  """

  frames: Sequence[int]
  offset: np.ndarray
  is_seen: bool


@dataclasses.dataclass(frozen=True)
class Follower:
  """The faces of a shot, after some frames of it.

  It does not change: each method gives the next one, so that a window can be gone through again.

  Attributes:
    max_faces: How many are to be shown.
    tracks: By key, ascending.
    next_key: Of the next track.
    next_id: Of the next face that is shown.
  """

  max_faces: int = 1
  tracks: tuple[Track, ...] = ()
  next_key: int = 1
  next_id: int = 1

  def given(self, pose: Pose, time: int, frame: np.ndarray, points: np.ndarray) -> Follower:
    """Begins with a face that the user points at.

    Args:
      pose: Of the face.
      time: Index of the frame.
      frame: uint8 [H, W, 3].
      points: Where its five points may be, [5, 2], units of the size around the middle.
    """
    looks = appearance.describe(*appearance.reduced(frame), pose)
    track = Track(
      self.next_key, None, time - 1, motion.vector_of(pose), np.zeros(2), points, looks,
      is_given=True,
    )  # fmt: skip
    return dataclasses.replace(self, tracks=(*self.tracks, track), next_key=self.next_key + 1)

  def after_cut(self) -> Follower:
    """Forgets the faces; ids go on counting."""
    return dataclasses.replace(self, tracks=())

  def follow(
    self, frames: Sequence[np.ndarray], looks: Mapping[int, Sequence[Found]], start: int
  ) -> tuple[Follower, list[Course]]:
    """Goes through a window.

    Args:
      frames: The window's, uint8 [H, W, 3].
      looks: What the finder saw, by position in the window.
      start: Index in the video of the window's first frame.

    Returns:
      The follower after the window, and a course of each face that was seen in it or that may still
      be there.
    """
    follower = self
    knots: dict[int, list[tuple[int, np.ndarray]]] = {
      track.key: [(track.time - start, track.vector)]
      for track in self.tracks
      if start - track.time <= BRIEF and track.sightings
    }
    seen: dict[int, set[int]] = {}
    for position in sorted(looks):
      follower, keys = follower._see(frames[position], looks[position], start + position)
      by_key = {track.key: track for track in follower.tracks}
      for key in keys:
        knots.setdefault(key, []).append((position, by_key[key].vector))
        seen.setdefault(key, set()).add(position)
    courses = [
      course
      for track in follower.tracks
      if (
        course := _course(
          track, knots, seen.get(track.key, set()), sorted(looks), len(frames), start
        )
      )
    ]
    return follower, courses

  def choose(
    self, courses: Sequence[Course], given_up: frozenset[int] = frozenset()
  ) -> list[Course]:
    """The faces to label, at most `max_faces`, the largest first.

    A face that is shown stays until another one is much larger; one that the finder does not see
    is not looked for where another one is; what looked like no face comes last.

    Args:
      courses: Of a window, from `follow`.
      given_up: Keys of faces that could not be found in the window.
    """
    by_key = {track.key: track for track in self.tracks}
    seen = [course for course in courses if course.is_seen.any()]

    def is_hidden(course: Course) -> bool:
      return not course.is_seen.any() and any(
        motion.shared(course.poses[-1], other.poses[-1]) > _CLOSE for other in seen
      )

    def rank(course: Course) -> tuple:
      track = by_key[course.key]
      size = course.poses[-1].size * (_HOLD if track.is_shown else 1.0)
      return course.key in given_up, not track.is_given, track.failures, -size, course.key

    possible = sorted((course for course in courses if not is_hidden(course)), key=rank)
    chosen = possible[: self.max_faces]
    return sorted(chosen, key=lambda course: (-course.poses[-1].size, course.key))

  def finish(
    self, shown: Mapping[int, Shown], failed: Collection[int], start: int, length: int
  ) -> Follower:
    """Takes in what the masks of a window say.

    Args:
      shown: By key of the track, what of it is shown.
      failed: Keys of those whose masks were no face's in any frame.
      start: Index of the window's first frame.
      length: Frames of the window.
    """
    end, next_id, tracks = start + length, self.next_id, []
    by_size = sorted(self.tracks, key=lambda track: (-track.vector[2], track.key))
    ids: dict[int, int] = {}
    for track in by_size:
      if track.key in shown and track.id is None:
        ids[track.key], next_id = next_id, next_id + 1
    for track in self.tracks:
      if track.key in shown:
        track = _shown(track, shown[track.key], ids.get(track.key, track.id))
      else:
        failures = track.failures + (track.key in failed and track.id is None)
        track = dataclasses.replace(track, is_shown=False, failures=failures)
      memory = MEMORY if track.id is not None or track.is_given else _STRANGER_MEMORY
      if end - track.time <= memory:
        tracks.append(track)
    tracks = sorted(tracks, key=lambda track: (track.id is None, -track.time))[:_MAX_TRACKS]
    tracks.sort(key=lambda track: track.key)
    return dataclasses.replace(self, tracks=tuple(tracks), next_id=next_id)

  def lost(
    self, start: int, shown: Collection[int], time: int, chosen: Collection[int]
  ) -> tuple[int, ...]:
    """Ids of the faces that should have a mask in a frame and have none.

    Args:
      start: Index of the first frame of its window, which has been finished.
      shown: Ids of the faces that have one.
      time: Index of the frame.
      chosen: Keys of the faces that were looked for in the window.
    """
    return tuple(
      sorted(
        track.id
        for track in self.tracks
        if track.id is not None
        and track.id not in shown
        and (track.key in chosen or track.time < start)
        and track.since <= time <= track.shown + PATIENCE
      )
    )

  def _see(
    self, frame: np.ndarray, found: Sequence[Found], time: int
  ) -> tuple[Follower, list[int]]:
    """Takes in what the finder sees in one frame; also gives the keys of the faces seen."""
    if not found:
      return self, []
    small, scale = appearance.reduced(frame)
    strangers = [
      Stranger(
        face.pose,
        appearance.describe(small, scale, face.pose),
        any(is_crowded(face.pose, other.pose) for other in found if other is not face),
      )
      for face in found
    ]
    known = [
      Known(
        motion.pose_of(track.expected(time)),
        time - track.time,
        track.looks,
        track.id is not None or track.is_given,
      )
      for track in self.tracks
    ]
    pairs = associate(known, strangers)
    tracks, keys, next_key = list(self.tracks), [], self.next_key
    for place, (face, stranger) in enumerate(zip(found, strangers)):
      if place in pairs:
        index = pairs[place]
        tracks[index] = _seen_again(tracks[index], face, stranger, time)
        keys.append(tracks[index].key)
      elif face.confidence >= NEW:
        vector = motion.vector_of(face.pose)
        tracks.append(
          Track(next_key, None, time, vector, np.zeros(2), _upright(face), stranger.looks)
        )
        keys.append(next_key)
        next_key += 1
    return dataclasses.replace(self, tracks=tuple(tracks), next_key=next_key), keys


def _seen_again(track: Track, face: Found, stranger: Stranger, time: int) -> Track:
  """A track with a new sighting of its face."""
  frames = time - track.time
  vector, velocity = motion.vector_of(face.pose), np.zeros(2)
  if frames <= BRIEF and track.sightings:
    vector, velocity = motion.smoothed(track.vector, track.velocity, frames, vector)
  return dataclasses.replace(
    track,
    time=time,
    vector=vector,
    velocity=velocity,
    points=_upright(face),
    # Next to another face it might be that one's.
    looks=track.looks
    if stranger.is_crowded
    else appearance.blended(track.looks, stranger.looks, _LOOKS_GAIN),
    sightings=track.sightings + 1,
    drift=np.zeros(2),
  )


def _course(
  track: Track,
  knots: Mapping[int, Sequence[tuple[int, np.ndarray]]],
  seen: set[int],
  looks: Sequence[int],
  length: int,
  start: int,
) -> Course | None:
  """The course of a face; None if it is neither there nor likely to be."""
  wanted = np.arange(length)
  if seen:
    times, vectors = zip(*knots[track.key])
    vectors = motion.between(times, vectors, wanted)
    for time in range(times[-1] + 1, length):
      vectors[time] = motion.expected(track.vector, track.velocity, time - times[-1])
  elif track.is_shown or (track.is_given and track.shown < 0):
    if start - track.time > PATIENCE:
      return None
    vectors = np.stack([track.expected(start + time) for time in wanted])
    vectors[:, :2] += track.drift
  else:
    return None
  poses = tuple(_corrected(motion.pose_of(vector), track.bias) for vector in vectors)
  points = np.stack([_placed(track.points, motion.pose_of(vector)) for vector in vectors])
  is_seen = _is_seen(seen, looks, length)
  if track.is_given and track.shown < 0:
    is_seen[:] = True  # By the user.
  return Course(track.key, poses, points, is_seen)


def _is_seen(seen: set[int], looks: Sequence[int], length: int) -> np.ndarray:
  """Of each frame whether the finder saw the face: in it, or next to it where it did not look.

  A frame in which it is overlooked counts as well if it is seen shortly before and after.
  """
  found = np.zeros(length, bool)
  for time in range(length):
    before = max((look for look in looks if look <= time), default=None)
    behind = min((look for look in looks if look >= time), default=None)
    around = [other - time for other in seen if abs(other - time) <= _OVERLOOKED]
    found[time] = (
      before in seen or behind in seen or (bool(around) and min(around) < 0 < max(around))
    )
  return found


def _shown(track: Track, shown: Shown, face_id: int | None) -> Track:
  """A track after its face was shown."""
  if shown.is_seen:
    goal = np.clip(track.bias + shown.offset, -_MAX_BIAS, _MAX_BIAS)
    track = dataclasses.replace(track, bias=track.bias + _BIAS_GAIN * (goal - track.bias))
  else:
    pose = motion.pose_of(track.vector)
    step = np.clip(shown.offset[:2], -_MAX_STEP, _MAX_STEP) * pose.size
    cos, sin = np.cos(pose.roll), np.sin(pose.roll)
    drift = track.drift + (cos * step[0] - sin * step[1], sin * step[0] + cos * step[1])
    limit = _MAX_DRIFT * pose.size
    drift = drift * min(1.0, limit / max(float(np.hypot(*drift)), 1e-9))
    track = dataclasses.replace(track, drift=drift)
  since = min(shown.frames) if track.id is None else track.since
  return dataclasses.replace(
    track, id=face_id, since=since, shown=max(shown.frames), is_shown=True, failures=0
  )


def _corrected(pose: Pose, bias: np.ndarray) -> Pose:
  """A pose with what masks add to it."""
  return pose.moved(bias[:2] * pose.size, pose.size * float(np.exp(bias[2])))


def _upright(face: Found) -> np.ndarray:
  """The five points in units of the face's size around its middle, upright: [5, 2]."""
  return move(np.asarray(face.points, np.float64), face.pose.matrix(1, margin=1.0))


def _placed(points: np.ndarray, pose: Pose) -> np.ndarray:
  """Such points of a face in a pose, pixels: [5, 2]."""
  cos, sin = np.cos(pose.roll), np.sin(pose.roll)
  return pose.size * points @ np.array([[cos, sin], [-sin, cos]]) + (pose.x, pose.y)
