"""Our own finder: whole frames in, faces out, each with its pose, five points and a confidence."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, cast

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from fmx.models.finder import CENTRE, HEAT, POINTS, SIZE, STRIDE, UNIT_SIZE, FinderNetwork
from fmx.weights import FinderModel
from tfds_300vw.pose import Pose, roll_of

LONG_SIDE = 320  # Pixels of the frame that the network sees.
CONFIDENCE = 0.3  # Of what counts as a face.
_STEP = 64  # Pixels: sides of what the network sees are multiples. Few shapes, as each is compiled.
_ENLARGE = 2.0  # Small frames are enlarged by at most this.
_BATCH = 8  # Frames that the network sees at once, at most.
_OVERLAP = 0.35  # IoU above which two are one face,
_INSIDE = 0.4  # as they are if the middle of one is nearer than this share of the other's size.


@dataclasses.dataclass(frozen=True)
class Found:
  """A face in a frame.

  Attributes:
    pose: Where it is, how large and how far rolled.
    points: float64 [5, 2]: eye centres, nose and mouth corners, as `tfds_300vw.pose` has them;
      x then y, pixels of the frame. Some may lie outside it.
    confidence: In [0, 1].
  """

  pose: Pose
  points: np.ndarray
  confidence: float

  def box(self) -> np.ndarray:
    """The upright square around it, of its size: float64 [4], x0, y0, x1, y1, half-open."""
    half = self.pose.size / 2
    middle = np.array([self.pose.x, self.pose.y]) + 0.5
    return np.concatenate([middle - half, middle + half])


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
    outputs: list[np.ndarray] = []
    for start in range(0, len(canvases), _BATCH):
      part = canvases[start : start + _BATCH]
      size = 1 << (len(part) - 1).bit_length()  # Few sizes, as each is compiled.
      padded = np.concatenate([part, np.zeros((size - len(part), *part.shape[1:]), np.uint8)])
      output = _apply(self._network, self._variables, jnp.asarray(padded))
      outputs.extend(np.asarray(output)[: len(part)])
    return [apart(decoded(output, confidence=self._confidence, scale=scale)) for output in outputs]


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


def decoded(output: np.ndarray, *, confidence: float, scale: np.ndarray) -> list[Found]:
  """The faces at the peaks of the heat, in pixels of the frame.

  Args:
    output: float32 [h, w, 14] of the network.
    confidence: Of the least sure.
    scale: x and y of the network's pixels over those of the frame.
  """
  heat = 1 / (1 + np.exp(-np.clip(output[..., HEAT][..., 0], -30, 30)))
  is_peak = (heat >= cv2.dilate(heat, np.ones((3, 3), np.uint8))) & (heat >= confidence)
  found = []
  for row, column in zip(*np.nonzero(is_peak), strict=True):
    cell, said = (np.array([column, row]) + 0.5) * STRIDE, output[row, column].astype(np.float64)
    size = UNIT_SIZE * np.exp(np.clip(said[SIZE][0], -3, 4))
    x, y = (cell + said[CENTRE] * size) / scale - 0.5
    points = (cell + said[POINTS].reshape(5, 2) * size) / scale - 0.5
    size = float(size / np.sqrt(scale.prod()))
    pose = Pose(float(x), float(y), size, roll_of(points))
    found.append(Found(pose, points, float(heat[row, column])))
  return found


def apart(found: Sequence[Found]) -> list[Found]:
  """Of those that are one face the surest, the largest first."""
  kept: list[Found] = []
  for face in sorted(found, key=lambda face: -face.confidence):
    if not any(is_same(face, other) for other in kept):
      kept.append(face)
  return sorted(kept, key=lambda face: -face.pose.size)


def is_same(face: Found, other: Found) -> bool:
  """Whether two of one frame are one face."""
  distance = np.hypot(face.pose.x - other.pose.x, face.pose.y - other.pose.y)
  if distance < _INSIDE * max(face.pose.size, other.pose.size):
    return True
  a, b = face.box(), other.box()
  low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
  shared = np.prod(np.maximum(high - low, 0))
  return bool(shared > _OVERLAP * (face.pose.size**2 + other.pose.size**2 - shared))
