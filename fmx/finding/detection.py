"""Finding faces in one frame, without knowing where they were."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import cv2
import numpy as np
from scipy.sparse.csgraph import connected_components

from tfds_300vw import boxes

MIN_HITS = 6  # Windows that agree on a face. Real faces mostly have 10 to 60, false ones up to 5.

# Trained cascades that come with OpenCV 4, not with 5.
_FRONTAL = 'haarcascade_frontalface_alt2.xml'
_PROFILE = 'haarcascade_profileface.xml'

_LONG_SIDE = 320  # Pixels of the reduced frame.
_FINE_SIDE = 640  # For small faces.
_MIN_SIDE = 24  # Pixels of the smallest window, in the reduced frame.
_FINE_MAX_SIDE = 60  # Of the largest in the finer frame; larger faces are seen in the reduced one.
_GROWTH = 1.15  # Side of the next larger window.
_AGREE = 0.2  # Of the side, by which windows on one face may differ.
_TILT = 25.0  # Degrees.

# The face crop relative to the cascade's window, fitted on real faces with landmarks.
_CROP_SIDE = 1.11
_CROP_DOWN = 0.15


class Detection(NamedTuple):
  """A face.

  Attributes:
    box: As `tfds_300vw.boxes.face_box` would crop it (eyebrows to chin), int64 [4]: x0, y0, x1, y1,
      half-open, inside the image.
    score: Windows of the cascade that agree on it.
  """

  box: np.ndarray
  score: float


class FaceDetector:
  """Finds faces that look about into the camera.

  Other views of the frame are tried in turn, only while nothing is found: finer, with equalised
  contrast, tilted either way, for profiles (of which it misses many). Keeps nothing between frames.
  """

  def __init__(self, *, min_hits: int = MIN_HITS):
    """Sets how sure a detection must be.

    Args:
      min_hits: Windows that must agree. Fewer find more faces, and more that are none.

    Raises:
      ValueError: `min_hits` is less than 1.
    """
    if min_hits < 1:
      raise ValueError(f'min_hits is {min_hits}; it must be at least 1.')
    self._min_hits = min_hits
    self._cascades: dict[str, cv2.CascadeClassifier] = {}

  def __call__(self, frame: np.ndarray) -> list[Detection]:
    """Finds the faces of a frame.

    Args:
      frame: uint8 [H, W, 3] RGB.

    Returns:
      The faces, the largest first; of those that overlap only the one with the best score.
    """
    height, width = frame.shape[:2]
    gray = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)
    for hits in self._tries(gray):
      found = [
        Detection(crop_of(window, height, width), float(count))
        for window, count in groups(hits)
        if count >= self._min_hits and _is_inside(window, height, width)
      ]
      if found:
        return sorted(_apart(found), key=lambda face: (-area(face.box), tuple(face.box)))
    return []

  def __getstate__(self) -> dict[str, Any]:
    """All but the cascades, which do not pickle and are read again when they are needed."""
    return self.__dict__ | {'_cascades': {}}

  def _tries(self, gray: np.ndarray) -> Iterator[np.ndarray]:
    """Hits in one view of the frame after another, in pixels of the frame."""
    small, scale = _reduced(gray, _LONG_SIDE)
    yield self._scan(small) / scale
    if max(gray.shape) > _LONG_SIDE:
      fine, fine_scale = _reduced(gray, _FINE_SIDE)
      yield self._scan(fine, max_side=_FINE_MAX_SIDE) / fine_scale
    yield self._scan(cv2.createCLAHE(4.0, (4, 4)).apply(small)) / scale
    for tilt in (-_TILT, _TILT):
      yield self._tilted(small, tilt) / scale
    mirrored = mirror(self._scan(cv2.flip(small, 1), _PROFILE), small.shape[1])
    yield np.concatenate([self._scan(small, _PROFILE), mirrored]) / scale

  def _scan(self, gray: np.ndarray, name: str = _FRONTAL, max_side: int = 0) -> np.ndarray:
    """Windows that pass a cascade, float64 [M, 4]; a face has many. 0 is no largest side."""
    if name not in self._cascades:
      self._cascades[name] = cv2.CascadeClassifier(cv2.data.haarcascades + name)
    found = self._cascades[name].detectMultiScale(
      gray,
      scaleFactor=_GROWTH,
      minNeighbors=0,  # OpenCV's own grouping does not say how many agree on a face.
      minSize=(_MIN_SIDE, _MIN_SIDE),
      maxSize=(max_side, max_side),
    )
    hits = np.array(found, np.float64).reshape(-1, 4)  # An empty tuple if there are none.
    return np.concatenate([hits[:, :2], hits[:, :2] + hits[:, 2:]], axis=1)

  def _tilted(self, gray: np.ndarray, degrees: float) -> np.ndarray:
    """Hits in the turned image, upright windows around the same centres."""
    height, width = gray.shape
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    hits = self._scan(cv2.warpAffine(gray, turn, (width, height), borderMode=cv2.BORDER_REPLICATE))
    half = (hits[:, 2:] - hits[:, :2]) / 2
    back = cv2.invertAffineTransform(turn)
    centres = (hits[:, :2] + half) @ back[:, :2].T + back[:, 2]
    return np.concatenate([centres - half, centres + half], axis=1)


def crop_of(window: np.ndarray, height: int, width: int) -> np.ndarray:
  """The face crop for a window of the cascade.

  Args:
    window: float [4], whose centre is inside the image.
    height: Of the image, pixels.
    width: Of the image, pixels.

  Returns:
    int64 [4], inside the image.
  """
  side = window[2] - window[0]
  x, y = (window[:2] + window[2:]) / 2 + (0, _CROP_DOWN * side)
  half = _CROP_SIDE * side / 2
  box = boxes.enlarge((x - half, y - half, x + half, y + half), 1.0)
  return boxes.clamp(box, height, width)


def groups(hits: np.ndarray) -> Iterator[tuple[np.ndarray, int]]:
  """Puts windows on the same face together.

  Args:
    hits: float [M, 4].

  Yields:
    The middle window of each group, float [4], and how many windows it has.
  """
  if not len(hits):
    return
  sides = hits[:, 2] - hits[:, 0]
  difference = np.abs(hits[:, None] - hits[None]).max(axis=-1)
  near = difference <= _AGREE * np.minimum(sides[:, None], sides[None])
  number, group = connected_components(near, directed=False)
  for i in range(number):
    yield np.median(hits[group == i], axis=0), int((group == i).sum())


def mirror(hits: np.ndarray, width: int) -> np.ndarray:
  """Windows [M, 4] of the mirrored image, in the image of that many pixels' width."""
  return hits[:, [2, 1, 0, 3]] * (-1, 1, -1, 1) + (width, 0, width, 0)


def overlap(box: np.ndarray, other: np.ndarray) -> float:
  """Area that two boxes share over that of the smaller one, in [0, 1]."""
  low, high = np.maximum(box[:2], other[:2]), np.minimum(box[2:], other[2:])
  return float(np.prod(np.maximum(high - low, 0)) / min(area(box), area(other)))


def area(box: np.ndarray) -> int:
  """Pixels of a box."""
  return int((box[2] - box[0]) * (box[3] - box[1]))


def _reduced(gray: np.ndarray, long_side: int) -> tuple[np.ndarray, float]:
  scale = long_side / max(gray.shape)
  if scale >= 1:
    return gray, 1.0
  size = tuple(max(round(edge * scale), 1) for edge in gray.shape[::-1])
  return cv2.resize(gray, size, interpolation=cv2.INTER_AREA), scale


def _is_inside(window: np.ndarray, height: int, width: int) -> bool:
  """Whether the centre is: turning can throw a window out."""
  x, y = (window[:2] + window[2:]) / 2
  return 0 <= x < width and 0 <= y < height


def _apart(found: list[Detection]) -> list[Detection]:
  kept: list[Detection] = []
  # Boxes decide between equal scores: OpenCV's threads leave the hits in any order.
  for face in sorted(found, key=lambda face: (-face.score, tuple(face.box))):
    if all(overlap(face.box, other.box) < 0.3 for other in kept):
      kept.append(face)
  return kept
