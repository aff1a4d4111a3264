"""Masks that do not flicker: what was said of a face before goes along with its picture.

A network judges each frame anew, and where it wavers, the class of a pixel comes and goes. So the
mask before is taken along by the optical flow between the crops of the face (Kroeger et al., Fast
Optical Flow using Dense Inverse Search, ECCV 2016), and mixed in where the picture stays the same
and the network has not changed its mind altogether: an eye that closes has its new mask at once.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np

from fmx.labelling.crops import Crop

STEADINESS = 0.8  # Share of the mask before.

_ALIKE = 14.0  # Grey levels; a picture that differs by so many keeps 1 / e of that share.
_AROUND = 1 / 80  # Of the crop's side: so far around a pixel its picture is compared.
_LITTLE = np.float32(1e-3)  # Weight of a frame whose picture is another one.
# cv2's own types forget that a map of pairs needs no second one; OpenCV 5 reads an empty array.
_NO_MAP: Any = None


class Trace(NamedTuple):
  """What is taken along from one frame to another.

  Attributes:
    crop: Of the face.
    gray: What it shows, uint8 [S, S].
    box: Of the frame, [4].
    scores: Of the classes but the background in the box, uint8 [h, w, 4].
  """

  crop: Crop
  gray: np.ndarray
  box: np.ndarray
  scores: np.ndarray

  @classmethod
  def unmarked(cls, crop: Crop, gray: np.ndarray, box: np.ndarray) -> Trace:
    """One of a frame of which nothing is said yet."""
    return cls(crop, gray, box, np.zeros((0, 0, 4), np.uint8))


def steadied(new: Trace | None, before: Trace | None, share: float) -> Trace | None:
  """Mixes what was said of a face before into what is said now.

  Args:
    new: Of a frame, as the networks have it; None for nothing.
    before: Of a frame shortly before, with the same network's crop; None to start anew.
    share: Of the mask before, where the picture stays as it is; from 0 to less than 1.

  Returns:
    The new one with other scores.
  """
  if new is None or before is None or not share:
    return new
  scores, weight = _carried(before, new)
  weight = share * weight * (1 - np.square(_largest_change(scores, new.scores)))
  return new._replace(scores=cv2.blendLinear(scores, new.scores, weight, 1 - weight))


def between(new: Trace, before: Trace, behind: Trace, share: float) -> Trace:
  """What is said of a face in a frame that no network looked at, by two frames around it.

  Args:
    new: Of the frame; its scores do not matter.
    before: Of a frame before it, with the same network's crop.
    behind: Of one behind it.
    share: Of the frame from the one before to the one behind, from 0 to 1.

  Returns:
    The new one with scores.
  """
  (one, its), (other, others) = (_carried(trace, new) for trace in (before, behind))
  its, others = (1 - share) * its + _LITTLE, share * others + _LITTLE
  return new._replace(scores=cv2.blendLinear(one, other, its, others))


def _carried(trace: Trace, new: Trace) -> tuple[np.ndarray, np.ndarray]:
  """The scores of a frame taken along to another, uint8 [h, w, 4], and their weights [h, w].

  A weight is 1 where the picture stays the same.
  """
  side = new.crop.side
  source = _grid(side) + _flow(new.gray, trace.gray)
  then = cv2.remap(trace.gray, source, _NO_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
  change = cv2.GaussianBlur(cv2.absdiff(then, new.gray).astype(np.float32), (0, 0), _AROUND * side)
  weight = np.exp(-np.square(change / _ALIKE))
  weight *= ((source >= 0) & (source <= side - 1)).all(axis=-1)
  # From the trace's crop to its frame, and to the box there.
  back = cv2.invertAffineTransform(trace.crop.matrix)
  back[:, 2] -= trace.box[:2]
  placed = new.crop.put_back(cv2.transform(source, back[:, :2]), new.box)
  scores = cv2.remap(trace.scores, cv2.add(placed, back[:, 2]), _NO_MAP, cv2.INTER_LINEAR)
  return scores, new.crop.put_back(weight, new.box)[..., 0]


def _largest_change(scores: np.ndarray, others: np.ndarray) -> np.ndarray:
  """Of the probabilities of a pixel's classes: float32 [h, w]."""
  first, *rest = cv2.split(cv2.absdiff(scores, others))
  for change in rest:
    first = cv2.max(first, change)
  return first / np.float32(255)


def _flow(gray: np.ndarray, before: np.ndarray) -> np.ndarray:
  """Where each pixel of a crop was before, from where it is: float32 [S, S, 2], pixels."""
  method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
  method.setUseSpatialPropagation(False)  # It goes stripe by stripe, one for each thread.
  return np.asarray(method.calc(gray, before, np.zeros((*gray.shape, 2), np.float32)))


def _grid(side: int) -> np.ndarray:
  along = np.arange(side, dtype=np.float32)
  return np.stack(np.meshgrid(along, along), axis=-1)
