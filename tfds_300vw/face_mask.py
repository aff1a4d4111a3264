"""From 68 landmarks to a face mask: classes, colours, regions and splines.

Everything that says what a class is lives here.
"""

import dataclasses
import functools
from collections.abc import Mapping

import numpy as np
from scipy import interpolate

from tfds_300vw import polygon

CLASS_NAMES = ('background', 'facial_skin', 'eyes', 'outer_mouth', 'inner_mouth')
COLORS = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 255, 255], [0, 0, 255]], np.uint8)
COLORS.setflags(write=False)


@dataclasses.dataclass(frozen=True)
class Region:
  """What a model looks at: the whole face, or a part of it with class ids of its own.

  Attributes:
    class_ids: Ids among `CLASS_NAMES`; the position of an id here is the region's own id of that
      class.
    parts: Indices of the landmarks whose bounding box is one crop, by the name of that part; a
      region that is a single crop has no name for it. Left and right are the person's.
  """

  class_ids: tuple[int, ...]
  parts: Mapping[str, range]


REGIONS = {
  'primary': Region(class_ids=(0, 1, 2, 3, 4), parts={'': range(68)}),
  'eyes': Region(class_ids=(0, 2), parts={'': range(36, 48)}),
  'mouth': Region(class_ids=(0, 3, 4), parts={'': range(48, 68)}),
  'eye': Region(class_ids=(0, 2), parts={'right': range(36, 42), 'left': range(42, 48)}),
}

# Each polygon in the order of painting: its class and the splines that it is made of. Each starts
# where the one before ends, at a corner of the contour: eye and mouth corners, the cupid's bow. Two
# points make a straight line.
_POLYGONS = (
  (1, (range(17), (16, 26), range(26, 21, -1), (22, 21), range(21, 16, -1), (17, 0))),
  (2, (range(36, 40), (39, 40, 41, 36))),
  (2, (range(42, 46), (45, 46, 47, 42))),
  (3, (range(48, 52), range(51, 55), (*range(54, 60), 48))),
  (4, (range(60, 65), (*range(64, 68), 60))),
)
_PAINTED = [class_id for class_id, _ in _POLYGONS]
_CLASS_BITS = [1 << _PAINTED.index(class_id) for class_id in range(1, len(CLASS_NAMES))]
_SAMPLES = 100  # From one landmark to the next.
_MAX_COORDINATE = 1e9  # Pixels. Products of two of them keep their precision.


def landmarks_to_mask(landmarks: np.ndarray, height: int, width: int) -> np.ndarray:
  """Draws the face mask of one frame.

  Args:
    landmarks: [68, 2], x then y, 0-based pixels; they may lie outside the image.
    height: Of the image, pixels.
    width: Of the image, pixels.

  Returns:
    Class ids among `CLASS_NAMES`, uint8 [H, W].

  Raises:
    ValueError: landmarks have another shape, or are not finite (or beyond 1e9).
  """
  inside = polygon.fill(polygons(landmarks), height, width)
  # The polygon painted last has the highest bit, and ids rise by one where the class changes.
  labels = np.zeros((height, width), np.uint8)
  for bit in _CLASS_BITS:
    labels += (inside >= bit).view(np.uint8)
  return labels


def polygons(landmarks: np.ndarray) -> list[np.ndarray]:
  """Outlines the parts of a face by cubic splines over the point index (not-a-knot ends).

  Polygons may cross themselves in profile views.

  Args:
    landmarks: [68, 2], x then y, 0-based pixels.

  Returns:
    Face, two eyes, outer mouth, inner mouth in the order of painting: float64 [P, 2] each; the last
    point joins the first.

  Raises:
    ValueError: landmarks have another shape, or are not finite (or beyond 1e9).
  """
  landmarks = np.asarray(landmarks, np.float64)
  if landmarks.shape != (68, 2):
    raise ValueError(f'Landmarks must be [68, 2], not {list(landmarks.shape)}.')
  if not (np.abs(landmarks) <= _MAX_COORDINATE).all():
    raise ValueError(f'Landmarks must be finite and within {_MAX_COORDINATE:g} pixels of 0.')
  weights, powers, parts = _splines()
  points = (landmarks.T @ weights).reshape(-1, 4) @ powers  # [2 * segments, samples]
  points = points.reshape(2, -1).T
  return [points[part] for part in parts]


def class_names(region: str) -> tuple[str, ...]:
  """Names by the region's own ids.

  Raises:
    ValueError: there is no such region.
  """
  return tuple(CLASS_NAMES[i] for i in _region(region).class_ids)


def colors(region: str) -> np.ndarray:
  """Colours by the region's own ids, uint8 [K, 3]: a class looks the same in every region.

  Raises:
    ValueError: there is no such region.
  """
  return COLORS[list(_region(region).class_ids)]


def region_labels(labels: np.ndarray, region: str) -> np.ndarray:
  """Translates labels of the whole face to a region's own ids.

  Classes that the region lacks become background.

  Args:
    labels: Ids among `CLASS_NAMES`, integer [...].
    region: A key of `REGIONS`.

  Returns:
    The region's own ids, uint8 [...].

  Raises:
    ValueError: an id or the region does not exist.
  """
  table = np.zeros(len(CLASS_NAMES), np.uint8)
  for own_id, class_id in enumerate(_region(region).class_ids):
    table[class_id] = own_id
  return _look_up(table, labels)


def face_labels(labels: np.ndarray, region: str) -> np.ndarray:
  """Translates a region's own ids back to ids among `CLASS_NAMES`.

  Args:
    labels: The region's own ids, integer [...].
    region: A key of `REGIONS`.

  Returns:
    Ids among `CLASS_NAMES`, uint8 [...].

  Raises:
    ValueError: an id or the region does not exist.
  """
  return _look_up(np.array(_region(region).class_ids, np.uint8), labels)


def to_color(labels: np.ndarray, region: str = 'primary') -> np.ndarray:
  """Paints labels in the class colours.

  Args:
    labels: The region's own ids, integer [...].
    region: A key of `REGIONS`.

  Returns:
    RGB, uint8 [..., 3].

  Raises:
    ValueError: an id or the region does not exist.
  """
  return _look_up(colors(region), labels)


def from_color(image: np.ndarray, region: str = 'primary') -> np.ndarray:
  """Reads the labels from an image painted in the class colours, and in no other.

  Args:
    image: RGB, uint8 [..., 3].
    region: A key of `REGIONS`.

  Returns:
    The region's own ids, uint8 [...].

  Raises:
    ValueError: a colour is no class colour of the region (the message says which and where), the
      image is not RGB, or the region does not exist.
  """
  image = np.asarray(image)
  if image.ndim < 1 or image.shape[-1] != 3 or image.dtype != np.uint8:
    raise ValueError(f'Expected RGB, uint8 [..., 3], not {image.dtype} {list(image.shape)}.')
  expected = colors(region)
  table = np.zeros(8, np.uint8)  # The colours differ in their lowest bits already.
  table[(expected & 1) @ np.array([4, 2, 1])] = np.arange(len(expected))
  labels = table[(image[..., 0] & 1) * 4 + (image[..., 1] & 1) * 2 + (image[..., 2] & 1)]
  wrong = (expected[labels] != image).any(axis=-1)
  if wrong.any():
    place = tuple(int(i) for i in np.argwhere(wrong)[0])
    raise ValueError(
      f'Colour {tuple(image[place].tolist())} at {place} (row, column) is no class colour of '
      f'{region!r} ({wrong.sum()} such pixels); expected {expected.tolist()} in a lossless format.'
    )
  return labels


@functools.cache
def _splines() -> tuple[np.ndarray, np.ndarray, list[slice]]:
  """What of the splines does not depend on the landmarks.

  A cubic spline is linear in its points, so splining the identity gives the matrix of the spline.

  Returns:
    The weight of each landmark in the 4 coefficients of each segment [68, segments * 4], the powers
    of the samples' positions on a segment [4, samples], and the slice of all samples that is each
    polygon.
  """
  weights: list[np.ndarray] = []
  parts: list[slice] = []
  for _, curves in _POLYGONS:
    first = len(weights)
    for curve in curves:
      knots = np.arange(len(curve))
      spline = interpolate.CubicSpline(knots, np.eye(68)[list(curve)], bc_type='not-a-knot')
      weights.extend(spline.c.transpose(1, 2, 0))  # [segments of the curve, 68, 4]
    parts.append(slice(first * _SAMPLES, len(weights) * _SAMPLES))
  positions = np.arange(_SAMPLES) / _SAMPLES  # Position 1 is where the next segment starts.
  return np.concatenate(weights, axis=1), positions ** np.array([[3], [2], [1], [0]]), parts


def _region(name: str) -> Region:
  if name not in REGIONS:
    raise ValueError(f'There is no region {name!r}; choose one of {", ".join(REGIONS)}.')
  return REGIONS[name]


def _look_up(table: np.ndarray, labels: np.ndarray) -> np.ndarray:
  labels = np.asarray(labels)
  if labels.dtype.kind not in 'ui':
    raise ValueError(f'Labels must be integers, not {labels.dtype}.')
  if labels.size and not 0 <= labels.min() <= labels.max() < len(table):
    raise ValueError(
      f'Labels must lie in [0, {len(table)}); these lie in [{labels.min()}, {labels.max()}].'
    )
  return table[labels]
