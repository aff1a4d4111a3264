"""Further looks at the frames of a window, each adding to what the finder saw there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fmx.finding.looking import (
  ONE,
  Finder,
  distinct,
  look_harder,
  look_into_parts,
  look_upside_down,
)
from fmx.finding.overlap import shared
from fmx.finding.tracks import Course

Looks = dict[int, list]  # Found faces by position in the window.
_CLOSE = 0.25  # Shared area from which a hanging head would be a part of another face.
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


def add_smaller(finder: Finder, frames: Sequence[np.ndarray], looks: Looks, time: int) -> bool:
  """Adds small faces that enlarged parts of a frame show beside those that were seen.

  Args:
    finder: The finder.
    frames: Of the window, uint8 [H, W, 3].
    looks: What it saw; is changed.
    time: Position of the frame.

  Returns:
    Whether there are any.
  """
  smaller = [
    face
    for face in look_into_parts(finder, frames[time])
    if all(shared(face.pose, other.pose) < ONE for other in looks[time])
  ]
  looks[time] = [*looks[time], *smaller]
  return bool(smaller)


def add_harder(
  finder: Finder, frames: Sequence[np.ndarray], looks: Looks, times: Sequence[int]
) -> None:
  """Adds faces that turned frames and their parts show.

  Where the middle of the times shows nothing, no other will.

  Args:
    finder: The finder.
    frames: Of the window, uint8 [H, W, 3].
    looks: What it saw; is changed.
    times: Positions of the frames to look at.
  """
  middle = times[len(times) // 2]
  for time in (middle, *(time for time in times if time != middle)):
    found = look_harder(finder, frames[time])
    if not found:
      return
    looks[time] = distinct([*looks[time], *found])


def add_hanging(
  finder: Finder,
  frames: Sequence[np.ndarray],
  looks: Looks,
  accepted: Sequence[Course],
  rejected: Sequence[Course],
) -> None:
  """Puts surer finds in the places of those that may be of hanging heads.

  Args:
    finder: The finder.
    frames: Of the window, uint8 [H, W, 3].
    looks: What it saw; is changed.
    accepted: Courses of faces whose masks are right, which keep their places.
    rejected: Courses of what has no face's mask there.
  """

  def found(times: Sequence[int]) -> Looks:
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
