"""How far mouth and eyes are open: heights of regions, measured along the upright face."""

from typing import NamedTuple

import cv2
import numpy as np

from fmx.labelling.frame_masks import Face, FrameMasks, own_labels
from tfds_300vw.face_mask import CLASS_NAMES

_EYES, _LIPS, _INNER_MOUTH = (
  CLASS_NAMES.index(name) for name in ('eyes', 'outer_mouth', 'inner_mouth')
)


class Openings(NamedTuple):
  """Of one face in one frame. Left and right are the person's, as in `face_mask.REGIONS`.

  Attributes:
    face_height: Of all that is labelled, brows to chin, pixels.
    mouth: Height of the inner mouth by that of the face; 0 between lips that are closed, None
      without a mouth.
    left_eye: Height of the eye by that of the face; None where it has no mask.
    right_eye: Likewise.
  """

  face_height: float
  mouth: float | None
  left_eye: float | None
  right_eye: float | None


def measure(masks: FrameMasks, face: Face) -> Openings:
  """Measures one of the faces of a frame."""
  labels = own_labels(masks, face)
  x, y, width, rows = cv2.boundingRect(labels)
  return openings(labels[y : y + rows, x : x + width], face.roll)


def openings(labels: np.ndarray, roll: float) -> Openings:
  """Measures a face.

  Args:
    labels: Class ids of the face's own pixels, uint8 [H, W]; 0 elsewhere. At least one is not.
    roll: Of the head, radians, clockwise as one sees it.
  """
  face = height(labels > 0, roll)
  has_mouth = (labels >= _LIPS).any()
  right, left = eyes(labels, roll)
  return Openings(
    face,
    height(labels == _INNER_MOUTH, roll) / face if has_mouth else None,
    height(left, roll) / face if left.any() else None,
    height(right, roll) / face if right.any() else None,
  )


def height(mask: np.ndarray, roll: float) -> float:
  """The most that a region measures from top to bottom, in pixels; 0 for an empty one.

  The region is turned upright, and the fullest column of that image counts: of pixels on its edge
  their shares.

  Args:
    mask: bool [H, W].
    roll: By which it is turned, radians, clockwise as one sees it.
  """
  x, y, width, rows = cv2.boundingRect(mask.view(np.uint8))
  if not rows:
    return 0.0
  alone = np.ascontiguousarray(mask[y : y + rows, x : x + width], np.float32)
  matrix = np.array([[np.cos(roll), np.sin(roll), 0], [-np.sin(roll), np.cos(roll), 0]])
  corners = matrix[:, :2] @ [[-1, width, -1, width], [-1, -1, rows, rows]]
  low, high = np.floor(corners.min(axis=1)), np.ceil(corners.max(axis=1))
  matrix[:, 2] = -low
  size = (high - low).astype(int) + 1
  upright = cv2.warpAffine(alone, matrix, size.tolist(), flags=cv2.INTER_LINEAR)
  return float(upright.sum(axis=0).max())


def eyes(labels: np.ndarray, roll: float) -> tuple[np.ndarray, np.ndarray]:
  """The eye on either side of the mouth, or of the face if it has none: bool [H, W] each.

  Args:
    labels: As for `openings`.
    roll: Likewise.

  Returns:
    The one that is left in the upright image, the person's right, and the other.
  """
  mouth = labels >= _LIPS
  moments = cv2.moments((mouth if mouth.any() else labels > 0).view(np.uint8), binaryImage=True)
  across = np.array([np.cos(roll), np.sin(roll)])  # To the right in the upright image.
  middle = across @ (moments['m10'], moments['m01']) / moments['m00']
  eye = labels == _EYES
  x, y, width, height = cv2.boundingRect(eye.view(np.uint8))
  first = np.zeros_like(eye)
  if width:
    part = np.s_[y : y + height, x : x + width]
    _, pieces, _, centroids = cv2.connectedComponentsWithStats(eye[part].view(np.uint8))
    is_left = (centroids + (x, y)) @ across < middle
    is_left[0] = False  # What is no eye.
    first[part] = is_left[pieces]
  return first, eye & ~first
