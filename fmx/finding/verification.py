"""Whether a mask is that of the face that the finder saw."""

from __future__ import annotations

import functools
from typing import NamedTuple

import cv2
import numpy as np

from tfds_300vw.face_mask import CLASS_NAMES

# Lengths are in units of the face's size as the finder has it, which is about the face's width.
# Of the mask's area over the square of its own size; of 300 people 0.50 to 0.86.
LEAST_AREA, MOST_AREA = 0.42, 0.95
LEAST_SKIN = 0.7  # Of the mask; of real faces 0.82 to 0.99.
LARGEST_SHIFT = 0.25  # Of the mask's middle from the pose's.
LARGEST_GROWTH = np.log(1.45)  # Of the mask's size over the pose's, either way.
MOST_BORDER = 0.25  # Of the crop's border inside of the frame, that the mask may touch.
NEAR = 0.2  # From one of the finder's points to the nearest pixel of its class.
# What follows is of 236 faces of held-out photographs whose masks were right, 27 of them cut off.
LEAST_MOUTH = 0.013  # Area over the square of the face's size; 0.018 to 0.105.
# Confidence with which a mouth alone will do (0.89 and more), or eyes alone: of those none has no
# mouth, and masks of hanging heads that are taken for upright ones have 0.86 to 0.88.
MOUTH_ALONE, EYES_ALONE = 0.85, 0.9
BELOW_LIPS = 0.15  # From their middle down to where there must be frame to show a mouth.
LEAST_SHARED = 0.6  # IoU of a mask that the frame cuts off and a usual one; 0.73 to 0.91.
# Without the finder a mask must be more like a face.
SURE_SHIFT, SURE_GROWTH = 0.25, np.log(1.25)
SURE_BORDER = 0.1  # As MOST_BORDER.
SURE_CONFIDENCE = 0.8  # Mean probability of the classes, see `labelling.faces.confidence`.
_EDGE = 2  # Pixels from the mask to where the frame ends, within which that cuts it off.
_STRAY = 0.1  # Of the largest piece: what is smaller is not the face's.

SKIN, EYES, *MOUTH = range(1, len(CLASS_NAMES))


class Evidence(NamedTuple):
  """What a mask says of a face.

  Attributes:
    is_face: Whether it is a mask of the face in this pose, given that the finder sees it there.
    is_sure: Whether it is one even though the finder sees none.
    offset: Of the mask's bounding box from the pose: middle in units of the size, upright, and log
      size, [3]; zeros for an empty mask.
    has_shape: Whether it looks like a face, wherever it is.
    is_like: As `is_face`, of a face that is known already: then either the eyes or the mouth may be
      behind something.
  """

  is_face: bool
  is_sure: bool
  offset: np.ndarray
  has_shape: bool
  is_like: bool = False

  @property
  def is_whole(self) -> bool:
    """Whether eyes and mouth of that face are where they belong, not only one of them."""
    return self.is_face and self.has_shape


def face_piece(labels: np.ndarray) -> np.ndarray:
  """The pixels of the face in the middle of a crop: the main piece and others close to its size.

  Args:
    labels: Class ids, uint8 [S, S].

  Returns:
    bool [S, S].
  """
  mask = (labels > 0).view(np.uint8)
  count, pieces, stats, centres = cv2.connectedComponentsWithStats(mask)
  if count < 2:
    return mask.view(bool)
  side = len(labels)
  areas = stats[1:, cv2.CC_STAT_AREA].astype(np.float64)
  distance = np.hypot(*(centres[1:] - (side - 1) / 2).T) / side
  weight = areas * np.exp(-((distance / 0.3) ** 2))  # Of a neighbour's face only a part is seen.
  main = int(weight.argmax())
  kept = (areas >= _STRAY * areas[main]) & (distance <= max(0.35, distance[main]))
  kept[main] = True
  return np.concatenate([[False], kept])[pieces]


def examine(
  labels: np.ndarray, points: np.ndarray, inside: np.ndarray, *, margin: float, confidence: float
) -> Evidence:
  """Compares a mask with what the finder says.

  Args:
    labels: Class ids in the upright crop of the face's pose, uint8 [S, S], of its piece only.
    points: The finder's five points in the crop, [5, 2], pixels.
    inside: Whether a pixel of the crop lies inside of the frame, bool [S, S].
    margin: Side of the crop over the size of the face.
    confidence: Mean probability of the mask's classes.
  """
  side = len(labels)
  unit = side / margin  # Pixels of the face's size.
  face = labels > 0
  pixels = int(np.count_nonzero(face))
  if not pixels:
    return Evidence(False, False, np.zeros(3), False)
  rows, columns = np.flatnonzero(face.any(axis=1)), np.flatnonzero(face.any(axis=0))
  low, high = np.array([columns[0], rows[0]]), np.array([columns[-1], rows[-1]])
  middle = ((low + high) / 2 - (side - 1) / 2) / unit
  offset = np.append(middle, np.log((high - low + 1).mean() / unit))
  # Where the frame ends, so does the mask: then its box says nothing.
  around = [slice(max(each[0] - _EDGE, 0), each[-1] + 1 + _EDGE) for each in (rows, columns)]
  is_cut = not inside[tuple(around)].all()
  shift, growth = float(np.hypot(*middle)), abs(float(offset[2]))
  share = pixels / (high - low + 1).mean() ** 2
  border = _border(inside)
  touched = np.count_nonzero(face & border) / max(int(np.count_nonzero(border)), 1)
  eyes, mouth = labels == EYES, np.isin(labels, MOUTH)
  mouth &= np.count_nonzero(mouth) >= LEAST_MOUTH * unit**2
  has_order = _has_order(eyes, mouth, rows[0], rows[-1])
  has_eye = min(_distance(eyes, point) for point in points[:2]) <= NEAR * unit
  lips = points[3:].mean(axis=0)
  has_mouth = _distance(mouth, lips) <= NEAR * unit
  least = MOUTH_ALONE if has_mouth or _is_outside(lips, inside) else EYES_ALONE
  is_marked = (has_eye and has_mouth) or confidence >= least
  has_extent = (
    _shared(face, inside, unit) >= LEAST_SHARED if is_cut else (LEAST_AREA <= share <= MOST_AREA)
  )
  is_solid = has_extent and np.count_nonzero(labels == SKIN) >= LEAST_SKIN * pixels
  is_like = (
    is_solid
    and (has_eye or has_mouth or has_order)
    and touched <= MOST_BORDER
    and (is_cut or (shift <= LARGEST_SHIFT and growth <= LARGEST_GROWTH))
  )
  is_face = is_like and is_marked
  is_sure = (
    is_face
    and shift <= SURE_SHIFT
    and growth <= SURE_GROWTH
    and touched <= SURE_BORDER
    and confidence >= SURE_CONFIDENCE
    and has_order
  )
  offset = np.zeros(3) if is_cut else offset
  ends_at_lips = _is_outside(lips + (0, BELOW_LIPS * unit), inside)
  is_marked_above = ends_at_lips and has_eye and confidence >= EYES_ALONE
  has_shape = is_solid and (has_order or is_marked_above)
  return Evidence(bool(is_face), bool(is_sure), offset, bool(has_shape), bool(is_like))


def _shared(face: np.ndarray, inside: np.ndarray, unit: float) -> float:
  """IoU of a mask and of where faces usually are in the crop, as far as that shows the frame."""
  usual = _usual(len(face), unit) & inside
  return np.count_nonzero(face & usual) / max(int(np.count_nonzero(face | usual)), 1)


@functools.lru_cache(maxsize=8)
def _usual(side: int, unit: float) -> np.ndarray:
  """The mean outline of faces in upright crops, a rounded square: IoU 0.88 with the mean mask."""
  along = np.abs(np.arange(side) - (side - 1) / 2) / unit
  return (along / 0.48) ** 2.8 + (along[:, None] / 0.46) ** 2.8 <= 1


def _has_order(eyes: np.ndarray, mouth: np.ndarray, top: int, bottom: int) -> bool:
  """Whether there are eyes in the upper half of a face and a mouth in the lower one."""
  if not eyes.any() or not mouth.any():
    return False
  places = [(np.nonzero(mask)[0].mean() - top) / (bottom - top + 1) for mask in (eyes, mouth)]
  return places[0] < 0.5 < places[1]


def _is_outside(point: np.ndarray, inside: np.ndarray) -> bool:
  """Whether a point of the crop lies out of the frame."""
  x, y = np.clip(np.round(point).astype(int), 0, len(inside) - 1)
  return not inside[y, x]


def _border(inside: np.ndarray) -> np.ndarray:
  """The outermost pixels of the crop that lie inside of the frame."""
  edge = np.zeros_like(inside)
  edge[[0, -1]] = edge[:, [0, -1]] = True
  return edge & inside


def _distance(mask: np.ndarray, point: np.ndarray) -> float:
  """From a point to the nearest pixel of a mask; infinite for an empty one."""
  rows, columns = np.nonzero(mask)
  if not len(rows):
    return np.inf
  return float(np.sqrt(((columns - point[0]) ** 2 + (rows - point[1]) ** 2).min()))
