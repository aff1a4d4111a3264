"""The texture over a drawn head, and brushes that know where on the face they paint."""

from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt

from fmx.drawing import anatomy, canvas
from fmx.drawing.head import Head
from fmx.drawing.look import Look

DETAIL = 5  # Texture pixels to one cell of the mesh.


class Texture:
  """The texture while it is painted; `x`, `y`, `z` are the head coordinates of its pixels."""

  def __init__(self, head: Head, look: Look, rng: np.random.Generator):
    self.head, self.look, self.rng = head, look, rng
    rows, columns = head.vertices.shape[:2]
    self.size = (columns * DETAIL, rows * DETAIL)
    where = cv2.resize(head.vertices, self.size, interpolation=cv2.INTER_LINEAR)
    self.x, self.y, self.z = cv2.split(where)
    azimuth = np.asarray(head.azimuth, np.float32)[None]
    self.azimuth = cv2.resize(azimuth, (self.size[0], 1), interpolation=cv2.INTER_LINEAR)
    # Features lie in a window of the texture; working there alone halves the time.
    rows, columns = self.size[1] / anatomy.NUM_ROWS, self.size[0] / anatomy.NUM_COLUMNS
    self.face = (slice(int(12 * rows), int(73 * rows)), slice(int(13 * columns), int(68 * columns)))
    self.face_x, self.face_y = np.abs(self.x[self.face]), self.y[self.face]
    self.front = (self.z > 0.1).astype(np.float32)
    self.comb = rng.uniform(-1.6, 1.6) if look.hair_style != 'long' else rng.uniform(-0.4, 0.4)
    self.row = (np.arange(self.size[1], dtype=np.float32)[:, None] + 0.5) / DETAIL - 0.5
    self.color = np.tile(look.skin, (self.size[1], self.size[0], 1)).astype(np.float32)

  def spot(self, x: float, y: float, sx: float, sy: float) -> np.ndarray:
    """A soft spot on both halves of the face, for the window `face`."""
    u = (self.face_x - np.float32(x)) * np.float32(1 / sx)
    v = (self.face_y - np.float32(y)) * np.float32(1 / sy)
    return cv2.exp((u * u + v * v) * np.float32(-0.5)) * self.front[self.face]

  def tint(self, weight: np.ndarray, factor: Iterable[float]) -> None:
    """Multiplies by `factor` (RGB) where `weight` is 1, in `face` or the whole texture."""
    color = self.color if weight.shape == self.color.shape[:2] else self.color[self.face]
    weight = weight.astype(np.float32, copy=False)
    factors = [weight * np.float32(value - 1) + np.float32(1) for value in factor]
    color[:] = cv2.multiply(np.ascontiguousarray(color), cv2.merge(factors))

  def mix(self, weight: np.ndarray, color: np.ndarray) -> None:
    """Paints `color` ([3] or [h, w, 3]) with opacity `weight`, in `face` or everywhere."""
    under = self.color if weight.shape == self.color.shape[:2] else self.color[self.face]
    under += (np.asarray(color, np.float32) - under) * weight[..., None].astype(np.float32)

  def noise(self, rows: int, columns: int) -> np.ndarray:
    """Smooth noise of unit variance with that many cells, [h, w]."""
    cells = self.rng.standard_normal((rows, columns)).astype(np.float32)
    return cv2.resize(cells, self.size, interpolation=cv2.INTER_CUBIC)

  def curves(self, lines: Iterable[npt.ArrayLike], width: float, blur: float) -> np.ndarray:
    """Soft lines through points of the right half, on both halves: in [0, 1], for `face`."""
    layer = np.zeros((self.size[1], self.size[0]), np.uint8)
    for line in lines:
      line = np.array(line, float)
      for sign in (-1, 1):
        places = self.pixels(line * [sign, 1])
        smooth = smooth_line(places)
        cv2.polylines(
          layer, [canvas.fixed(smooth)], False, 255, max(round(width), 1), cv2.LINE_AA, 4
        )
    return cv2.GaussianBlur(layer[self.face], (0, 0), blur).astype(np.float32) / 255

  def pixels(self, points: np.ndarray) -> np.ndarray:
    """Texture pixels (x, y) of points of the front view [P, 2]."""
    return (self.head.anchor(points)[:, ::-1] + 0.5) * DETAIL - 0.5


def ramp(value: np.ndarray, low: float, high: float) -> np.ndarray:
  """0 below `low`, 1 above `high`, smooth between."""
  t = np.clip((value - np.float32(low)) / np.float32(high - low), 0, 1)
  return t * t * (3 - 2 * t)


def smooth_line(points: np.ndarray) -> np.ndarray:
  """A quadratic or cubic through a few points: [33, 2]."""
  knots = np.linspace(0, 1, len(points))
  degree = min(3, len(points) - 1)
  t = np.linspace(0, 1, 33)
  return np.stack([np.polyval(np.polyfit(knots, c, degree), t) for c in np.asarray(points).T], 1)
