"""Our own finder: whole frames in, faces out, each with its pose, five points and a confidence."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from fmx.engines import choice
from fmx.finding.found import Found, apart, decoded
from fmx.finding.second_look import DOUBTED, doubted, in_fair_light, reviewed, seen_again, views
from fmx.weights import FinderModel

__all__ = ['Finder', 'Found']

LONG_SIDE = 320  # Pixels of the frame that the network sees.
CONFIDENCE = 0.4  # Of what counts as a face.
_STEP = 64  # Pixels: sides of what the network sees are multiples. Few shapes, as each is compiled.
_ENLARGE = 2.0  # Small frames are enlarged by at most this.


class Finder:
  """Finds the faces of frames. Keeps nothing between calls but what it compiled."""

  def __init__(
    self,
    model: FinderModel,
    *,
    long_side: int = LONG_SIDE,
    confidence: float = CONFIDENCE,
    engine: str = 'xla',
  ):
    """Takes a trained network.

    Args:
      model: Of `fmx.weights`.
      long_side: Pixels to which the longer side of frames is brought.
      confidence: Of the least sure face that is given, in (0, 1).
      engine: 'auto', or a key of `fmx.engines.choice.ENGINES`.

    Raises:
      ValueError: there is no such engine, it is not installed, or it cannot run the network.
    """
    self._long_side, self._confidence = long_side, confidence
    self._network = choice.finder(model, engine)

  def __call__(self, frames: np.ndarray) -> list[list[Found]]:
    """Finds faces.

    Args:
      frames: uint8 [N, H, W, 3] RGB.

    Returns:
      The faces of each frame, the largest first.
    """
    if not len(frames):
      return []
    canvases, scale = letterboxed(frames, self._long_side)
    least = min(DOUBTED[0], self._confidence)
    seen = [apart(decoded(said, confidence=least, scale=scale)) for said in self._network(canvases)]
    return [
      apart([face for face in faces if face.confidence >= self._confidence])
      for faces in self._again(frames, seen)
    ]

  def closer(self, frame: np.ndarray, faces: Sequence[Found]) -> list[Found | None]:
    """What an upright and enlarged view shows where faces may be.

    Args:
      frame: uint8 [H, W, 3] RGB.
      faces: Where they may be.

    Returns:
      Of each the face as it is seen there, None where none is.
    """
    if not faces:
      return []
    outputs = self._network(np.stack([view for face in faces for view in views(frame, face)]))
    again = [
      seen_again(face, outputs[2 * number], outputs[2 * number + 1])
      for number, face in enumerate(faces)
    ]
    return [face if face and face.confidence >= self._confidence else None for face in again]

  def _again(self, frames: np.ndarray, seen: list[list[Found]]) -> list[list[Found]]:
    """Puts the second look in the place of the first where that is doubted."""
    doubts = [(index, face) for index, faces in enumerate(seen) for face in doubted(faces)]
    kept = [[face for face in faces if face.confidence >= DOUBTED[1]] for faces in seen]
    if not doubts:
      return kept
    outputs = self._network(
      np.stack([v for index, face in doubts for v in views(frames[index], face)])
    )
    for number, (index, face) in enumerate(doubts):
      kept[index].append(reviewed(face, outputs[2 * number], outputs[2 * number + 1]))
    return kept


def letterboxed(frames: np.ndarray, long_side: int) -> tuple[np.ndarray, np.ndarray]:
  """Frames at the size that the network sees, in fair light, at the upper left of black canvases.

  Args:
    frames: uint8 [N, H, W, 3].
    long_side: Pixels.

  Returns:
    uint8 [N, h, w, 3], both sides multiples of 64; and by how much x and y were
    multiplied.
  """
  number, height, width = frames.shape[:3]
  scale = min(long_side / max(height, width), _ENLARGE)
  size = [max(round(edge * scale), 1) for edge in (width, height)]
  canvas = [-(-edge // _STEP) * _STEP for edge in size]
  canvases = np.zeros((number, canvas[1], canvas[0], 3), np.uint8)
  how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
  for frame, out in zip(frames, canvases, strict=True):
    small = cv2.resize(np.ascontiguousarray(frame), size, interpolation=how)
    out[: size[1], : size[0]] = in_fair_light(small)
  return canvases, np.array(size) / (width, height)
