"""Following faces: from what the finder sees in some frames to each face's pose in all frames."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from fmx.finding import appearance, motion
from fmx.finding.association import BRIEF, Known, Stranger, associate, is_crowded
from fmx.finding.looking import Found
from fmx.finding.overlap import shared
from fmx.finding.tracks import (
  PATIENCE,
  Course,
  Shown,
  Track,
  after_shown,
  course_of,
  seen_again,
  upright,
)
from tfds_300vw.pose import Pose

MEMORY = 300  # Frames, ten seconds: so long a face keeps its id without being seen.
NEW = 0.4  # Confidence with which a face begins; what is followed may be less sure.

_MAX_TRACKS = 64
_STRANGER_MEMORY = 15  # Frames, for what was never shown and never looked like no face.
_CLOSE = 0.25  # Shared area from which one face may hide another.
_HOLD = 1.5  # By how much a face must be larger than one that is shown to take its place.


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
        course := course_of(
          track, knots, seen.get(track.key, set()), sorted(looks), len(frames), start
        )
      )
    ]
    return follower, courses

  def expected(self, time: int) -> list[Pose]:
    """Where the faces that are shown will be in a frame, by its index."""
    return [motion.pose_of(track.expected(time)) for track in self.tracks if track.is_shown]

  def expects(self, face: Found, time: int) -> bool:
    """Whether a find in a frame, by its index, is about where a face is that is shown."""
    return any(track.is_shown and track.meets(face.pose, time) for track in self.tracks)

  def foresaw(self, found: Sequence[Found], time: int) -> bool:
    """Whether faces are there that are shown, all of them about where they were to be expected.

    Args:
      found: What the finder sees in a frame.
      time: Index of the frame in the video.
    """
    shown = {track.key for track in self.tracks if track.is_shown}
    met = {
      next((track.key for track in self.tracks if track.meets(face.pose, time)), None)
      for face in found
    }
    return bool(shown) and shown <= met and None not in met

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
        shared(course.poses[-1], other.poses[-1]) > _CLOSE for other in seen
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
        track = after_shown(track, shown[track.key], ids.get(track.key, track.id))
      else:
        failures = track.failures + (track.key in failed and track.id is None)
        track = dataclasses.replace(track, is_shown=False, failures=failures)
      is_remembered = track.id is not None or track.is_given or track.failures
      if end - track.time <= (MEMORY if is_remembered else _STRANGER_MEMORY):
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
        motion.pose_of(track.vector),
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
        tracks[index] = seen_again(tracks[index], face, stranger, time)
        keys.append(tracks[index].key)
      elif face.confidence >= NEW:
        vector, looks, sure = motion.vector_of(face.pose), stranger.looks, face.confidence
        track = Track(next_key, None, time, vector, np.zeros(2), upright(face), looks, sure)
        tracks.append(track)
        keys.append(next_key)
        next_key += 1
    return dataclasses.replace(self, tracks=tuple(tracks), next_key=next_key), keys
