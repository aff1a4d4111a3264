"""How well faces are found: missed ones, false alarms, boxes, speed; ours and the peers' alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from fmx.data.finder_scenes import scene, without_faces
from fmx.data.prepared import FrameExample
from fmx.finding.finder import LONG_SIDE, Finder
from fmx.finding.overlap import iou
from tfds_300vw import boxes as boxes_of
from tfds_300vw.pose import Pose, face_pose

# uint8 [H, W, 3] RGB to [M, 5]: boxes x0, y0, x1, y1 in pixels, and confidences.
Detector = Callable[[np.ndarray], np.ndarray]
NEAR = 0.5  # Of a face's size: how far off the middle of a box that finds it may be,
RATIO = 2.0  # and by which its size may differ.
TURNS = (30, 45, 60, 90)  # Degrees; one frame after another is turned one way and the other.
MARGINS = (1.3, 1.0)  # Of tight crops; the first is that of the paper's data.
_TIMED = 64  # Frames,
_TIMED_SIZE = (360, 640)  # of this height and width.


def of(finder: Finder) -> Detector:
  """Our finder as a detector."""

  def detect(frame: np.ndarray) -> np.ndarray:
    rows = [[*face.box(), face.confidence] for face in finder(frame[None])[0]]
    return np.array(rows, np.float64).reshape(-1, 5)

  return detect


def reduced(detect: Detector, side: int = LONG_SIDE) -> Detector:
  """A detector that sees frames with that longer side, as ours does."""

  def detect_reduced(frame: np.ndarray) -> np.ndarray:
    scale = side / max(frame.shape[:2])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    size = [max(round(edge * scale), 1) for edge in frame.shape[1::-1]]
    found = detect(cv2.resize(np.ascontiguousarray(frame), size, interpolation=how))
    return found / np.array([scale, scale, scale, scale, 1.0])

  return detect_reduced


def evaluate(
  detect: Detector, examples: Sequence[FrameExample], empty: Sequence[np.ndarray]
) -> dict[str, Any]:
  """All that is measured of a detector but its speed.

  Args:
    detect: The detector.
    examples: Frames with faces.
    empty: Pictures without one, uint8 [H, W, 3].

  Returns:
    'faces' and 'empty', how many there are; 'missed', by what was done to the frames, numbers of
    faces; 'false', how many of the empty pictures have a face nevertheless; 'iou', the median of
    `overlaps`.
  """
  scores = overlaps(detect, examples)
  missed_faces = {'upright': missed(detect, examples)}
  for turn in TURNS:
    missed_faces[f'{turn} degrees'] = missed(detect, examples, turn=turn)
  for margin in MARGINS:
    missed_faces[f'crops x{margin}'] = missed(detect, crops(examples, margin))
  return {
    'faces': len(scores),
    'missed': missed_faces,
    'empty': len(empty),
    'false': sum(len(detect(image)) > 0 for image in empty),
    'iou': float(np.median(scores)),
  }


def finds(boxes: np.ndarray, face: Pose) -> bool:
  """Whether one of the boxes [M, 4 or more] is the face's, by its middle and its size."""
  middle, sides = (boxes[:, :2] + boxes[:, 2:4]) / 2 - 0.5, boxes[:, 2:4] - boxes[:, :2]
  distance = np.hypot(middle[:, 0] - face.x, middle[:, 1] - face.y)
  size = np.sqrt(np.maximum(sides, 0).prod(axis=1))
  alike = (size < RATIO * face.size) & (size > face.size / RATIO)
  return bool(np.any(alike & (distance < NEAR * face.size)))


def missed(detect: Detector, examples: Iterable[FrameExample], *, turn: float = 0.0) -> int:
  """How many of the annotated faces are not found.

  Args:
    detect: The detector.
    examples: Frames with faces.
    turn: Degrees by which frames are turned about their middles first, the first clockwise, the
      next counter-clockwise and so on.
  """
  number = 0
  for index, example in enumerate(examples):
    image, matrix = turned(example.image, turn if index % 2 == 0 else -turn)
    boxes = detect(image)
    for landmarks in example.landmarks.astype(np.float64):
      moved = landmarks @ matrix[:, :2].T + matrix[:, 2]
      number += not finds(boxes, face_pose(moved))
  return number


def turned(image: np.ndarray, degrees: float) -> tuple[np.ndarray, np.ndarray]:
  """A picture turned clockwise about its middle, on a canvas that holds it all; the way there."""
  height, width = image.shape[:2]
  if not degrees:
    return image, np.array([[1.0, 0, 0], [0, 1, 0]])
  matrix: np.ndarray = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -degrees, 1.0)
  size = np.ceil(np.abs(matrix[:, :2]) @ (width, height) - 1e-6).astype(int)
  matrix[:, 2] += (size - (width, height)) / 2
  return cv2.warpAffine(image, matrix, size.tolist()), matrix


def crops(examples: Iterable[FrameExample], margin: float) -> Iterator[FrameExample]:
  """Each annotated face by itself, cut out tightly: the square of `tfds_300vw.boxes.face_box`."""
  for example in examples:
    for landmarks in example.landmarks:
      x0, y0, x1, y1 = boxes_of.face_box(landmarks, *example.image.shape[:2], margin=margin)
      yield FrameExample(
        image=example.image[y0:y1, x0:x1],
        landmarks=(landmarks - (x0, y0))[None],
        others=np.zeros((0, 4), np.float32),
        video_id=example.video_id,
        frame_number=example.frame_number,
        from_people=example.from_people,
      )


def overlaps(detect: Detector, examples: Iterable[FrameExample]) -> np.ndarray:
  """IoU of each annotated face's landmarks' bounding box and the best box: float64 [F]."""
  scores = []
  for example in examples:
    boxes = detect(example.image)
    for points in example.landmarks.astype(np.float64):
      around = np.concatenate([points.min(axis=0), points.max(axis=0)]) + 0.5
      scores.append(iou(boxes[:, :4], around[None]).max(initial=0.0))
  return np.array(scores)


def empty_parts(examples: Iterable[FrameExample], seed: int = 0) -> list[np.ndarray]:
  """Square parts of frames, one each where there is one, in which nobody knows of a face."""
  parts = []
  for index, example in enumerate(examples):
    rng = np.random.default_rng((seed, index))
    part = without_faces(scene(example.image, example.landmarks, example.others), rng)
    if part is not None:
      parts.append(part.image)
  return parts


def images_per_second(detect: Callable[[np.ndarray], Any]) -> float:
  """How many frames of 640x360 go through a detector in a second, after the first of them.

  Args:
    detect: Takes them all: uint8 [N, H, W, 3].
  """
  frames = np.random.default_rng(0).integers(0, 256, (_TIMED, *_TIMED_SIZE, 3), np.uint8)
  detect(frames)
  started = time.perf_counter()
  detect(frames)
  return _TIMED / (time.perf_counter() - started)


def rows(results: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
  """The table of several detectors' results, its heading first."""
  first = next(iter(results.values()))
  heading = [f'missed of {first["faces"]} faces', *list(first['missed'])]
  table = [[*heading, f'false, of {first["empty"]}', 'IoU', 'images/s']]
  for name, result in results.items():
    numbers = [str(number) for number in result['missed'].values()]
    speed = f'{result["images_per_second"]:.0f}'
    table.append([name, *numbers, str(result['false']), f'{result["iou"]:.3f}', speed])
  return table
