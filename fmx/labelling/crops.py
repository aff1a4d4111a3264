"""Upright crops: out of frames into a network, and its probabilities back into the frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from fmx.data.cutting import cut
from fmx.weights import Model
from tfds_300vw.pose import Pose, move

# Side of the crop over the size of what it shows, where weights do not say.
MARGINS = {'primary': 1.45, 'mouth': 1.75, 'eye': 2.4}


class Crop(NamedTuple):
  """A square of a frame.

  Attributes:
    pose: Of what it shows.
    matrix: From pixels of the frame to those of the crop, [2, 3].
    side: Pixels.
    margin: Side over the size of what it shows.
  """

  pose: Pose
  matrix: np.ndarray
  side: int
  margin: float

  def image(self, frame: np.ndarray) -> np.ndarray:
    """What it shows of a frame, uint8 [side, side, 3]."""
    return cut(frame, self.matrix, self.side)

  def inside(self, height: int, width: int) -> np.ndarray:
    """Whether a pixel lies inside of the frame, bool [side, side]."""
    back = cv2.invertAffineTransform(self.matrix)
    column, row = np.arange(self.side), np.arange(self.side)[:, None]
    x, y = (a * column + b * row + c for a, b, c in back)
    return (x >= -0.5) & (y >= -0.5) & (x <= width - 0.5) & (y <= height - 0.5)

  def box(self, mask: np.ndarray, height: int, width: int) -> np.ndarray | None:
    """Boxes the True pixels of a crop in the frame.

    Args:
      mask: bool [side, side].
      height: Of the frame, pixels.
      width: Likewise.

    Returns:
      int64 [4], half-open, with a pixel or two to spare; None where nothing is left in the frame.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
      return None
    x, y = (columns[0] - 1, columns[-1] + 1), (rows[0] - 1, rows[-1] + 1)
    corners = np.array([(a, b) for a in x for b in y], np.float64)
    placed = move(corners, cv2.invertAffineTransform(self.matrix))
    low = np.maximum(np.floor(placed.min(axis=0)).astype(np.int64), 0)
    high = np.minimum(np.ceil(placed.max(axis=0)).astype(np.int64) + 1, (width, height))
    return None if (low >= high).any() else np.concatenate([low, high])

  def put_back(self, image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Samples an image of the crop where the pixels of a box of the frame are.

    Args:
      image: [side, side, C] of at most 4 channels, uint8 or float32.
      box: [4].

    Returns:
      [height of the box, width of the box, C], bilinear; 0 outside of the crop.
    """
    x0, y0, x1, y1 = (int(edge) for edge in box)
    matrix = self.matrix.copy()
    matrix[:, 2] += matrix[:, :2] @ (x0, y0)
    # OpenCV wants to know for each pixel of the result where it comes from.
    size = (x1 - x0, y1 - y0)
    placed = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return placed.reshape(y1 - y0, x1 - x0, -1)


def crop_of(pose: Pose, model: Model, *, mirror: bool = False) -> Crop:
  """The crop that a network wants of something.

  Args:
    pose: Of it.
    model: The network.
    mirror: Whether it is to be mirrored.
  """
  margin = margin_of(model)
  matrix = pose.matrix(model.image_size, margin=margin, mirror=mirror)
  return Crop(pose, matrix, model.image_size, margin)


def margin_of(model: Model) -> float:
  """Side of a network's crops over the size of what they show."""
  return getattr(model, 'margin', None) or MARGINS[model.region]


def images(crops: Sequence[Crop], frames: Sequence[np.ndarray]) -> np.ndarray:
  """What the crops of a window show, one of each frame: uint8 [t, side, side, 3]."""
  return np.stack([crop.image(frame) for crop, frame in zip(crops, frames, strict=True)])
