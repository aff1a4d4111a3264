"""How well faces are found: missed ones, false alarms, boxes, speed; ours and the peers' alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import cv2
import numpy as np

from fmx.data.prepared import FrameExample
from fmx.finding.finder import Finder
from fmx.finding.peers import iou
from tfds_300vw.pose import Pose, face_pose

# uint8 [H, W, 3] RGB to [M, 5]: boxes x0, y0, x1, y1 in pixels, and confidences.
Detector = Callable[[np.ndarray], np.ndarray]
NEAR = 0.5  # Of a face's size: how far off the middle of a box that finds it may be,
RATIO = 2.0  # and by which its size may differ.


def of(finder: Finder) -> Detector:
  """Our finder as a detector."""

  def detect(frame: np.ndarray) -> np.ndarray:
    rows = [[*face.box(), face.confidence] for face in finder(frame[None])[0]]
    return np.array(rows, np.float64).reshape(-1, 5)

  return detect


def finds(boxes: np.ndarray, face: Pose) -> bool:
  """Whether one of the boxes [M, 4 or more] is the face's, by its middle and its size."""
  middle, sides = (boxes[:, :2] + boxes[:, 2:4]) / 2 - 0.5, boxes[:, 2:4] - boxes[:, :2]
  distance = np.hypot(middle[:, 0] - face.x, middle[:, 1] - face.y)
  size = np.sqrt(np.maximum(sides, 0).prod(axis=1))
  alike = (size < RATIO * face.size) & (size > face.size / RATIO)
  return bool(np.any(alike & (distance < NEAR * face.size)))


def missed(detect: Detector, examples: Iterable[FrameExample], *, turn: float = 0.0) -> float:
  """The share of the annotated faces that are not found.

  Args:
    detect: The detector.
    examples: Frames with faces.
    turn: Degrees by which each frame is turned about its middle first, clockwise.
  """
  faces = found = 0
  for example in examples:
    image, matrix = turned(example.image, turn)
    boxes = detect(image)
    for landmarks in example.landmarks.astype(np.float64):
      moved = landmarks @ matrix[:, :2].T + matrix[:, 2]
      found += finds(boxes, face_pose(moved))
      faces += 1
  return 1 - found / max(faces, 1)


def turned(image: np.ndarray, degrees: float) -> tuple[np.ndarray, np.ndarray]:
  """A picture turned about its middle, on a canvas that holds all of it, and the way there."""
  height, width = image.shape[:2]
  if not degrees:
    return image, np.array([[1.0, 0, 0], [0, 1, 0]])
  matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -degrees, 1.0)
  size = np.ceil(np.abs(matrix[:, :2]) @ (width, height)).astype(int)
  matrix[:, 2] += (size - (width, height)) / 2
  return cv2.warpAffine(image, matrix, size.tolist()), matrix


def overlaps(detect: Detector, examples: Iterable[FrameExample]) -> np.ndarray:
  """IoU of each annotated face's landmarks' bounding box and the best box: float64 [F]."""
  scores = []
  for example in examples:
    boxes = detect(example.image)
    for points in example.landmarks.astype(np.float64):
      around = np.concatenate([points.min(axis=0), points.max(axis=0)]) + 0.5
      scores.append(iou(boxes[:, :4], around[None]).max(initial=0.0))
  return np.array(scores)
