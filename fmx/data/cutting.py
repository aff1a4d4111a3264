"""Cutting an upright square out of a frame, as training and extraction both do it."""

import cv2
import numpy as np

_SHARP = 0.75  # Scale below which bilinear samples would skip pixels of the frame.


def cut(frame: np.ndarray, matrix: np.ndarray, side: int) -> np.ndarray:
  """Samples a square out of a frame, without aliasing; outside of the frame lies black.

  Args:
    frame: uint8 [H, W, C].
    matrix: [2, 3], from pixels of the frame to those of the square: `Pose.matrix`.
    side: Of the square, pixels.

  Returns:
    uint8 [side, side, C].
  """
  scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
  if scale < _SHARP:
    frame, matrix = _shrink(frame, matrix, side, scale)
  return cv2.warpAffine(np.ascontiguousarray(frame), matrix, (side, side), flags=cv2.INTER_LINEAR)


def _shrink(
  frame: np.ndarray, matrix: np.ndarray, side: int, scale: float
) -> tuple[np.ndarray, np.ndarray]:
  """The part of a frame that is seen, at the size at which it is seen, and the way from there."""
  height, width = frame.shape[:2]
  edges = np.array([[-1, -1], [side, -1], [side, side], [-1, side]], np.float64)
  back = cv2.invertAffineTransform(matrix)
  corners = edges @ back[:, :2].T + back[:, 2]
  low = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, (width - 1, height - 1))
  high = np.clip(np.ceil(corners.max(axis=0)).astype(int) + 1, low + 1, (width, height))
  part = frame[low[1] : high[1], low[0] : high[0]]
  size = np.maximum(np.round((high - low) * scale).astype(int), 1)
  factors = (high - low) / size  # Pixels of the frame over those of the shrunken part.
  small = cv2.resize(part, (int(size[0]), int(size[1])), interpolation=cv2.INTER_AREA)
  # A pixel u of the small part is at low + (u + 1/2) * factor - 1/2 of the frame.
  linear = matrix[:, :2] * factors
  offset = matrix[:, :2] @ (low + factors / 2 - 0.5) + matrix[:, 2]
  return small, np.concatenate([linear, offset[:, None]], axis=1)
