"""Videos whose pixels are not square, as of DVD and HDV: labelled as players show them."""

from collections.abc import Sequence
from fractions import Fraction

import cv2
import numpy as np

_ALIKE = 1.03  # Quotient of a pixel's sides up to which it is as good as square,
_MOST = 4  # and from which a file is not believed.


def as_shown(frame: np.ndarray, aspect: Fraction | None) -> np.ndarray:
  """A frame with square pixels, of which there are never fewer.

  Args:
    frame: uint8 [H, W, 3].
    aspect: Width of a pixel by its height; None for square ones.

  Returns:
    uint8 [h, w, 3]; the frame itself where nothing is to be done.
  """
  x, y = _scale(aspect)
  if x == y:
    return frame
  size = round(frame.shape[1] * x), round(frame.shape[0] * y)
  return cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR)


def box_as_shown(box: Sequence[int], aspect: Fraction | None) -> tuple[int, ...]:
  """A box x0, y0, x1, y1 of a frame in the pixels of `as_shown`; an empty one stays."""
  return tuple(round(edge * scale) for edge, scale in zip(box, 2 * _scale(aspect)))


def _scale(aspect: Fraction | None) -> tuple[float, float]:
  """By how much x and y are multiplied."""
  if not aspect or not _ALIKE < max(aspect, 1 / aspect) < _MOST:
    return 1.0, 1.0
  return max(float(aspect), 1.0), max(float(1 / aspect), 1.0)
