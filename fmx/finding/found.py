"""What the finder's network says, read as faces."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np

from fmx.finding.overlap import iou
from fmx.models.finder import CENTRE, HEAT, POINTS, SIZE, STRIDE, UNIT_SIZE
from tfds_300vw.pose import Pose, roll_of

# Where the five points of a face are in the mean, in units of its size around its middle.
USUAL_POINTS = np.array([[-0.22, -0.31], [0.22, -0.31], [0, -0.08], [-0.19, 0.15], [0.19, 0.15]])
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


def usual_points(pose: Pose) -> np.ndarray:
  """Where the five points of a face in a pose are in the mean, pixels: float64 [5, 2]."""
  cos, sin = np.cos(pose.roll), np.sin(pose.roll)
  return pose.size * USUAL_POINTS @ np.array([[cos, sin], [-sin, cos]]) + (pose.x, pose.y)


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
  return bool(iou(face.box()[None], other.box()[None])[0, 0] > _OVERLAP)
