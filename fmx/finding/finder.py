"""Our own finder: whole frames in, faces out, each with its pose, five points and a confidence."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, cast

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from fmx.finding.found import Found, apart, decoded
from fmx.finding.second_look import DOUBTED, doubted, reviewed, seen_again, views
from fmx.models.finder import FinderNetwork
from fmx.weights import FinderModel

__all__ = ['Finder', 'Found']

LONG_SIDE = 320  # Pixels of the frame that the network sees.
CONFIDENCE = 0.4  # Of what counts as a face.
_STEP = 64  # Pixels: sides of what the network sees are multiples. Few shapes, as each is compiled.
_ENLARGE = 2.0  # Small frames are enlarged by at most this.
_BATCH = 8  # Frames that the network sees at once, at most.


class Finder:
  """Finds the faces of frames. Keeps nothing between calls but what it compiled."""

  def __init__(
    self, model: FinderModel, *, long_side: int = LONG_SIDE, confidence: float = CONFIDENCE
  ):
    """Takes a trained network.

    Args:
      model: Of `fmx.weights`.
      long_side: Pixels to which the longer side of frames is brought.
      confidence: Of the least sure face that is given, in (0, 1).
    """
    self._variables, self._long_side = model.variables, long_side
    self._confidence = confidence
    self._network = model.network

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
    seen = [apart(decoded(said, confidence=least, scale=scale)) for said in self._said(canvases)]
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
    outputs = self._said(np.stack([view for face in faces for view in views(frame, face)]))
    again = [
      seen_again(face, outputs[2 * number], outputs[2 * number + 1])
      for number, face in enumerate(faces)
    ]
    return [face if face and face.confidence >= self._confidence else None for face in again]

  def _said(self, canvases: np.ndarray) -> list[np.ndarray]:
    """What the network says of each canvas: float32 [h, w, 14]."""
    outputs: list[np.ndarray] = []
    for start in range(0, len(canvases), _BATCH):
      part = canvases[start : start + _BATCH]
      size = 1 << (len(part) - 1).bit_length()  # Few sizes, as each is compiled.
      padded = np.concatenate([part, np.zeros((size - len(part), *part.shape[1:]), np.uint8)])
      output = _apply(self._network, self._variables, jnp.asarray(padded))
      outputs.extend(np.asarray(output)[: len(part)])
    return outputs

  def _again(self, frames: np.ndarray, seen: list[list[Found]]) -> list[list[Found]]:
    """Puts the second look in the place of the first where that is doubted."""
    doubts = [(index, face) for index, faces in enumerate(seen) for face in doubted(faces)]
    kept = [[face for face in faces if face.confidence >= DOUBTED[1]] for faces in seen]
    if not doubts:
      return kept
    outputs = self._said(
      np.stack([v for index, face in doubts for v in views(frames[index], face)])
    )
    for number, (index, face) in enumerate(doubts):
      kept[index].append(reviewed(face, outputs[2 * number], outputs[2 * number + 1]))
    return kept


@functools.partial(jax.jit, static_argnums=0)
def _apply(network: FinderNetwork, variables: Any, frames: jax.Array) -> jax.Array:
  return cast(jax.Array, network.apply(variables, frames))


def letterboxed(frames: np.ndarray, long_side: int) -> tuple[np.ndarray, np.ndarray]:
  """Frames at the size that the network sees, at the upper left of black canvases.

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
    out[: size[1], : size[0]] = cv2.resize(np.ascontiguousarray(frame), size, interpolation=how)
  return canvases, np.array(size) / (width, height)
