"""Draws one person into an image: the lit mesh first, then everything that is drawn upon it."""

import cv2
import numpy as np

from fmx.drawing import anatomy, canvas, raster, skin
from fmx.drawing import head as head_lib
from fmx.drawing.features import draw_eye, draw_mouth
from fmx.drawing.look import Look
from fmx.drawing.outfit import Outfit
from fmx.drawing.scene import Light, Moment, Person, View
from tfds_300vw import face_mask

_SAMPLES_TO_A_PIXEL = 1.2
_BUFFER_SCALE = 60.0  # Buffer pixels per head unit, at most.
_CELLS_PER_UNIT = 26  # Of the mesh, about, where the face is.


class Painter:
  """Draws one person in any moment."""

  def __init__(self, rng: np.random.Generator):
    self.person = Person(head_lib.Head(anatomy.Shape.sample(rng)), Look.sample(rng))
    cover = skin.paint(*self.person, rng)
    self._color = cover.color.astype(np.uint8)
    self._gloss = cover.gloss
    outward = self.person.head.vertices + [0, 0.1, 0]
    outward /= np.linalg.norm(outward, axis=2, keepdims=True)
    self._growth = (outward * cover.thickness[..., None]).astype(np.float32) - head_lib.PIVOT
    # The neck follows the head above and the body below.
    rows = np.arange(anatomy.NUM_ROWS) - anatomy.JAW_ROW
    self._turning = (1 - np.clip((rows - 1) / 14, 0, 0.9)).astype(np.float32)[:, None, None]
    self._outfit = Outfit(*self.person, rng)

  def draw(self, image: np.ndarray, moment: Moment, light: Light) -> np.ndarray:
    """Draws the person over an image.

    Args:
      image: uint8 [H, W, 3] RGB, changed in place.
      moment: What the person does.
      light: What falls on them.

    Returns:
      The landmarks, float64 [68, 2], 0-based pixels; also where something hides them.
    """
    view = self.view(moment)
    self._outfit.draw_behind(image, view, light)
    self._draw_mesh_and_features(image, view, light)
    self._outfit.draw_before(image, view, light)
    return view.landmarks

  def view(self, moment: Moment) -> View:
    """Projects the person."""
    vertices, rest = self.person.head.pose(moment.expression, moment.lids)
    turn, body = head_lib.rotation(*moment.angles), head_lib.rotation(*moment.body_angles)
    arms = vertices + self._growth
    turned = arms @ turn.T
    below = anatomy.JAW_ROW
    turned[below:] *= self._turning[below:]
    turned[below:] += (arms[below:] @ body.T) * (1 - self._turning[below:])
    grid = head_lib.to_image(turned, moment.scale, moment.origin)
    points = head_lib.project(rest.astype(np.float64), turn, moment.scale, moment.origin)
    landmarks = points[:, :2].copy()
    landmarks[:17] = self.person.head.contour(grid[..., :2], _roll(turn), moment.scale)
    outlines = [polygon[::8] for polygon in face_mask.polygons(landmarks)]
    return View(moment, turn, body, turned, grid, rest, points, landmarks, outlines)

  def _draw_mesh_and_features(self, image: np.ndarray, view: View, light: Light) -> None:
    normals = _normals(view.turned)
    scale = view.moment.scale
    coarse = max(scale / _BUFFER_SCALE, 1.0)
    samples = _SAMPLES_TO_A_PIXEL * scale / coarse / _CELLS_PER_UNIT
    surface = raster.rasterize(
      view.grid,
      normals[..., 2],
      *image.shape[:2],
      split=int(np.clip(np.ceil(samples), 1, 3)),
      coarse=coarse,
    )
    if surface is None:
      return
    lit = surface.look_up(light.on(normals))
    color = cv2.multiply(surface.look_up(self._color), lit, dtype=cv2.CV_32F)
    shine = surface.look_up(self._shine(normals, light))
    glow = cv2.merge([shine * k for k in (light.key * 70).astype(np.float32)])
    canvas.blend(image, surface.box, cv2.convertScaleAbs(cv2.add(color, glow)), surface.alpha)
    self._outfit.draw_near_ears(image, view, light)
    for first in (36, 42):
      draw_eye(image, self.person, view, surface, light, first)
    draw_mouth(image, self.person, view, surface, lit)

  def _shine(self, normals: np.ndarray, light: Light) -> np.ndarray:
    """Highlights on the mesh, [rows, columns]."""
    half = light.direction + [0, 0, 1]
    half = (half / np.linalg.norm(half)).astype(np.float32)
    shine = np.maximum(normals @ half, 0)
    wide = shine * shine * shine
    wide = wide * wide * wide
    sharp = wide * wide * wide * wide
    return (0.55 * sharp + 0.25 * wide) * self._gloss


def _normals(points: np.ndarray) -> np.ndarray:
  """Unit normals of a grid, float32 [rows, columns, 3], towards the outside."""
  across, along = np.empty_like(points), np.empty_like(points)
  across[:, 1:-1] = points[:, 2:] - points[:, :-2]
  across[:, 0], across[:, -1] = points[:, 1] - points[:, 0], points[:, -1] - points[:, -2]
  along[1:-1] = points[2:] - points[:-2]
  along[0], along[-1] = points[1] - points[0], points[-1] - points[-2]
  ax, ay, az = cv2.split(across)
  bx, by, bz = cv2.split(along)
  x, y, z = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
  length = np.sqrt(x * x + y * y + z * z) + np.float32(1e-9)
  return cv2.merge([x / length, y / length, z / length])


def _roll(turn: np.ndarray) -> np.ndarray:
  """How a head's rotation turns its vertical within the image: [2, 2]."""
  down = turn[:2, 1] / max(np.linalg.norm(turn[:2, 1]), 1e-6)
  return np.array([[down[1], down[0]], [-down[0], down[1]]])
