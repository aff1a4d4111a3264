"""Asking the finder: in frames as they are, and harder where that shows nothing."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Protocol

import cv2
import numpy as np

from fmx.finding.overlap import shared
from tfds_300vw.pose import Pose, move

_TURNS = (-60.0, 60.0, 180.0)  # Degrees.
_TILE = 0.6  # Of a side of the frame; four tiles overlap by a third,
_SMALL_TILE = 0.45  # and nine smaller ones by nearly as much.
_AROUND = 2.0  # Sizes of a face, either way, that a part of the frame around it shows.
_LEAST_TILE = 160  # Pixels of a tile's longer side: smaller ones show nothing new.
ONE = 0.5  # Shared area from which two finds are one face.


class Found(Protocol):
  """A face that the finder sees."""

  @property
  def pose(self) -> Pose:
    """Where it is, how large and how far rolled."""

  @property
  def points(self) -> np.ndarray:
    """Its five points, [5, 2]."""

  @property
  def confidence(self) -> float:
    """In [0, 1]."""


Finder = Callable[[np.ndarray], Sequence[Sequence[Found]]]  # Of frames uint8 [N, H, W, 3].


@dataclasses.dataclass(frozen=True)
class Seen:
  """A face as the finder would have seen it in the frame itself; see `Found`."""

  pose: Pose
  points: np.ndarray
  confidence: float


def look(finder: Finder, frames: Sequence[np.ndarray], times: Sequence[int]) -> dict[int, list]:
  """What the finder sees in some of the frames.

  Args:
    finder: The finder.
    frames: uint8 [H, W, 3] each, of one size.
    times: Which ones.

  Returns:
    Found faces by time, each face once.
  """
  if not times:
    return {}
  shown = [frames[time] for time in times]
  found = finder(np.stack(shown) if len(shown) > 1 else shown[0][None])  # One is not copied.
  return {time: distinct(of_frame) for time, of_frame in zip(times, found, strict=True)}


def look_harder(finder: Finder, frame: np.ndarray) -> list[Seen]:
  """What the finder sees in a frame that is turned any way, and in enlarged parts of it.

  Args:
    finder: The finder.
    frame: uint8 [H, W, 3].

  Returns:
    Found faces in pixels of the frame, each once.
  """
  height, width = frame.shape[:2]
  seen = look_into_parts(finder, frame) or look_into_parts(finder, frame, _SMALL_TILE)
  for degrees in _TURNS:
    matrix, size = _turn(height, width, degrees)
    (found,) = finder(cv2.warpAffine(frame, matrix, size)[None])
    back = cv2.invertAffineTransform(matrix)
    seen += [_moved(face, back) for face in found]
  return distinct([s for s in seen if 0 <= s.pose.x < width and 0 <= s.pose.y < height])


def look_into_parts(finder: Finder, frame: np.ndarray, share: float = _TILE) -> list[Seen]:
  """What the finder sees in enlarged parts of a frame; otherwise as `look_harder`.

  A frame too small for that has no parts.

  Args:
    finder: The finder.
    frame: uint8 [H, W, 3].
    share: Of the frame's sides that a part's have.
  """
  height, width = frame.shape[:2]
  tile = [round(share * side) for side in (width, height)]
  if max(tile) < _LEAST_TILE:
    return []
  number = math.ceil(1 / share)
  x_starts, y_starts = (
    np.linspace(0, side - part, number).round().astype(int).tolist()
    for side, part in zip((width, height), tile)
  )
  corners = [(x, y) for y in y_starts for x in x_starts]
  parts = np.stack([frame[y : y + tile[1], x : x + tile[0]] for x, y in corners])
  return distinct(
    [
      face
      for corner, found in zip(corners, finder(parts), strict=True)
      for face in _shifted(found, *corner)
    ]
  )


def look_around(finder: Finder, frame: np.ndarray, pose: Pose) -> list[Seen]:
  """What the finder sees in the part of a frame around a pose; otherwise as `look_harder`.

  A face so large that such a part would not be enlarged has none.
  """
  height, width = frame.shape[:2]
  half = _AROUND * pose.size
  if 2 * half > _TILE * max(height, width):
    return []
  x, y, right, bottom = (
    max(round(edge), 0) for edge in (pose.x - half, pose.y - half, pose.x + half, pose.y + half)
  )
  part = frame[y:bottom, x:right]
  if not part.size:
    return []
  (found,) = finder(part[None])
  return distinct(_shifted(found, x, y))


def look_upside_down(
  finder: Finder, frames: Sequence[np.ndarray], times: Sequence[int]
) -> dict[int, list[Seen]]:
  """What the finder sees in some of the frames turned by half a turn; otherwise as `look`.

  Heads that hang it takes for upright ones, if it sees them at all: only there it sees them well.
  """
  turned = [cv2.rotate(frame, cv2.ROTATE_180) for frame in frames]
  height, width = frames[0].shape[:2]
  back = np.array([[-1.0, 0, width - 1], [0, -1, height - 1]])
  return {
    time: [_moved(face, back) for face in found]
    for time, found in look(finder, turned, times).items()
  }


def distinct(found: Sequence[Found]) -> list:
  """Leaves out finds that share their place with surer ones."""
  kept: list[Found] = []
  for face in sorted(found, key=lambda face: -face.confidence):
    if all(shared(face.pose, other.pose) < ONE for other in kept):
      kept.append(face)
  return kept


def _turn(height: int, width: int, degrees: float) -> tuple[np.ndarray, tuple[int, int]]:
  """The way into a turned frame that nothing falls out of, and that frame's width and height."""
  matrix: np.ndarray = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
  cos, sin = np.abs(matrix[0, :2])
  size = np.ceil([width * cos + height * sin, width * sin + height * cos]).astype(int)
  matrix[:, 2] += (size - (width, height)) / 2
  return matrix, (int(size[0]), int(size[1]))


def _shifted(found: Sequence[Found], x: int, y: int) -> list[Seen]:
  """Finds in a part of a frame, whose upper left pixel is at x and y of it, in pixels of that."""
  return [_moved(face, np.array([[1.0, 0, x], [0, 1, y]])) for face in found]


def _moved(face: Found, matrix: np.ndarray) -> Seen:
  """A find in pixels of another image; `matrix` turns and shifts."""
  x, y = move(np.array([face.pose.x, face.pose.y]), matrix)
  turn = float(np.arctan2(matrix[1, 0], matrix[0, 0]))
  roll = float(np.arctan2(np.sin(face.pose.roll + turn), np.cos(face.pose.roll + turn)))
  return Seen(
    Pose(float(x), float(y), face.pose.size, roll), move(face.points, matrix), face.confidence
  )
