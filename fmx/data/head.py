"""A parametric 3-D head: identity to a mesh with 68 landmarks, and both to the image.

Head coordinates: x to the right of the image, y down, z towards the camera. The unit is half a head's height, with y = 0
between the eyes and the chin near y = 1. The mesh is a grid: columns are azimuths around the head, rows run from the
crown to the jaw and on, under the chin, to the bottom of the neck.
"""

import dataclasses
import functools

import numpy as np
from scipy import interpolate, spatial

NUM_JAW_ROW = 70  # The row that is the jaw line.
NUM_NECK_ROWS = 18
NUM_ROWS = NUM_JAW_ROW + 1 + NUM_NECK_ROWS
NUM_COLUMNS = 81
_CROWN, _TEMPLE = -1.0, -0.25  # y where the skull ends and where it is widest.
_SKULL_ROWS = 0.33  # Share of the rows above the temple.
PIVOT = np.array([0, 0.45, 0.0], np.float32)  # About which the head turns.
_CAMERA_DISTANCE = 9.0  # Head units from the pivot.
_CONTOUR_SOFTNESS = 0.012  # Head units.

EXPRESSIONS = (
  'jaw',
  'smile_left',
  'smile_right',
  'pucker',
  'brow_left',
  'brow_right',
  'frown',
  'upper_lip',
)

# Right half (of the image) of an average face; nose, lips and jaw are mirrored from it. x, y.
_BROW = ((0.104, -0.155), (0.213, -0.2), (0.333, -0.213), (0.445, -0.185), (0.525, -0.105))
_NOSE_RIDGE = ((0, -0.02), (0, 0.105), (0, 0.225), (0, 0.33))
_NOSTRILS = ((0, 0.44), (0.062, 0.428), (0.122, 0.405))
_EYE = ((0.16, 0.016), (0.232, -0.046), (0.322, -0.05), (0.398, -0.002), (0.324, 0.036), (0.238, 0.038))  # fmt: skip
_OUTER_LIP = ((0, 0.561), (0.055, 0.55), (0.143, 0.576), (0.232, 0.625), (0.143, 0.69), (0.06, 0.718), (0, 0.724))  # fmt: skip
_INNER_LIP = ((0, 0.617), (0.068, 0.611), (0.198, 0.624), (0.068, 0.629), (0, 0.633))
# The jaw line: azimuth in degrees, then x, y, z.
_JAW = (
  (0, 0, 0.97, 0.8),
  (12, 0.144, 0.947, 0.775),
  (24, 0.27, 0.868, 0.68),
  (38, 0.385, 0.765, 0.5),
  (52, 0.475, 0.64, 0.33),
  (66, 0.54, 0.5, 0.17),
  (82, 0.578, 0.42, 0.02),
  (105, 0.56, 0.38, -0.16),
  (152, 0.3, 0.36, -0.62),
)
_WIDTH = ((_TEMPLE, 0.655), (0, 0.64), (0.17, 0.628), (0.33, 0.605), (0.5, 0.56), (0.7, 0.47), (1.0, 0.34))  # fmt: skip
_DEPTH = ((_TEMPLE, 0.8), (0, 0.765), (0.2, 0.78), (0.4, 0.81), (0.6, 0.83), (0.8, 0.8), (1.0, 0.8))  # fmt: skip
_BACK = ((_TEMPLE, 0.88), (0.1, 0.85), (0.35, 0.68), (1.0, 0.5))
_RIDGE = ((-0.2, 0), (-0.04, 0.03), (0.1, 0.075), (0.22, 0.14), (0.31, 0.195), (0.36, 0.19), (0.4, 0.135), (0.435, 0.06), (0.47, 0.015), (0.52, 0))  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Shape:
  """How a head differs from the average one; 1 is average for factors, 0 for the others."""

  width: float = 1.0
  jaw_width: float = 1.0
  chin: float = 0.0
  nose_length: float = 1.0
  nose_width: float = 1.0
  nose_height: float = 1.0
  eye_size: float = 1.0
  eye_width: float = 1.0
  eye_distance: float = 0.0
  eye_tilt: float = 0.0
  brow_height: float = 0.0
  brow_tilt: float = 0.0
  lip_thickness: float = 1.0
  mouth_width: float = 1.0
  mouth_height: float = 0.0
  cheekbones: float = 1.0
  brow_ridge: float = 1.0
  neck_width: float = 1.0

  @classmethod
  def sample(cls, rng: np.random.Generator) -> 'Shape':
    """Draws a plausible head."""
    spread = {
      'width': 0.035, 'jaw_width': 0.055, 'chin': 0.025, 'nose_length': 0.07, 'nose_width': 0.12,
      'nose_height': 0.13, 'eye_size': 0.15, 'eye_width': 0.045, 'eye_distance': 0.01,
      'eye_tilt': 0.012, 'brow_height': 0.018, 'brow_tilt': 0.015, 'lip_thickness': 0.24,
      'mouth_width': 0.07, 'mouth_height': 0.014, 'cheekbones': 0.5, 'brow_ridge': 0.45,
      'neck_width': 0.08,
    }  # fmt: skip
    draws = np.clip(rng.standard_normal(len(spread)), -1.8, 1.8)
    return cls(
      **{n: float(getattr(cls, n) + s * d) for (n, s), d in zip(spread.items(), draws, strict=True)}
    )


class Head:
  """The mesh and the landmarks of one identity, in head coordinates.

  Attributes:
    vertices: [rows, columns, 3] at rest.
    landmarks: [68, 3] at rest, eyes open.
    azimuth: [columns], degrees; 0 is the front.
  """

  def __init__(self, shape: Shape):
    self.shape = shape
    self.azimuth = _azimuths()
    self.vertices = _vertices(shape, self.azimuth).astype(np.float32)
    flat = landmarks_at_rest(shape)
    self.landmarks = self.lift(flat)
    self._vertex_basis = _expression_basis(self.vertices)
    self._landmark_basis = _expression_basis(self.landmarks)
    _move_lips_as_a_whole(self._landmark_basis, self._lip_weights())
    self._contour = _contour_paths(self.vertices, self.azimuth, self.landmarks)

  def anchor(self, points: np.ndarray) -> np.ndarray:
    """Finds places on the front of the mesh.

    Args:
      points: [P, 2], x and y in head coordinates.

    Returns:
      [P, 2], fractional row and column.
    """
    row, column, tree = self._front
    _, index = tree.query(points, k=4)
    # Inverse-distance weights over the nearest four samples hide the sampling's steps.
    gap = np.linalg.norm(self._front_points[index] - np.asarray(points)[:, None], axis=2)
    weight = 1 / (gap + 1e-4)
    weight /= weight.sum(1, keepdims=True)
    return np.stack([(row[index] * weight).sum(1), (column[index] * weight).sum(1)], axis=1)

  def lift(self, points: np.ndarray) -> np.ndarray:
    """Puts points [P, 2] of the front view onto the surface: [P, 3]."""
    z = sample_grid(self.vertices[..., 2:], self.anchor(points))
    return np.concatenate([points, z], axis=1).astype(np.float32)

  def pose(self, expression: np.ndarray, lids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Moves mesh and landmarks.

    Args:
      expression: Strength of each of `EXPRESSIONS`, about [0, 1].
      lids: Openness of the image's left and right eye: 0 closed, 1 at rest.

    Returns:
      Vertices [rows, columns, 3] and landmarks [68, 3], in head coordinates. The jaw's landmarks are provisional:
      `contour` says where they appear.
    """
    weights = expression.astype(np.float32)
    vertices = (weights @ self._vertex_basis.reshape(len(weights), -1)).reshape(self.vertices.shape)
    vertices += self.vertices
    landmarks = self.landmarks + np.tensordot(weights, self._landmark_basis, axes=1)
    for first, openness in ((36, lids[0]), (42, lids[1])):
      _close_lids(landmarks, first, openness)
    # Upper and lower inner lip may touch but not cross.
    for upper, lower in ((61, 67), (62, 66), (63, 65)):
      landmarks[lower, 1] = max(landmarks[lower, 1], landmarks[upper, 1] + 0.004)
    return vertices, landmarks

  def contour(self, projected: np.ndarray, roll: np.ndarray, scale: float) -> np.ndarray:
    """Finds the jaw line as it is seen: anatomical where visible, else the outline of the cheek.

    Args:
      projected: [rows, columns, 2], the mesh in the image.
      roll: [2, 2], the rotation of the head within the image plane.
      scale: Pixels per head unit.

    Returns:
      [17, 2] in the image.
    """
    paths, outward = self._contour
    candidates = sample_grid(projected, paths.reshape(-1, 2)).reshape(*paths.shape[:2], 2)
    reach = np.einsum('pmc,pc->pm', candidates, outward @ roll.T)
    # A soft maximum: over a flat stretch of cheek the hard one would jump from frame to frame.
    weight = np.exp((reach - reach.max(axis=1, keepdims=True)) / (_CONTOUR_SOFTNESS * scale))
    weight /= weight.sum(axis=1, keepdims=True)
    return np.einsum('pm,pmc->pc', weight, candidates)

  def _lip_weights(self) -> np.ndarray:
    """How far each of the 20 mouth landmarks follows the jaw."""
    weights = np.zeros(20)
    weights[[6, 0]] = weights[[12, 16]] = 0.42
    weights[[7, 11]] = 0.86
    weights[[8, 9, 10]] = 1.0
    weights[[17, 18, 19]] = 0.97, 1.0, 0.97
    return weights

  @functools.cached_property
  def _front(self):
    rows = np.arange(14, NUM_JAW_ROW + 1, 1 / 3)
    columns = np.arange(16, NUM_COLUMNS - 16, 1 / 3)
    row, column = (g.ravel() for g in np.meshgrid(rows, columns, indexing='ij'))
    places = np.stack([row, column], 1)
    self._front_points = sample_grid(self.vertices[..., :2], places).astype(np.float64)
    return row, column, spatial.cKDTree(self._front_points)


def sample_grid(grid: np.ndarray, places: np.ndarray) -> np.ndarray:
  """Interpolates a grid [rows, columns, C] at fractional places [P, 2] (row, column): [P, C]."""
  row = np.clip(places[:, 0], 0, grid.shape[0] - 1.001)
  column = np.clip(places[:, 1], 0, grid.shape[1] - 1.001)
  r, c = row.astype(int), column.astype(int)
  u, v = (row - r)[:, None], (column - c)[:, None]
  top = grid[r, c] * (1 - v) + grid[r, c + 1] * v
  return top * (1 - u) + (grid[r + 1, c] * (1 - v) + grid[r + 1, c + 1] * v) * u


def rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
  """A rotation matrix [3, 3]; degrees. Positive: towards the image's right, down, clockwise."""
  y, p, r = np.radians([yaw, pitch, roll])
  turn = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
  nod = np.array([[1, 0, 0], [0, np.cos(p), np.sin(p)], [0, -np.sin(p), np.cos(p)]])
  tilt = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
  return (tilt @ nod @ turn).astype(np.float32)


def project(points: np.ndarray, turn: np.ndarray, scale: float, origin: np.ndarray) -> np.ndarray:
  """Shows points in the image.

  Args:
    points: [..., 3] in head coordinates.
    turn: [3, 3] rotation.
    scale: Pixels per head unit at the pivot.
    origin: [2], the pivot in the image, pixels.

  Returns:
    [..., 3]: x and y in pixels, z in head units.
  """
  return to_image((points - PIVOT) @ turn.T, scale, origin)


def to_image(turned: np.ndarray, scale: float, origin: np.ndarray) -> np.ndarray:
  """The perspective part of `project`: [..., 3] relative to the pivot, already rotated."""
  # Python numbers keep the precision of `turned`.
  zoom = float(scale) * _CAMERA_DISTANCE / (_CAMERA_DISTANCE - turned[..., 2])
  image = np.empty_like(turned)
  image[..., 0] = turned[..., 0] * zoom + float(origin[0])
  image[..., 1] = turned[..., 1] * zoom + float(origin[1])
  image[..., 2] = turned[..., 2]
  return image


def landmarks_at_rest(shape: Shape) -> np.ndarray:
  """The 68 landmarks of the front view, [68, 2], in head coordinates."""
  jaw = _jaw_curve(shape)(np.abs(_azimuths_of_jaw_landmarks()))[:, :2]
  jaw[[0, 16]], jaw[[1, 15]], jaw[[2, 14]] = (
    (0.618 * shape.width, 0.01),
    (0.607 * shape.width, 0.17),
    (0.585 * shape.width * (1 + shape.jaw_width) / 2, 0.33),
  )
  jaw[:8, 0] *= -1
  brow = np.array(_BROW) + [[0, shape.brow_height]]
  brow[:, 1] += shape.brow_tilt * (brow[:, 0] - 0.3) / 0.2
  ridge = np.array(_NOSE_RIDGE) * [1, shape.nose_length]
  nostrils = np.array(_NOSTRILS) * [shape.nose_width, shape.nose_length]
  eye = np.array(_EYE)
  center = eye[[0, 3]].mean(0)
  eye = (eye - center) * [shape.eye_width, shape.eye_size] + center
  eye += [shape.eye_distance, 0]
  eye[:, 1] -= shape.eye_tilt * (eye[:, 0] - center[0]) / 0.12
  outer, inner = np.array(_OUTER_LIP), np.array(_INNER_LIP)
  for lips in (outer, inner):
    lips[:, 1] = (lips[:, 1] - 0.625) * shape.lip_thickness + 0.625 + shape.mouth_height
    lips[:, 0] *= shape.mouth_width
  # The seam between the lips stays closed however thick they are.
  inner[:, 1] = np.array(_INNER_LIP)[:, 1] + shape.mouth_height
  m = np.array([-1, 1])
  return np.concatenate([
    jaw, brow[::-1] * m, brow, ridge, nostrils[:0:-1] * m, nostrils,
    eye[[3, 2, 1, 0, 5, 4]] * m, eye,
    outer[3:0:-1] * m, outer, outer[5:3:-1] * m,
    inner[2:0:-1] * m, inner[:3], inner[3:], inner[3:4] * m,
  ])  # fmt: skip


def _azimuths() -> np.ndarray:
  """Degrees of the columns: finer in front, where nose and mouth are."""
  s = np.linspace(-1, 1, NUM_COLUMNS)
  return 150 * (0.55 * s + 0.45 * s**3)


def _azimuths_of_jaw_landmarks() -> np.ndarray:
  half = np.array([12, 24, 38, 52, 66, 78, 80, 81])
  return np.concatenate([-half[::-1], [0], half])


def _jaw_curve(shape: Shape) -> interpolate.CubicSpline:
  table = np.array(_JAW)
  curve = table[:, 1:].copy()
  front = np.clip(curve[:, 1] - 0.36, 0, None)
  curve[:, 0] *= shape.width * (1 + (shape.jaw_width - 1) * np.minimum(front / 0.2, 1))
  curve[:, 1] += shape.chin * front / 0.6
  return interpolate.PchipInterpolator(table[:, 0], curve)


def _profile(table) -> interpolate.PchipInterpolator:
  y, value = np.array(table).T
  return interpolate.PchipInterpolator(y, value, extrapolate=True)


def _smoothstep(x: np.ndarray, low: float, high: float) -> np.ndarray:
  t = np.clip((x - low) / (high - low), 0, 1)
  return t * t * (3 - 2 * t)


def _vertices(shape: Shape, azimuth: np.ndarray) -> np.ndarray:
  """The mesh at rest, [rows, columns, 3]."""
  a = np.radians(azimuth)[None]
  jaw = _jaw_curve(shape)(np.abs(azimuth))
  jaw[:, 0] *= np.sign(azimuth)
  t = np.linspace(0, 1, NUM_JAW_ROW + 1)[:, None]
  up = np.minimum(t / _SKULL_ROWS, 1) * np.pi / 2
  down = np.clip((t - _SKULL_ROWS) / (1 - _SKULL_ROWS), 0, 1)
  y = _TEMPLE + (_CROWN - _TEMPLE) * np.cos(up) + (jaw[None, :, 1] - _TEMPLE) * down
  dome = np.sin(up) ** 0.85
  width = _profile(_WIDTH)(np.maximum(y, _TEMPLE)) * dome * shape.width
  depth = np.where(
    np.cos(a) > 0,
    _profile(_DEPTH)(np.maximum(y, _TEMPLE)),
    _profile(_BACK)(np.maximum(y, _TEMPLE)),
  )
  head = np.stack([width * np.sin(a), y, depth * dome * np.cos(a)], axis=2)
  # Lower rows bend until the last one is the jaw line.
  head += (jaw - head[-1])[None] * (_smoothstep(t, 0.45, 1) ** 2)[..., None]
  _raise_features(head, shape)
  return np.concatenate([head, _neck(head[-1], a[0], shape)])


def _neck(jaw: np.ndarray, a: np.ndarray, shape: Shape) -> np.ndarray:
  """The rows under the chin and down the neck, [rows, columns, 3]."""
  s = np.linspace(0, 1, NUM_NECK_ROWS + 1)[1:, None]
  inward = _smoothstep(s, 0, 0.4)[..., None]
  drop = 0.1 + 1.3 * np.clip(s - 0.3, 0, None) / 0.7
  wide = (0.4 + 0.13 * _smoothstep(s, 0.7, 1)) * shape.neck_width
  ring = np.stack(
    [
      wide * np.sin(a),
      jaw[:, 1] * (1 - s) + 0.9 * s + drop,
      -0.16 + 0.4 * np.cos(a) + 0 * s - 0.1 * s,
    ],
    axis=2,
  )
  return jaw[None] * (1 - inward) + ring * inward


def _raise_features(head: np.ndarray, shape: Shape) -> None:
  """Adds nose, eye sockets, lips and so on to the smooth head, in place."""
  x, y, z = np.moveaxis(head.copy(), 2, 0)
  front = (z > 0.1).astype(float)

  def bump(x0, y0, sx, sy, power=2.0):
    return front * np.exp(
      -np.abs((np.abs(x) - x0) / sx) ** power / 2 - np.abs((y - y0) / sy) ** power / 2
    )

  length = shape.nose_length
  table = np.array(_RIDGE) * [length, shape.nose_height]
  ridge = np.where((y > -0.2) & (y < 0.52), _profile(table)(np.clip(y, *table[[0, -1], 0])), 0)
  half_width = np.interp(y, [-0.05, 0.1, 0.25, 0.34 * length], [0.07, 0.062, 0.066, 0.076])
  dz = ridge * front * np.exp(-(np.abs(x / (half_width * shape.nose_width)) ** 2.0) * 0.7)
  dz += 0.03 * bump(0, 0.335 * length, 0.05, 0.045)  # The tip, then the wings.
  dz += 0.08 * bump(0.098 * shape.nose_width, 0.385 * length, 0.032, 0.04)
  dz -= 0.062 * bump(0.255, -0.01, 0.13, 0.085)  # Eye sockets, and the eyeballs in them.
  dz += 0.05 * bump(0.285 + shape.eye_distance, 0.0, 0.085, 0.06)
  dz += 0.035 * shape.brow_ridge * bump(0.27, -0.17, 0.17, 0.05)
  dz += 0.03 * shape.cheekbones * bump(0.4, 0.2, 0.1, 0.09)
  lip_y = 0.625 + shape.mouth_height
  thick = shape.lip_thickness
  dz += 0.045 * bump(0, lip_y, 0.17, 0.11)  # Over the teeth, then each lip.
  dz += 0.028 * thick * bump(0, lip_y - 0.035 * thick, 0.12, 0.022 * thick)
  dz += 0.035 * thick * bump(0, lip_y + 0.055 * thick, 0.1, 0.026 * thick)
  dz -= 0.014 * bump(0, 0.5, 0.016, 0.035)  # Philtrum.
  dz -= 0.035 * bump(0, lip_y + 0.155, 0.14, 0.035)
  dz += 0.05 * bump(0, 0.88 + shape.chin, 0.12, 0.06)
  head[..., 2] += dz
  head[..., 0] += np.sign(x) * 0.018 * shape.cheekbones * bump(0.5, 0.17, 0.12, 0.1)


def _expression_basis(points: np.ndarray) -> np.ndarray:
  """Displacement of each point by each of `EXPRESSIONS`: [expressions, ..., 3]."""
  x, y, z = np.moveaxis(points, -1, 0)
  side = np.sign(x)
  basis = np.zeros((len(EXPRESSIONS), *points.shape), np.float32)

  def near(x0, y0, sx, sy):
    return np.exp(-(((np.abs(x) - x0) / sx) ** 2) / 2 - ((y - y0) / sy) ** 2 / 2) * (z > 0)

  # The neck (y > 1.1 or far behind the chin) follows less and less.
  jaw = _smoothstep(y, 0.56, 0.72) * np.clip(z / 0.7, 0, 1) * (1 - _smoothstep(y, 1.0, 1.5))
  basis[0, ..., 1], basis[0, ..., 2] = 0.3 * jaw, -0.1 * jaw
  corner = near(0.24, 0.62, 0.11, 0.1)
  cheek = near(0.36, 0.36, 0.12, 0.13)
  for index, sign in ((1, -1), (2, 1)):
    here = corner * (side == sign)
    basis[index, ..., 0] = 0.085 * here * side
    basis[index, ..., 1] = -0.06 * here - 0.03 * cheek * (side == sign)
    basis[index, ..., 2] = -0.05 * here + 0.045 * cheek * (side == sign)
  basis[3, ..., 0] = -0.09 * corner * side
  basis[3, ..., 2] = 0.05 * near(0, 0.63, 0.15, 0.09)
  lifted = near(0.3, -0.19, 0.24, 0.09)
  for index, sign in ((4, -1), (5, 1)):
    basis[index, ..., 1] = -0.075 * lifted * _smoothstep(side * x * (side == sign), 0, 0.1)
  inner_brow = near(0.1, -0.15, 0.09, 0.08)
  basis[6, ..., 0], basis[6, ..., 1] = -0.03 * inner_brow * side, 0.045 * inner_brow
  basis[7, ..., 1] = -0.05 * near(0, 0.58, 0.11, 0.05)
  return basis


def _move_lips_as_a_whole(basis: np.ndarray, jaw_weights: np.ndarray) -> None:
  """Gives the mouth landmarks one weight per lip, so that lips part instead of stretching."""
  basis[0, 48:, 1], basis[0, 48:, 2] = 0.3 * jaw_weights, -0.1 * jaw_weights
  # Opening also draws the corners in a little and lifts the upper lip.
  basis[0, [48, 60], 0], basis[0, [54, 64], 0] = 0.05, -0.05
  basis[0, [50, 51, 52, 61, 62, 63], 1] = -0.022
  basis[0, [49, 53], 1] = -0.01
  basis[7, 48:, 1] = 0
  basis[7, [50, 51, 52, 61, 62, 63], 1] = -0.05
  basis[7, [49, 53], 1] = -0.035


def _close_lids(landmarks: np.ndarray, first: int, openness: float) -> None:
  """Moves the lids of the eye whose landmarks start at `first`, in place."""
  upper, lower = landmarks[first + 1 : first + 3], landmarks[[first + 5, first + 4]]
  closed = lower * [1, 0.75, 1] + landmarks[[first, first + 3]] * [0, 0.25, 0]
  closed[:, 0] = upper[:, 0] * 0.7 + lower[:, 0] * 0.3
  gap = np.maximum(lower[:, 1] - upper[:, 1], 0)
  landmarks[first + 1 : first + 3] = closed + (upper - closed) * max(openness, 0.03)
  lower_lid = [first + 5, first + 4]
  landmarks[lower_lid, 1] -= gap * 0.12 * np.clip(1 - openness, 0, 1)
  lowest = landmarks[lower_lid, 1] - 0.03 * gap  # Closed lids touch but never cross.
  landmarks[first + 1 : first + 3, 1] = np.minimum(landmarks[first + 1 : first + 3, 1], lowest)


def _contour_paths(
  vertices: np.ndarray, azimuth: np.ndarray, landmarks: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Where each jaw landmark may appear: (row, column) [17, candidates, 2], and outward [17, 2].

  A candidate lies as high as the landmark and further in, where the cheek's outline is when the head turns.
  """
  start = _azimuths_of_jaw_landmarks()
  reach = np.minimum(np.where(np.abs(start) > 40, 60, 12), np.abs(start))  # Degrees.
  degrees = start[:, None] - (np.sign(start) * reach)[:, None] * np.linspace(0, 1, 48)
  columns = np.interp(degrees, azimuth, np.arange(len(azimuth)))
  heights = vertices[: NUM_JAW_ROW + 1, :, 1]
  rows = np.stack([
    np.interp(c, np.arange(len(azimuth)), [np.interp(y, h, np.arange(len(h))) for h in heights.T])
    for y, c in zip(landmarks[:17, 1], columns, strict=True)
  ])  # fmt: skip
  angle = np.radians([180, 180, 178, 172, 160, 145, 125, 105, 90])
  outward = np.stack([np.cos(angle), np.sin(angle)], 1)
  outward = np.concatenate([outward, outward[7::-1] * [-1, 1]])
  return np.stack([rows, columns], axis=2), outward
