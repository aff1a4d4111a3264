"""dlib's face detector and its 68-landmark predictor (Kazemi & Sullivan 2014), an optional extra.

The predictor's file comes with the package face-recognition-models or from the user; nothing is
downloaded. It was trained on iBUG 300-W, whose licence is for research and excludes commercial use.
"""

import importlib.util
import os
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from fmx.finding.overlap import iou
from tfds_300vw import boxes
from tfds_300vw.annotations import NUM_LANDMARKS

MODEL_FILE = 'shape_predictor_68_face_landmarks.dat'
INSTALL = "pip install 'dlib-bin>=20.0' 'face-recognition-models>=0.3'"

# From landmarks to the box in which the detector would have found them: medians over detections in
# 190 training images. The side is a multiple of the root mean square distance of the landmarks to
# their mean, and the box's middle lies above that mean. Fed with its own landmarks 15 times over,
# the predictor stays where it was; from their bounding box's middle and size it walks off.
SIDE = 2.825  # Over the landmarks' root mean square distance.
RISE = 0.042  # Of the side.
# The same for a face crop of the paper: the landmarks' bounding box lies in its middle.
CROP_SIDE = 1.067 / boxes.FACE_MARGIN  # Over the side of the crop.
CROP_RISE = 0.071  # Of the side of the box.

# dlib gives landmarks in whole pixels. On 241 stills with faces of at most 105 pixels that costs an
# eye 2.4 % of IoU, so the predictor sees small faces enlarged.
PREDICTOR_SIDE = 480  # Pixels of the box, at least.
DETECTOR_SIDE = 120  # Pixels of the box where a face is expected; dlib needs 80.
REACH = 2.0  # Side of what is searched around a box, over its side.
SEARCH_SIDE = 640  # Pixels of the longer side of a frame that is searched whole.


class Detection(NamedTuple):
  """A face that the detector found."""

  box: np.ndarray  # float64 [4], half-open, pixels of the frame; it may reach out of it.
  score: float  # Above 0: dlib calls it a face.


class LandmarkModel:
  """Finds faces and their landmarks in frames, uint8 [H, W, 3] RGB."""

  def __init__(self, path: str | os.PathLike | None = None):
    """Loads the predictor.

    Args:
      path: Of the predictor's file; None takes the one of face-recognition-models.

    Raises:
      ValueError: dlib is not installed, there is no file, or it holds no such predictor.
    """
    if importlib.util.find_spec('dlib') is None:
      raise ValueError(f'The landmark tracker needs dlib, an optional extra: {INSTALL}')
    import dlib  # Only whoever tracks landmarks needs it.

    path = packaged_model() if path is None else Path(path)
    if not path.is_file():
      raise ValueError(f'There is no landmark model {path}; it must be a {MODEL_FILE}.')
    try:
      self._predictor = dlib.shape_predictor(os.fspath(path))
    except RuntimeError as error:
      raise ValueError(f"{path} is no landmark model of dlib's: give a {MODEL_FILE}.") from error
    self._detector, self._rectangle = dlib.get_frontal_face_detector(), dlib.rectangle
    found = len(self._predict(np.zeros((80, 80, 3), np.uint8), np.array([0.0, 0.0, 80.0, 80.0])))
    if found != NUM_LANDMARKS:
      raise ValueError(
        f'{path} gives {found} landmarks, but masks are drawn from {NUM_LANDMARKS}: give a '
        f'{MODEL_FILE}.'
      )

  def detect(self, frame: np.ndarray, threshold: float) -> list[Detection]:
    """Finds the faces of a frame whose box's side is at least an eighth of its longer side.

    Args:
      frame: uint8 [H, W, 3].
      threshold: The lowest score.

    Returns:
      The largest first.
    """
    found = self._detect(frame, SEARCH_SIDE / max(frame.shape[:2]), threshold)
    return sorted(found, key=lambda face: -side(face.box))

  def detect_near(self, frame: np.ndarray, box: np.ndarray, threshold: float) -> list[Detection]:
    """Finds the faces around a box: of two thirds of its size at least, any place within `REACH`.

    Args:
      frame: uint8 [H, W, 3].
      box: float [4]; it may reach out of the frame.
      threshold: The lowest score.

    Returns:
      Those of highest scores first.
    """
    part, origin = _around(frame, box)
    if part is None:
      return []
    found = self._detect(part, DETECTOR_SIDE / side(box), threshold)
    moved = [Detection(face.box + np.tile(origin, 2), face.score) for face in found]
    return sorted(moved, key=lambda face: -face.score)

  def landmarks(self, frame: np.ndarray, box: np.ndarray) -> np.ndarray | None:
    """The landmarks of the face in a box.

    Args:
      frame: uint8 [H, W, 3].
      box: float [4], aligned as the detector's; it may reach out of the frame.

    Returns:
      float64 [68, 2], x then y, 0-based pixels; None for a box outside of the frame.
    """
    part, origin = _around(frame, box)
    if part is None:
      return None
    resized, scales = _resize(part, max(PREDICTOR_SIDE / side(box), 1))
    found = self._predict(resized, (box - np.tile(origin, 2)) * np.tile(scales, 2))
    return (found + 0.5) / scales - 0.5 + origin

  def _detect(self, image: np.ndarray, scale: float, threshold: float) -> list[Detection]:
    resized, scales = _resize(image, scale)
    found, scores, _ = self._detector.run(resized, 0, threshold)
    edges = [(box.left(), box.top(), box.right() + 1, box.bottom() + 1) for box in found]
    return [
      Detection(np.array(box) / np.tile(scales, 2), score) for box, score in zip(edges, scores)
    ]

  def _predict(self, image: np.ndarray, box: np.ndarray) -> np.ndarray:
    left, top, right, bottom = np.round(box).astype(int).tolist()
    found = self._predictor(image, self._rectangle(left, top, right - 1, bottom - 1))
    return np.array([(point.x, point.y) for point in found.parts()], np.float64)


def landmark_box(landmarks: np.ndarray) -> np.ndarray:
  """The box in which dlib's detector would have found the face.

  Args:
    landmarks: [68, 2], x then y, 0-based pixels.

  Returns:
    A square, float64 [4]; it may reach out of the frame.
  """
  middle = landmarks.mean(axis=0)
  length = SIDE * np.sqrt(np.square(landmarks - middle).sum(axis=1).mean())
  return _square(middle + 0.5, length, RISE)


def crop_box(crop: np.ndarray) -> np.ndarray:
  """The box in which dlib's detector would have found the face that a crop was made around.

  Args:
    crop: [4], a box as `boxes.face_box` makes them.

  Returns:
    A square, float64 [4].
  """
  x0, y0, x1, y1 = np.asarray(crop, np.float64)
  return _square(np.array([x0 + x1, y0 + y1]) / 2, CROP_SIDE * (x1 - x0 + y1 - y0) / 2, CROP_RISE)


def side(box: np.ndarray) -> float:
  """The square root of a box's area, in pixels."""
  return float(np.sqrt((box[2] - box[0]) * (box[3] - box[1])))


def overlap(one: np.ndarray, other: np.ndarray) -> float:
  """The IoU of two boxes [4]."""
  return float(iou(one[None], other[None])[0, 0])


def packaged_model() -> Path:
  """The predictor's file in face-recognition-models.

  The package is not imported: it needs pkg_resources, which new versions of setuptools lack.

  Raises:
    ValueError: the package is not installed.
  """
  spec = importlib.util.find_spec('face_recognition_models')
  for folder in (spec and spec.submodule_search_locations) or ():
    path = Path(folder) / 'models' / MODEL_FILE
    if path.is_file():
      return path
  raise ValueError(
    f'The landmark tracker needs the file {MODEL_FILE}: {INSTALL}, or give the path of such a file.'
  )


def _square(middle: np.ndarray, length: float, rise: float) -> np.ndarray:
  length = max(length, 1.0)  # Landmarks may fall into one point.
  x, y = middle[0], middle[1] - rise * length
  return np.array([x - length / 2, y - length / 2, x + length / 2, y + length / 2])


def _around(frame: np.ndarray, box: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
  """The part of a frame around a box, and its corner; no part if there is none.

  Where the frame ends, its last pixels go on: the detector then places its boxes better, which gave
  the masks of tightly cropped stills 79.6 % mIoU instead of 77.7 %.
  """
  middle, half = (box[:2] + box[2:]) / 2, side(box) * REACH / 2
  around = np.concatenate([np.floor(middle - half), np.ceil(middle + half)]).astype(np.int64)
  try:
    inside = boxes.clamp(around, *frame.shape[:2])
  except ValueError:  # The face has left the frame.
    return None, around[:2]
  left, top, right, bottom = np.abs(around - inside).tolist()
  part = boxes.crop(frame, inside)
  return cv2.copyMakeBorder(part, top, bottom, left, right, cv2.BORDER_REPLICATE), around[:2]


def _resize(image: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
  """Scales an image, and says by how much in x and in y once sides are whole pixels."""
  height, width = image.shape[:2]
  size = max(round(width * scale), 1), max(round(height * scale), 1)
  kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
  resized = cv2.resize(np.ascontiguousarray(image), size, interpolation=kind)
  return resized, np.array(size) / (width, height)
