"""A boosted cascade of Haar features over an image: Viola & Jones (CVPR 2001) in numpy.

OpenCV 5 no longer has its `CascadeClassifier`, nor the trained cascades. The cascade here is OpenCV
4's `haarcascade_frontalface_alt2.xml` (R. Lienhart; its licence stands at the head of the file),
unchanged but for the compression, and is evaluated as OpenCV 4 did.
"""

import functools
import gzip
import importlib.resources
from typing import NamedTuple
from xml.etree import ElementTree

import cv2
import numpy as np

FRONTAL = 'haarcascade_frontalface_alt2.xml.gz'

_MIN_CONTRAST = 10.0  # Grey levels, standard deviation of a window; flatter windows hold no face.
_MAX_RECTANGLES = 3  # In one feature.
_DENSE = 2  # Stages evaluated at every place; few windows are left after them.
_GATHERED = 1_000_000  # Values of the integral image taken at a time: bounds the memory.


class Stage(NamedTuple):
  """Trees of two nodes and three leaves, whose sum must reach a threshold."""

  corners: np.ndarray  # int64 [F, 12, 2]: y, x of the corners of each feature's rectangles.
  weights: np.ndarray  # float64 [F, 12], of the integral image at the corners.
  node_thresholds: np.ndarray  # float64 [trees, 2]; the features 2i and 2i + 1 are of tree i.
  second_is_right: np.ndarray  # bool [trees]: whether the first node's right branch has the second.
  leaves: np.ndarray  # float64 [trees, 3]: of the first node, then the second's left and right.
  threshold: float


class Cascade(NamedTuple):
  """Stages in the order in which a window must pass them."""

  side: int  # Pixels, of the square window.
  stages: tuple[Stage, ...]


class Hits(NamedTuple):
  """Windows that passed."""

  boxes: np.ndarray  # float64 [M, 4]: x0, y0, x1, y1, pixels of the image.
  margins: np.ndarray  # float64 [M]: by how much the last stage's sum exceeds its threshold.


@functools.cache
def load(name: str = FRONTAL) -> Cascade:
  """Reads a cascade that lies beside this module.

  Args:
    name: Of a gzipped XML file in OpenCV's format, of upright features and trees of two nodes.

  Returns:
    The cascade.
  """
  data = importlib.resources.files('fmx.extraction').joinpath(name).read_bytes()
  root = ElementTree.fromstring(gzip.decompress(data))[0]
  features = [_feature(node) for node in root.find('features')]
  stages = tuple(_stage(node, features) for node in root.find('stages'))
  return Cascade(int(root.findtext('width')), stages)


def scan(
  cascade: Cascade, gray: np.ndarray, *, min_side: float, max_side: float, growth: float
) -> Hits:
  """Tries windows of every size at every place.

  Args:
    cascade: What a window must pass.
    gray: uint8 [H, W].
    min_side: Of the smallest window, pixels; not less than the cascade's.
    max_side: Of the largest.
    growth: Side of the next larger window over this one's; above 1.

  Returns:
    All windows that pass; a face has many.
  """
  boxes, margins = [np.empty((0, 4))], [np.empty(0)]
  scale = max(min_side / cascade.side, 1.0)
  while scale * cascade.side <= min(max_side, *gray.shape):
    size = tuple(round(edge / scale) for edge in gray.shape[::-1])
    small = cv2.resize(gray, size, interpolation=cv2.INTER_LINEAR)
    # Steps of about two pixels of the image or more, as OpenCV takes them.
    corners, margin = passing(cascade, small, step=1 if scale > 2 else 2)
    boxes.append(np.concatenate([corners, corners + cascade.side], axis=1) * scale)
    margins.append(margin)
    scale *= growth
  return Hits(np.concatenate(boxes), np.concatenate(margins))


def passing(cascade: Cascade, gray: np.ndarray, *, step: int) -> tuple[np.ndarray, np.ndarray]:
  """Tries the windows of the cascade's own size.

  Args:
    cascade: What a window must pass.
    gray: uint8 [H, W].
    step: Between windows, pixels.

  Returns:
    The corners of the windows that pass, int64 [M, 2], x then y; and by how much the last stage's
    sum exceeds its threshold, float64 [M].
  """
  height, width = (edge - cascade.side + 1 for edge in gray.shape)
  if height < 1 or width < 1:
    return np.empty((0, 2), np.int64), np.empty(0)
  sums, squares = cv2.integral2(gray)
  spread = _area_deviation(sums.astype(np.float64), squares, cascade.side)[::step, ::step]
  passed = spread > _MIN_CONTRAST * (cascade.side - 2) ** 2
  for stage in cascade.stages[:_DENSE]:
    values = _dense_features(stage, sums, (height, width), step) / np.maximum(spread, 1)
    passed &= _stage_sums(stage, np.moveaxis(values, 0, -1)) >= stage.threshold
  y, x = np.nonzero(passed)
  spread, place = spread[y, x], (y * sums.shape[1] + x) * step
  alive, total = np.arange(len(place)), np.empty(0)
  for stage in cascade.stages[_DENSE:]:
    values = _sparse_features(stage, sums, place[alive]) / spread[alive, None]
    total = _stage_sums(stage, values)
    passed = total >= stage.threshold
    alive, total = alive[passed], total[passed]
  corners = np.stack([x[alive], y[alive]], axis=1) * step
  return corners, total - cascade.stages[-1].threshold


def _dense_features(
  stage: Stage, sums: np.ndarray, shape: tuple[int, int], step: int
) -> np.ndarray:
  """Features of the windows at every place, float64 [F, rows, columns]; fast where most count."""
  height, width = shape
  values = np.zeros((len(stage.corners), -(-height // step), -(-width // step)))
  for value, corners, weights in zip(values, stage.corners, stage.weights):
    for (y, x), weight in zip(corners, weights):
      if weight:
        value += weight * sums[y : y + height : step, x : x + width : step]
  return values


def _sparse_features(stage: Stage, sums: np.ndarray, place: np.ndarray) -> np.ndarray:
  """Features of the windows at the given flat places of the integral image, float64 [M, F]."""
  flat, offsets = sums.reshape(-1), stage.corners[..., 0] * sums.shape[1] + stage.corners[..., 1]
  values = np.empty((len(place), len(offsets)))
  chunk = max(_GATHERED // offsets.size, 1)
  for i in range(0, len(place), chunk):
    corners = flat[place[i : i + chunk, None, None] + offsets]
    values[i : i + chunk] = np.einsum('mfc,fc->mf', corners, stage.weights)
  return values


def _stage_sums(stage: Stage, values: np.ndarray) -> np.ndarray:
  """Sums the leaves that the features [..., F] lead to, float64 [...]."""
  is_right = values.reshape(*values.shape[:-1], len(stage.leaves), 2) >= stage.node_thresholds
  goes_on = is_right[..., 0] == stage.second_is_right
  leaf = np.where(goes_on, 1 + is_right[..., 1], 0)
  return stage.leaves[np.arange(len(stage.leaves)), leaf].sum(axis=-1)


def _area_deviation(sums: np.ndarray, squares: np.ndarray, side: int) -> np.ndarray:
  """Area times standard deviation of each window without its outermost pixels."""
  inner = side - 2

  def window_sums(integral: np.ndarray) -> np.ndarray:
    inside = integral[1:-1, 1:-1]
    return (inside[inner:, inner:] - inside[:-inner, inner:] - inside[inner:, :-inner]) + inside[
      :-inner, :-inner
    ]

  variance = inner**2 * window_sums(squares) - window_sums(sums) ** 2
  return np.sqrt(np.maximum(variance, 0))


def _feature(node: ElementTree.Element) -> tuple[np.ndarray, np.ndarray]:
  """Corners and weights; the first rectangle's weight makes the feature 0 on a flat image."""
  rectangles = np.array([item.text.split() for item in node.find('rects')], np.float64)
  areas = rectangles[:, 2] * rectangles[:, 3]
  rectangles[0, 4] = -(rectangles[1:, 4] * areas[1:]).sum() / areas[0]
  corners = np.zeros((4 * _MAX_RECTANGLES, 2), np.int64)
  weights = np.zeros(4 * _MAX_RECTANGLES)
  for i, (x, y, width, height, weight) in enumerate(rectangles):
    part = slice(4 * i, 4 * i + 4)
    corners[part] = [(y, x), (y, x + width), (y + height, x), (y + height, x + width)]
    weights[part] = weight * np.array([1, -1, -1, 1])
  return corners, weights


def _stage(node: ElementTree.Element, features: list) -> Stage:
  """Reads a stage; a node is: left, right, feature, threshold, with leaf i written as -i."""
  trees = node.find('weakClassifiers')
  nodes = np.array([tree.findtext('internalNodes').split() for tree in trees], np.float64)
  leaves = np.array([tree.findtext('leafValues').split() for tree in trees], np.float64)
  nodes = nodes.reshape(len(trees), 2, 4)
  used = [features[int(i)] for i in nodes[..., 2].reshape(-1)]
  return Stage(
    corners=np.stack([corners for corners, _ in used]),
    weights=np.stack([weights for _, weights in used]),
    node_thresholds=nodes[..., 3],
    second_is_right=nodes[:, 0, 1] == 1,
    leaves=leaves,
    threshold=float(node.findtext('stageThreshold')) - 1e-5,
  )
