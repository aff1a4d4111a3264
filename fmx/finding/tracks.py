"""What is known of one face, and how a sighting or a mask changes that."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from fmx.finding import appearance, motion
from fmx.finding.association import BRIEF, Stranger
from fmx.finding.looking import Found
from tfds_300vw.pose import Pose, move

PATIENCE = 30  # Frames, a second: so long a face is shown that the finder does not see.

_OVERLOOKED = 2  # Frames from a sighting to one in which a face is overlooked.
_LOOKS_GAIN = 0.15
_BIAS_GAIN = 0.3
_MAX_BIAS = 0.15  # Of the size: so far a mask may correct a pose.
# Of the size: so far a mask may lead a face that the finder does not see, a window,
_MAX_STEP = 0.2
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
    confidence: Of the finder, at the last look at which it was seen.
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
  confidence: float = 1.0
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

  def meets(self, pose: Pose, time: int) -> bool:
    """Whether a pose is about where the face was to be expected."""
    return motion.agree(motion.pose_of(self.expected(time)), pose)


class Course(NamedTuple):
  """One face in all frames of a window.

  Attributes:
    key: Of the track.
    poses: Of each of the t frames.
    points: Where the finder's five points are, float64 [t, 5, 2], pixels.
    is_seen: Whether the finder sees the face in the frame, or around it, bool [t].
    confidence: Of the finder, at the last look at which it saw the face.
    is_given: Whether somebody pointed at it.
    failures: Of the track.
  """

  key: int
  poses: tuple[Pose, ...]
  points: np.ndarray
  is_seen: np.ndarray
  confidence: float = 1.0
  is_given: bool = False
  failures: int = 0


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


def seen_again(track: Track, face: Found, stranger: Stranger, time: int) -> Track:
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
    points=upright(face),
    # Next to another face it might be that one's.
    looks=track.looks
    if stranger.is_crowded
    else appearance.blended(track.looks, stranger.looks, _LOOKS_GAIN),
    confidence=face.confidence,
    sightings=track.sightings + 1,
    drift=np.zeros(2),
  )


def course_of(
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
  return Course(track.key, poses, points, is_seen, track.confidence, track.is_given, track.failures)


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


def after_shown(track: Track, shown: Shown, face_id: int | None) -> Track:
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


def upright(face: Found) -> np.ndarray:
  """The five points in units of the face's size around its middle, upright: [5, 2]."""
  return move(np.asarray(face.points, np.float64), face.pose.matrix(1, margin=1.0))


def _placed(points: np.ndarray, pose: Pose) -> np.ndarray:
  """Such points of a face in a pose, pixels: [5, 2]."""
  cos, sin = np.cos(pose.roll), np.sin(pose.roll)
  return pose.size * points @ np.array([[cos, sin], [-sin, cos]]) + (pose.x, pose.y)
