"""Whether the masks of a window look like a face's, and where that face is."""

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np

from tfds_300vw import boxes

# A real face covers 0.3 to 0.6 of its crop, of which skin is 0.8 to 0.95.
MIN_COVER = 0.1  # Of the box, by the largest connected piece of the mask.
MAX_COVER = 0.92
MIN_SKIN = 0.5  # Of the piece.
MIN_WHOLE = 0.7  # Of the mask, that the largest piece must hold.
MIN_FEATURES = 0.005  # Of the piece, eyes and mouth, where they are asked for.
MAX_ASPECT = 2.5  # Longer over shorter side of the piece's bounding box.

_SKIN = 1  # Class id in `tfds_300vw.face_mask.CLASS_NAMES`; above it are eyes and mouth.


class FaceShape(NamedTuple):
  """Where the masks of a window show the face; pixels of the whole frame."""

  centre: np.ndarray  # float64 [2], of the last mask's bounding box.
  side: float  # Mean side of that box.
  velocity: np.ndarray  # float64 [2], pixels a frame.
  frames: int  # Of the window.
  lead: float  # Frames from the last mask to the middle of the next window.
  is_cut_off: bool  # Whether the crop cuts the mask off on both sides, so that its size is unknown.


def measure(
  labels: np.ndarray,
  box: np.ndarray,
  size: tuple[int, int],
  *,
  expected_side: float,
  needs_features: bool,
) -> FaceShape | None:
  """Measures the face in the masks of one window.

  Where the crop or the frame cuts a mask off on one side, the other side and the expected size say
  where it would end.

  Args:
    labels: uint8 [t, h, w], class ids inside the box.
    box: int64 [4], in the frame.
    size: Height and width of the frame.
    expected_side: Of the mask's bounding box, pixels.
    needs_features: Whether skin alone is no face: for one that only the detector has seen.

  Returns:
    The face, or None if less than half of the frames show one.
  """
  pieces = [(time, _face_piece(of_frame, needs_features)) for time, of_frame in enumerate(labels)]
  seen = [(time, bounds + np.tile(box[:2], 2)) for time, bounds in pieces if bounds is not None]
  if 2 * len(seen) < max(len(labels), 1):
    return None
  is_cut = np.concatenate([seen[-1][1][:2] <= box[:2], seen[-1][1][2:] >= box[2:]])
  at_border = np.concatenate([box[:2] <= 0, box[2:] >= size[::-1]])
  seen = [(time, _completed(bounds, box, expected_side)) for time, bounds in seen]
  (first, before), (last, bounds) = seen[0], seen[-1]
  centre = (bounds[:2] + bounds[2:]) / 2
  return FaceShape(
    centre=centre,
    side=float((bounds[2:] - bounds[:2]).mean()),
    velocity=(centre - (before[:2] + before[2:]) / 2) / max(last - first, 1),
    frames=len(labels),
    lead=len(labels) - 1 - last + (len(labels) + 1) / 2,
    is_cut_off=bool((is_cut[:2] & is_cut[2:] & ~(at_border[:2] & at_border[2:])).any()),
  )


def _completed(bounds: np.ndarray, box: np.ndarray, side: float) -> np.ndarray:
  """A mask's bounding box with what a single side of the crop cuts off."""
  low, high = bounds[:2].astype(np.float64), bounds[2:].astype(np.float64)
  missing = np.maximum(side - (high - low), 0)
  cut_low, cut_high = bounds[:2] <= box[:2], bounds[2:] >= box[2:]
  return np.concatenate(
    [low - missing * (cut_low & ~cut_high), high + missing * (cut_high & ~cut_low)]
  )


def _face_piece(labels: np.ndarray, needs_features: bool) -> np.ndarray | None:
  """Bounding box, in the crop, of the mask's largest piece; None if it is no face."""
  mask = labels > 0
  count, pieces, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
  if count < 2:
    return None
  largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
  piece = pieces == largest
  bounds = boxes.mask_box(piece)
  *usual, has_features = _conditions(labels[piece], mask.sum(), labels.size, bounds)
  return bounds if all(usual) and (has_features or not needs_features) else None


def _conditions(
  inside: np.ndarray, mask_area: int, box_area: int, bounds: np.ndarray
) -> Iterator[bool]:
  """Yields what must hold of a face; the last, that it has eyes or a mouth."""
  sides = bounds[2:] - bounds[:2]
  yield MIN_COVER <= len(inside) / box_area <= MAX_COVER
  yield len(inside) >= MIN_WHOLE * mask_area
  yield (inside == _SKIN).mean() >= MIN_SKIN
  yield sides.max() <= MAX_ASPECT * sides.min()
  yield (inside > _SKIN).mean() >= MIN_FEATURES
