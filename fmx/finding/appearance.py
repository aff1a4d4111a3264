"""What a face looks like: enough to tell two people who cross, not to know one among thousands."""

from __future__ import annotations

import cv2
import numpy as np

from fmx.data.cutting import cut
from tfds_300vw.pose import Pose

_SIDE = 12  # Pixels of the small upright picture.
_MARGIN = 1.5  # Hair and chin, little of what is behind.
_LONG_SIDE = 320  # Pixels of the frame that it is taken from.
_LEAST_VIEW = 0.35  # Share of two pictures that must be in both.
_CHROMA = 3.0  # Weight of the colours beside that of light and dark.


def reduced(frame: np.ndarray) -> tuple[np.ndarray, float]:
  """A frame as small as descriptions need it, and its scale.

  Args:
    frame: uint8 [H, W, 3].
  """
  scale = min(_LONG_SIDE / max(frame.shape[:2]), 1.0)
  if scale == 1.0:
    return frame, scale
  size = tuple(max(round(side * scale), 1) for side in frame.shape[1::-1])
  return cv2.resize(np.ascontiguousarray(frame), size, interpolation=cv2.INTER_AREA), scale


def describe(small: np.ndarray, scale: float, pose: Pose) -> np.ndarray:
  """Describes a face by a small upright picture of it, blind to brightness and contrast.

  Args:
    small: From `reduced`.
    scale: Likewise.
    pose: Of the face in the frame.

  Returns:
    float32 [D]; NaN where the picture reaches out of the frame.
  """
  seen = Pose(
    (pose.x + 0.5) * scale - 0.5, (pose.y + 0.5) * scale - 0.5, pose.size * scale, pose.roll
  )
  matrix = seen.matrix(_SIDE, margin=_MARGIN)
  picture = cut(small, matrix, _SIDE)
  colors = cv2.cvtColor(picture, cv2.COLOR_RGB2YCrCb).astype(np.float32) - 128
  colors[~_inside(matrix, *small.shape[:2])] = np.nan
  if np.isnan(colors).all():
    return colors.reshape(-1)
  colors[..., 0] -= np.nanmean(colors[..., 0])
  colors[..., 1:] *= _CHROMA
  return (colors / max(float(np.sqrt(np.nansum(colors**2))), 1e-6)).reshape(-1)


def blended(description: np.ndarray, new: np.ndarray, share: float) -> np.ndarray:
  """A description that takes over a share of a new one, and all that it did not know."""
  mixed = np.where(np.isnan(new), description, (1 - share) * description + share * new)
  return np.where(np.isnan(description), new, mixed)


def likeness(descriptions: np.ndarray, others: np.ndarray) -> np.ndarray:
  """How alike faces look: [N, D] and [M, D] to [N, M] in [-1, 1]; NaN if too little is in view."""
  known, other_known = ~np.isnan(descriptions), ~np.isnan(others)
  one, other = np.nan_to_num(descriptions), np.nan_to_num(others)
  lengths = np.sqrt((one**2 @ other_known.T) * (known @ (other**2).T))
  shared = known.astype(np.float32) @ other_known.T / max(descriptions.shape[1], 1)
  return np.where(shared >= _LEAST_VIEW, one @ other.T / np.maximum(lengths, 1e-9), np.nan)


def _inside(matrix: np.ndarray, height: int, width: int) -> np.ndarray:
  """Whether a pixel of the picture shows the frame, bool [_SIDE, _SIDE]."""
  rows, columns = np.indices((_SIDE, _SIDE))
  back = cv2.invertAffineTransform(matrix)
  x, y = (a * columns + b * rows + c for a, b, c in back)
  return (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)
