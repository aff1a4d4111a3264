"""Further looks at the frames of a window, each adding to what the finder saw there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from fmx.finding.looking import (
  ONE,
  Finder,
  Found,
  distinct,
  look_around,
  look_harder,
  look_into_parts,
  look_upside_down,
)
from fmx.finding.overlap import shared
from tfds_300vw.pose import Pose

Looks = dict[int, list]  # Found faces by position in the window.
_CLOSE = 0.25  # Shared area from which two faces cannot both be there.
# The finder takes hanging heads for upright ones, less surely than turned frames show them: by 0.2
# in 18 of 28 photographs turned by half a turn; of 47 upright ones by 0.1 in none the other way.
SURER, _SURE = 0.2, 0.75
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


def add_followed(
  finder: Finder,
  frames: Sequence[np.ndarray],
  looks: Looks,
  expected: Callable[[int], Sequence[Pose]],
) -> None:
  """Adds small faces that are followed and that only enlarged parts of frames show.

  Args:
    finder: The finder.
    frames: Of the window, uint8 [H, W, 3].
    looks: What it saw; is changed.
    expected: Where faces should be at a position.
  """
  for time, seen in looks.items():
    for pose in expected(time):
      if not _in_place_of(pose, seen):
        seen = distinct([*seen, *look_around(finder, frames[time], pose)])
    looks[time] = seen


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


def add_surer(
  finder: Finder, frames: Sequence[np.ndarray], looks: Looks, times: Sequence[int]
) -> None:
  """Adds faces that enlarged parts of frames show; less sure finds in their places go.

  Args:
    finder: The finder.
    frames: Of the window, uint8 [H, W, 3].
    looks: What it saw; is changed.
    times: Positions of the frames to look at.
  """
  for time in times:
    looks[time] = distinct([*looks[time], *look_into_parts(finder, frames[time])])


def add_hanging(
  finder: Finder,
  frames: Sequence[np.ndarray],
  looks: Looks,
  stays: Callable[[Found, int], bool],
  margin: float = SURER,
) -> None:
  """Puts surer finds of hanging heads in the places of unsure ones.

  Where the last frame that was looked at has none, the others are left alone.

  Args:
    finder: The finder.
    frames: Of the window, uint8 [H, W, 3].
    looks: What it saw; is changed.
    stays: Whether a find at a position is known to be right.
    margin: Confidence that hanging heads must have more.
  """
  for time in sorted(looks, reverse=True):
    sure = [face for face in looks[time] if face.confidence >= _SURE or stays(face, time)]
    if len(sure) == len(looks[time]):
      continue
    surer = [
      face
      for face in look_upside_down(finder, frames, [time])[time]
      if (there := _in_place_of(face.pose, looks[time]))
      and not _in_place_of(face.pose, sure)
      and all(face.confidence > other.confidence + margin for other in there)
    ]
    if not surer:
      return
    kept = [face for face in looks[time] if not _in_place_of(face.pose, surer)]
    looks[time] = distinct([*kept, *surer])


def _in_place_of(pose: Pose, found: Sequence[Found]) -> list[Found]:
  """The finds that cannot be right beside a face."""
  return [face for face in found if shared(pose, face.pose) > _CLOSE]
