"""Faces behind something: how much a mask loses by it. Masks are amodal, so labels stay whole."""

import cv2
import numpy as np

SHARE = 0.25  # Of the face that is hidden.
_STEPS = 12  # Halvings of the ellipse's size, to within a thousandth of the face.


def hide(
  frame: np.ndarray,
  face: np.ndarray,
  rng: np.random.Generator,
  *,
  donor: np.ndarray | None = None,
  share: float = SHARE,
) -> np.ndarray:
  """Hides a share of a face behind an ellipse of one colour, or of a piece of another picture.

  Args:
    frame: uint8 [H, W, 3].
    face: bool [H, W], the face's pixels, at least one.
    rng: Draws the place, somewhere on the face, shape, angle and colour.
    donor: uint8 [h, w, 3], what the ellipse shows; None for a colour.
    share: Of the face's pixels in the frame.

  Returns:
    uint8 [H, W, 3].
  """
  rows, columns = np.nonzero(face)
  place = rng.integers(len(rows))
  centre = int(columns[place]), int(rows[place])
  aspect, angle = rng.uniform(0.5, 1.0), rng.uniform(0, 180)
  low, high = 0.0, 2.0 * float(np.hypot(*face.shape))
  for _ in range(_STEPS):
    radius = (low + high) / 2
    hidden = _ellipse(face.shape, centre, radius, aspect, angle)
    covered = (hidden & face).sum() / len(rows)
    low, high = (radius, high) if covered < share else (low, radius)
  hidden = _ellipse(face.shape, centre, high, aspect, angle)
  if donor is None:
    filling = np.broadcast_to(rng.integers(0, 256, 3).astype(np.uint8), frame.shape)
  else:
    filling = _behind(donor, hidden)
  return np.where(hidden[..., None], filling, frame)


def _ellipse(
  shape: tuple[int, ...], centre: tuple[int, int], radius: float, aspect: float, angle: float
) -> np.ndarray:
  mask = np.zeros(shape, np.uint8)
  axes = max(round(radius), 1), max(round(radius * aspect), 1)
  cv2.ellipse(mask, centre, axes, angle, 0, 360, 1, -1)
  return mask.astype(bool)


def _behind(donor: np.ndarray, hidden: np.ndarray) -> np.ndarray:
  """A picture as large as the mask, in which the donor fills the mask's bounding box."""
  rows, columns = np.flatnonzero(hidden.any(axis=1)), np.flatnonzero(hidden.any(axis=0))
  filling = np.zeros((*hidden.shape, 3), np.uint8)
  height, width = int(rows[-1] - rows[0] + 1), int(columns[-1] - columns[0] + 1)
  filling[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = cv2.resize(donor, (width, height))
  return filling
