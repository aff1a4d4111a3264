"""Who is drawn, in which moment and light, and how that looks from the camera."""

import dataclasses
from typing import NamedTuple

import numpy as np

from fmx.drawing import head as head_lib
from fmx.drawing.look import Look


class Person(NamedTuple):
  """Somebody, whatever they do.

  Attributes:
    head: Its shape.
    look: Colours and the like.
  """

  head: head_lib.Head
  look: Look


@dataclasses.dataclass(frozen=True)
class Light:
  """One lamp and the light from everywhere.

  Attributes:
    direction: [3] towards the lamp, unit length; x right, y down, z to the camera.
    key: [3] RGB strength of the lamp.
    ambient: [3] RGB strength from everywhere.
  """

  direction: np.ndarray
  key: np.ndarray
  ambient: np.ndarray

  def on(self, normals: np.ndarray) -> np.ndarray:
    """RGB factors, float32 [..., 3], for surfaces of unit normals [..., 3]."""
    normals = np.asarray(normals, np.float32)
    lambert = np.maximum((normals @ self.direction.astype(np.float32) + 0.12) / 1.12, 0)
    sky = (0.85 - 0.15 * normals[..., 1]) * (0.8 + 0.2 * normals[..., 2])
    key, ambient = self.key.astype(np.float32), self.ambient.astype(np.float32)
    return (lambert[..., None] * key + sky[..., None] * ambient).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Moment:
  """Where a person is and what they do in one frame.

  Attributes:
    expression: Strength of each of `expressions.EXPRESSIONS`.
    lids: Openness of the image's left and right eye.
    gaze: Degrees to the right and down, relative to the head.
    angles: Yaw, pitch and roll of the head, degrees.
    body_angles: The same of the body.
    scale: Pixels per head unit.
    origin: [2], the head's pivot in the image, pixels.
  """

  expression: np.ndarray
  lids: np.ndarray
  gaze: np.ndarray
  angles: np.ndarray
  body_angles: np.ndarray
  scale: float
  origin: np.ndarray


@dataclasses.dataclass(frozen=True)
class View:
  """One moment, projected: what the parts of a drawing share.

  Attributes:
    moment: The moment.
    turn: [3, 3], rotation of the head.
    body: [3, 3], rotation of the body.
    turned: [rows, columns, 3], the mesh about the pivot, rotated; head units.
    grid: [rows, columns, 3], the mesh in the image: x and y in pixels, z in head units.
    rest: [68, 3], the landmarks in head coordinates.
    points: [68, 3], the landmarks in the image, like `grid`.
    landmarks: [68, 2] float64, pixels, with the jaw line as it is seen.
    outlines: The mask's polygons (face, two eyes, outer and inner mouth), thinned out for drawing.
  """

  moment: Moment
  turn: np.ndarray
  body: np.ndarray
  turned: np.ndarray
  grid: np.ndarray
  rest: np.ndarray
  points: np.ndarray
  landmarks: np.ndarray
  outlines: list[np.ndarray]

  def project(self, points: np.ndarray) -> np.ndarray:
    """From head coordinates [..., 3] to the image."""
    return head_lib.project(points, self.turn, self.moment.scale, self.moment.origin)
