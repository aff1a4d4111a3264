"""One way through a window: what was read of the faces, and what it is worth."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from fmx.finding.follower import Follower
from fmx.finding.looking import Found
from fmx.finding.looking_again import Looks
from fmx.finding.motion import agree
from fmx.finding.tracks import Course
from fmx.labelling.bridging import bridges, number_settled
from fmx.labelling.faces import FaceState, Reading
from fmx.labelling.frame_masks import DOUBTFUL, GOOD, REFOUND
from fmx.labelling.verdicts import Verdicts


@dataclasses.dataclass(frozen=True)
class Pass:
  """What one way through a window gave.

  Attributes:
    follower: After it.
    courses: Of all faces, also of those that were not looked for.
    readings: Of those that were,
    verdicts: and what they are worth.
  """

  follower: Follower
  courses: list[Course]
  readings: list[Reading]
  verdicts: list[Verdicts]

  def failed(self) -> bool:
    """Whether a face is missing in some frame, or was not seen by the finder."""
    return any(None in verdicts or DOUBTFUL in verdicts for verdicts in self.verdicts)

  def is_empty(self) -> bool:
    """Whether no frame has a face."""
    return not any(any(verdicts) for verdicts in self.verdicts)

  def has_mask(self, face: Found, time: int) -> bool:
    """Whether a find in a frame is of a face that has a mask in every frame."""
    return any(
      all(verdicts) and agree(reading.course.poses[time], face.pose)
      for reading, verdicts in zip(self.readings, self.verdicts)
    )

  def given_up(self) -> frozenset[int]:
    """The keys of faces that have no mask in any frame."""
    pairs = zip(self.readings, self.verdicts)
    return frozenset(reading.course.key for reading, verdicts in pairs if not any(verdicts))

  def bridged(self, known: Mapping[int, FaceState], longest: int) -> set[int]:
    """The frames in which a face would be bridged, by what is known of faces from before."""
    return {
      bridge.time
      for reading, verdicts in zip(self.readings, self.verdicts)
      for bridge in bridges(reading, verdicts, known.get(reading.course.key), longest)
    }

  def skips(self) -> bool:
    """Whether there are frames that the networks did not look at."""
    return any(reading.skips for reading in self.readings)

  def is_calm(self, known: Mapping[int, FaceState], longest: int) -> bool:
    """Whether every face is well seen in every frame, and none will be bridged."""
    length = len(self.readings[0].crops)
    settled = number_settled(length, self.readings, self.verdicts, known, longest)
    is_good = all(verdict == GOOD for of_face in self.verdicts for verdict in of_face)
    return is_good and settled == length and not self.bridged(known, longest)

  def overlooks_all(self, looks: Looks) -> bool:
    """Whether the finder sees no face at all, or not one that is followed."""
    return not any(looks.values()) or not all(r.course.is_seen.any() for r in self.readings)


def told_apart(first: Pass, second: Pass) -> Pass:
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
