"""How much boxes, and faces by their poses, share of their places."""

from __future__ import annotations

import numpy as np

from tfds_300vw.pose import Pose


def iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
  """Area that boxes share over the area that they cover together.

  Args:
    boxes: [N, 4], x0, y0, x1, y1.
    others: [M, 4].

  Returns:
    float64 [N, M] in [0, 1].
  """
  boxes, others = np.asarray(boxes, np.float64)[:, None], np.asarray(others, np.float64)[None]
  low, high = (
    np.maximum(boxes[..., :2], others[..., :2]),
    np.minimum(boxes[..., 2:], others[..., 2:]),
  )
  shared = np.prod(np.maximum(high - low, 0), axis=-1)
  areas = [np.prod(each[..., 2:] - each[..., :2], axis=-1) for each in (boxes, others)]
  return shared / np.maximum(areas[0] + areas[1] - shared, 1e-9)


def shared(pose: Pose, other: Pose) -> float:
  """Area that the upright squares of two poses share over that of the smaller one, in [0, 1]."""
  half = (pose.size + other.size) / 2
  least = min(pose.size, other.size)
  sides = [min(max(half - abs(gap), 0.0), least) for gap in (pose.x - other.x, pose.y - other.y)]
  return sides[0] * sides[1] / least**2
