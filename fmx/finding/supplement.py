"""A finder that also looks closer where a detector of others sees a face that it does not."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from fmx.finding.finder import LONG_SIDE, Finder
from fmx.finding.found import Found, apart, usual_points
from fmx.finding.overlap import iou
from fmx.finding.peers import PEERS, Detector
from tfds_300vw.pose import Pose

FINDERS = ('auto', 'own', *PEERS)  # What may be asked for; 'auto' is our own.
OVERLAP = 0.2  # IoU with one of our finds above which a box shows nothing new.
SURE = 0.6  # Confidence of a box that counts even where the closer look shows nothing.
# Size of a face over the side of its box, and how far its middle lies below, over that side:
# medians of 37 faces of held-out photographs, the same for both detectors.
SIZE, LOWER = 0.88, 0.14
_LONG_SIDE = 2 * LONG_SIDE  # Pixels of the frame that the detector sees, at most.


class Supplemented:
  """Finds what our finder finds, and what a detector of others shows it."""

  def __init__(self, finder: Finder, detect: Detector):
    """Takes both.

    Args:
      finder: Ours.
      detect: The other, from `fmx.finding.peers`.
    """
    self._finder, self._detect = finder, detect

  def __call__(self, frames: np.ndarray) -> list[list[Found]]:
    """Finds faces, as `Finder` does.

    Args:
      frames: uint8 [N, H, W, 3] RGB.
    """
    found = self._finder(frames)
    return [
      apart([*faces, *self._further(frame, faces)])
      for frame, faces in zip(frames, found, strict=True)
    ]

  def _further(self, frame: np.ndarray, faces: Sequence[Found]) -> list[Found]:
    """The faces of a frame that the detector alone sees."""
    scale = min(_LONG_SIDE / max(frame.shape[:2]), 1.0)
    frame = np.ascontiguousarray(frame)
    small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    boxes = self._detect(small) / (scale, scale, scale, scale, 1.0)
    known = np.array([face.box() for face in faces]).reshape(-1, 4)
    new = [face_in(box) for box in boxes if iou(box[None, :4], known).max(initial=0.0) < OVERLAP]
    further = []
    for face, closer in zip(new, self._finder.closer(frame, new), strict=True):
      if closer is not None:
        further.append(closer)
      elif face.confidence >= SURE:
        further.append(face)
    return further


def face_in(box: np.ndarray) -> Found:
  """The upright face that a box may show, its points where they are in the mean.

  Args:
    box: x0, y0, x1, y1 and a confidence, [5].
  """
  side = float(np.sqrt(np.prod(box[2:4] - box[:2])))
  x, y = (box[:2] + box[2:4]) / 2 - 0.5
  pose = Pose(float(x), float(y) + LOWER * side, SIZE * side, 0.0)
  return Found(pose, usual_points(pose), float(box[4]))


def supplemented(finder: Finder, name: str) -> Finder | Supplemented:
  """Our finder, with the detector of others that is named, if one is.

  Args:
    finder: Ours.
    name: One of FINDERS.

  Raises:
    ValueError: there is none of that name, or it is not installed.
  """
  if name not in FINDERS:
    raise ValueError(f'finder is {name!r}; it must be {" or ".join(map(repr, FINDERS))}.')
  if name not in PEERS:
    return finder
  try:
    return Supplemented(finder, PEERS[name]())
  except ImportError as error:
    raise ValueError(f'{name} is not installed ({error}): pip install fmx[peers].') from error
