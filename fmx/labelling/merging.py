"""What several networks say of a face, at the resolution of the frame."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from fmx.labelling.crops import Crop
from fmx.labelling.parts import PartView, ramp
from tfds_300vw import boxes
from tfds_300vw.face_mask import CLASS_NAMES, REGIONS

_WHOLE = (
  255  # What probabilities add up to as bytes: four of them are warped in a fifth of the time.
)
_STRAY = 0.1  # Of the largest piece: what is smaller is not the face's.
_SKIN = CLASS_NAMES.index('facial_skin')


def face_scores(
  probs: np.ndarray, crop: Crop, piece: np.ndarray, parts: Sequence[PartView], time: int,
  size: tuple[int, int],
) -> tuple[np.ndarray, np.ndarray] | None:  # fmt: skip
  """What the networks together say of a face's pixels in one frame.

  Args:
    probs: The primary network's in the face's crop, float32 [S, S, 5].
    crop: Of the face.
    piece: The pixels of the crop that are this face's, bool [S, S].
    parts: What the zoomed-in networks saw of the face.
    time: Position of the frame in the window.
    size: Height and width of the frame.

  Returns:
    A box of the frame, int64 [4], and in it 255 times the probabilities of the classes but the
    background, uint8 [h, w, 4]; None where nothing of the face is in the frame.
  """
  box = crop.box(piece, *size)
  if box is None:
    return None
  own = cv2.dilate(piece.view(np.uint8), np.ones((5, 5), np.uint8))
  mine = [cv2.convertScaleAbs(of_class, alpha=_WHOLE) * own for of_class in cv2.split(probs)[1:]]
  scores = crop.put_back(cv2.merge(mine), box)
  for part in parts:
    _mix(scores, box, part, time)
  return box, scores


def labels_of(scores: np.ndarray) -> np.ndarray:
  """The class ids of a face's pixels, uint8 [h, w], by scores from `face_scores`."""
  return _without_strays(_largest(scores))


def _mix(scores: np.ndarray, box: np.ndarray, part: PartView, time: int) -> None:
  """Mixes what a part's network says into the scores [h, w, 4] of a box, in place."""
  crop, probs = part.crops[time], part.probs[time]
  whole = np.ones(probs.shape[:2], bool)
  place = crop.box(whole, int(box[3]), int(box[2]))
  if place is None or (np.maximum(place[:2], box[:2]) >= np.minimum(place[2:], box[2:])).any():
    return
  place = np.concatenate([np.maximum(place[:2], box[:2]), np.minimum(place[2:], box[2:])])
  in_crop = ramp(crop.side)
  weighted = cv2.merge([*(in_crop * of_class for of_class in cv2.split(probs)[1:]), in_crop])
  *told, weight = cv2.split(crop.put_back(weighted, place))
  inside = boxes.crop(scores, place - np.tile(box[:2], 2))
  before = cv2.split(inside.astype(np.float32) / _WHOLE)
  own = [class_id - 1 for class_id in REGIONS[part.region].class_ids[1:]]
  # The part's network does not tell the other classes apart: they keep their proportions.
  rest = 1 - sum(before[channel] for channel in own)
  is_clear = rest > 0.02  # Else the primary network does not know what else it might be.
  kept, other = 1 - weight, weight - sum(told)
  share = kept + is_clear * (other / np.maximum(rest, 0.02))
  after = []
  for channel, of_class in enumerate(before):
    if channel in own:
      mixed = kept * of_class + told[own.index(channel)]
    elif channel == _SKIN - 1:
      mixed = share * of_class + ~is_clear * other
    else:
      mixed = share * of_class
    after.append(cv2.convertScaleAbs(np.maximum(mixed, 0), alpha=_WHOLE))
  inside[...] = cv2.merge(after)


def _largest(scores: np.ndarray) -> np.ndarray:
  """The class of most probability: scores uint8 [h, w, 4] of all but the background to uint8."""
  channels: Sequence[np.ndarray] = cv2.split(scores)
  total = np.zeros(scores.shape[:2], np.uint16)
  for channel in channels:
    total += channel
  best = (_WHOLE - np.minimum(total, _WHOLE)).astype(np.uint8)
  labels = np.zeros(scores.shape[:2], np.uint8)
  for class_id, channel in enumerate(channels, start=1):
    labels[channel > best] = class_id
    best = np.maximum(best, channel)
  return labels


def _without_strays(labels: np.ndarray) -> np.ndarray:
  """Labels without pieces that are much smaller than the largest one."""
  count, pieces, stats, _ = cv2.connectedComponentsWithStats((labels > 0).view(np.uint8))
  if count > 2:
    areas = stats[1:, cv2.CC_STAT_AREA]
    kept = np.concatenate([[False], areas >= _STRAY * areas.max()])
    labels = labels * kept[pieces]
  return labels
