"""Pictures to train a finder on: views of whole frames, faces of every size and roll in them."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from fmx.data.finder_targets import SMALLEST
from tfds_300vw import pose

_AREA = 1.4  # A view that shrinks is made from a frame shrunk to this many times its scale.
_AROUND = 1.3  # Side of the area around a face that does not count, over its size.


@dataclasses.dataclass(frozen=True)
class Scene:
  """A picture and what is known of the faces in it.

  Attributes:
    image: uint8 [H, W, 3], RGB.
    faces: float64 [F, 13]: centre x, y, size, and five points x, y, pixels.
    ignored: float64 [G, 4]: boxes x0, y0, x1, y1 where there may be faces or not.
  """

  image: np.ndarray
  faces: np.ndarray
  ignored: np.ndarray

  @property
  def is_empty(self) -> bool:
    """Whether no face is known in it."""
    return not len(self.faces)


def scene(image: np.ndarray, landmarks: np.ndarray, others: np.ndarray) -> Scene:
  """What a finder needs to know of a frame.

  Args:
    image: uint8 [H, W, 3], RGB.
    landmarks: [F, 68, 2], x then y, 0-based pixels.
    others: [G, 4], boxes of faces that nobody annotated.
  """
  faces = [
    (*_of(pose.face_pose(points)), *pose.five_points(points).reshape(-1))
    for points in landmarks.astype(np.float64)
  ]
  return Scene(
    image,
    np.array(faces, np.float64).reshape(-1, 13),
    np.asarray(others, np.float64).reshape(-1, 4),
  )


def view(
  of: Scene, matrix: np.ndarray, width: int, height: int, *, background: np.ndarray
) -> Scene:
  """What a camera sees of a scene.

  Faces whose centre it does not see, or that are too small, end up among what is ignored.

  Args:
    of: The scene.
    matrix: float64 [2, 3], from pixels of the scene to those of the view: a similarity, mirrored if
      its determinant is below 0.
    width: Of the view, pixels.
    height: Likewise.
    background: uint8 [height, width, 3]: what lies around the scene.
  """
  determinant = np.linalg.det(matrix[:, :2])
  scale = np.sqrt(abs(determinant))
  image, to_view = of.image, matrix
  if scale * _AREA < 1:
    size = [max(round(edge * scale * _AREA), 1) for edge in image.shape[1::-1]]
    shrunk = np.array(size) / image.shape[1::-1]
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    linear = matrix[:, :2] / shrunk
    to_view = np.column_stack([linear, matrix[:, 2] + matrix[:, :2] @ (0.5 / shrunk - 0.5)])
  seen = cv2.warpAffine(
    image,
    to_view,
    (width, height),
    dst=background.copy(),
    flags=cv2.INTER_LINEAR,
    borderMode=cv2.BORDER_TRANSPARENT,
  )
  points = pose.move(of.faces[:, [0, 1, *range(3, 13)]].reshape(-1, 6, 2), matrix)
  if determinant < 0:
    points[:, 1:] = points[:, 1:][:, list(pose.MIRRORED)]
  faces = np.column_stack([points[:, 0], of.faces[:, 2] * scale, points[:, 1:].reshape(-1, 10)])
  ignored = [_moved_box(box, matrix) for box in of.ignored]
  kept = np.ones(len(faces), bool)
  for index, (x, y, size) in enumerate(faces[:, :3]):
    inside = -0.5 <= x < width - 0.5 and -0.5 <= y < height - 0.5
    if not inside or size < SMALLEST:
      half = _AROUND * size / 2
      ignored.append(np.array([x - half, y - half, x + half, y + half]))
      kept[index] = False
  return Scene(seen, faces[kept], np.array(ignored, np.float64).reshape(-1, 4))


def face_matrix(
  face: np.ndarray, *, at: np.ndarray, size: float, turn: float, mirror: bool
) -> np.ndarray:
  """The way to a view in which a face is where it is wanted.

  Args:
    face: float [13], as in `Scene.faces`.
    at: Where its centre is to be, x and y, pixels of the view.
    size: Which it is to have, pixels.
    turn: By which it is turned after mirroring, radians, clockwise as one sees it.
    mirror: Whether left and right change places.

  Returns:
    float64 [2, 3].
  """
  scale = size / face[2]
  cos, sin = scale * np.cos(turn), scale * np.sin(turn)
  linear = np.array([[cos, -sin], [sin, cos]]) @ np.diag([-1.0 if mirror else 1.0, 1.0])
  return np.column_stack([linear, at - linear @ face[:2]])


def side_by_side(parts: list[list[Scene]]) -> Scene:
  """One scene out of rows of others.

  Args:
    parts: Rows of scenes; those of a row are equally high, and the rows equally wide.
  """
  faces, ignored, rows, top = [], [], [], 0
  for row in parts:
    left = 0
    for part in row:
      faces.append(part.faces + np.array([left, top, 0, *[left, top] * 5]))
      # What is ignored beyond a part's edge is the neighbour's.
      height, width = part.image.shape[:2]
      boxes = np.clip(part.ignored, 0, [width, height, width, height])
      ignored.append(boxes + np.array([left, top, left, top]))
      left += width
    rows.append(np.concatenate([part.image for part in row], axis=1))
    top += row[0].image.shape[0]
  return Scene(np.concatenate(rows), np.concatenate(faces), np.concatenate(ignored))


def without_faces(of: Scene, rng: np.random.Generator, *, tries: int = 12) -> Scene | None:
  """A square part of a scene in which no face is known and none ignored; None if none is found."""
  height, width = of.image.shape[:2]
  half = of.faces[:, 2:3] * 0.75
  boxes = np.concatenate([np.hstack([of.faces[:, :2] - half, of.faces[:, :2] + half]), of.ignored])
  for _ in range(tries):
    side = min(round(np.exp(rng.uniform(np.log(48), np.log(448)))), height, width)
    x, y = rng.integers(0, width - side + 1), rng.integers(0, height - side + 1)
    apart = (boxes[:, 0] > x + side) | (boxes[:, 2] < x) | (boxes[:, 1] > y + side)
    if np.all(apart | (boxes[:, 3] < y)):
      part = np.ascontiguousarray(of.image[y : y + side, x : x + side])
      return Scene(part, np.zeros((0, 13)), np.zeros((0, 4)))
  return None


def _of(face: pose.Pose) -> tuple[float, float, float]:
  return face.x, face.y, face.size


def _moved_box(box: np.ndarray, matrix: np.ndarray) -> np.ndarray:
  """The upright box around a moved one."""
  corners = box[[0, 1, 2, 1, 0, 3, 2, 3]].reshape(4, 2)
  moved = pose.move(corners - 0.5, matrix) + 0.5
  return np.concatenate([moved.min(axis=0), moved.max(axis=0)])
