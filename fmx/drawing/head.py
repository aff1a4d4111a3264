"""A drawn head: its mesh and landmarks in any expression, and how they appear in the image."""

import functools

import numpy as np
from scipy import spatial

from fmx.drawing import anatomy, expressions

PIVOT = np.array([0, 0.45, 0.0], np.float32)  # About which the head turns.
_CAMERA_DISTANCE = 9.0  # Head units from the pivot.
_CONTOUR_SOFTNESS = 0.012  # Head units.


class Head:
  """The mesh and the landmarks of one identity, in head coordinates.

  Attributes:
    vertices: [rows, columns, 3] at rest.
    landmarks: [68, 3] at rest, eyes open.
    azimuth: [columns], degrees; 0 is the front.
  """

  def __init__(self, shape: anatomy.Shape):
    self.shape = shape
    self.azimuth = anatomy.azimuths()
    self.vertices = anatomy.vertices(shape, self.azimuth).astype(np.float32)
    self.landmarks = self.lift(anatomy.landmarks_at_rest(shape))
    self._vertex_basis = expressions.basis(self.vertices)
    self._landmark_basis = expressions.landmark_basis(self.landmarks)
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
      expression: Strength of each of `expressions.EXPRESSIONS`, about [0, 1].
      lids: Openness of the image's left and right eye: 0 closed, 1 at rest.

    Returns:
      Vertices [rows, columns, 3] and landmarks [68, 3], in head coordinates. The jaw's landmarks
      are provisional:
      `contour` says where they appear.
    """
    weights = expression.astype(np.float32)
    vertices = (weights @ self._vertex_basis.reshape(len(weights), -1)).reshape(self.vertices.shape)
    vertices += self.vertices
    landmarks = self.landmarks + np.tensordot(weights, self._landmark_basis, axes=1)
    for first, openness in ((36, lids[0]), (42, lids[1])):
      expressions.close_lids(landmarks, first, openness)
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

  @functools.cached_property
  def _front(self) -> tuple[np.ndarray, np.ndarray, spatial.cKDTree]:
    rows = np.arange(14, anatomy.JAW_ROW + 1, 1 / 3)
    columns = np.arange(16, anatomy.NUM_COLUMNS - 16, 1 / 3)
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


def _contour_paths(
  vertices: np.ndarray, azimuth: np.ndarray, landmarks: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Where each jaw landmark may appear: (row, column) [17, candidates, 2], and outward [17, 2].

  A candidate lies as high as the landmark and further in, where the cheek's outline is when the
  head turns.
  """
  start = anatomy.azimuths_of_jaw_landmarks()
  reach = np.minimum(np.where(np.abs(start) > 40, 60, 12), np.abs(start))  # Degrees.
  degrees = start[:, None] - (np.sign(start) * reach)[:, None] * np.linspace(0, 1, 48)
  columns = np.interp(degrees, azimuth, np.arange(len(azimuth)))
  heights = vertices[: anatomy.JAW_ROW + 1, :, 1]
  # [columns, 17]: the row of each column that is as high as each landmark.
  level = np.stack([np.interp(landmarks[:17, 1], h, np.arange(len(h))) for h in heights.T])
  rows = np.stack(
    [np.interp(c, np.arange(len(azimuth)), r) for c, r in zip(columns, level.T, strict=True)]
  )
  angle = np.radians([180, 180, 178, 172, 160, 145, 125, 105, 90])
  outward = np.stack([np.cos(angle), np.sin(angle)], 1)
  outward = np.concatenate([outward, outward[7::-1] * [-1, 1]])
  return np.stack([rows, columns], axis=2), outward
