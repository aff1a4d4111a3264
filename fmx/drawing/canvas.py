"""Drawing with sub-pixel precision: shapes, opacity, and patches that are drawn enlarged."""

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from fmx.drawing.raster import Box, Surface

SHIFT = 4  # Fractional bits of OpenCV's fixed-point pixels.
_TOLERANCE = 0.11  # Head units.
# Values at 25 places along a cubic from its values at four, [25, 4].
_CUBIC = np.stack(
  [np.polyval(np.polyfit(range(4), e, 3), np.linspace(0, 3, 25)) for e in np.eye(4)], 1
)


def fixed(points: np.ndarray) -> np.ndarray:
  """To OpenCV's fixed-point pixels."""
  return np.rint(points * np.float64(1 << SHIFT)).astype(np.int32)


def scalar(color: np.ndarray) -> list[float]:
  """An RGB colour as OpenCV's shapes take it."""
  return np.minimum(np.maximum(color, 0), 255).tolist()


def fill(image: np.ndarray, outline: np.ndarray, color: np.ndarray) -> None:
  """Fills an anti-aliased polygon."""
  cv2.fillPoly(image, [fixed(outline)], scalar(color), cv2.LINE_AA, SHIFT)


def ellipse(
  image: np.ndarray, center: np.ndarray, axes: Iterable[float], angle: float, color: np.ndarray
) -> None:
  """Fills an anti-aliased ellipse; `angle` in degrees."""
  middle = tuple(fixed(center).tolist())
  size = tuple(max(int(round(a * (1 << SHIFT))), 1) for a in axes)
  cv2.ellipse(image, middle, size, float(angle), 0, 360, scalar(color), -1, cv2.LINE_AA, SHIFT)


def lines(
  layer: np.ndarray | tuple[int, int],
  paths: Iterable[np.ndarray],
  value: int,
  width: float,
  *,
  closed: bool = False,
) -> np.ndarray:
  """Draws lines into a uint8 layer, or a new one of that size."""
  if isinstance(layer, tuple):
    layer = np.zeros(layer, np.uint8)
  paths = [fixed(path) for path in paths]
  cv2.polylines(layer, paths, closed, value, max(int(round(width)), 1), cv2.LINE_AA, SHIFT)
  return layer


def cubic(points: np.ndarray) -> np.ndarray:
  """The cubic through four points, as the mask draws a lid: [25, 2]."""
  return _CUBIC @ points


def rounded(points: np.ndarray) -> np.ndarray:
  """Cuts the corners of a closed polygon twice (Chaikin)."""
  for _ in range(2):
    ahead = np.roll(points, -1, axis=0)
    cut = [points * 0.75 + ahead * 0.25, points * 0.25 + ahead * 0.75]
    points = np.stack(cut, 1).reshape(-1, points.shape[1])
  return points


def blend(image: np.ndarray, box: Box, color: np.ndarray, alpha: np.ndarray) -> None:
  """Puts a colour over a box of an image, in place.

  Args:
    image: uint8 [H, W, 3].
    box: x0, y0, x1, y1, half-open.
    color: uint8 [h, w, 3].
    alpha: Opacity, float32 [h, w] in [0, 1].
  """
  under = image[box[1] : box[3], box[0] : box[2]]
  under[:] = cv2.blendLinear(color, np.ascontiguousarray(under), alpha, 1 - alpha)


def polygon_mask(image: np.ndarray, points: np.ndarray) -> tuple[Box, np.ndarray] | None:
  """An anti-aliased polygon as (box, float32 [h, w] in [0, 1]); None outside the image."""
  low = np.maximum(np.floor(points.min(0)) - 1, 0).astype(int)
  high = np.minimum(np.ceil(points.max(0)) + 2, image.shape[1::-1]).astype(int)
  if (high <= low).any():
    return None
  mask = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
  cv2.fillPoly(mask, [fixed(points - low)], 255, cv2.LINE_AA, SHIFT)
  return (*low.tolist(), *high.tolist()), mask * np.float32(1 / 255)


class Patch:
  """A box of an image that is drawn enlarged, then averaged down."""

  def __init__(self, image: np.ndarray, polygon: np.ndarray, scale: float, margin: float):
    """Chooses the box.

    Args:
      image: uint8 [H, W, 3].
      polygon: [P, 2]; the box holds it.
      scale: Pixels per head unit.
      margin: Around the polygon, head units.
    """
    size = image.shape[1::-1]
    low = np.floor(polygon.min(0) - margin * scale - 1).astype(int)
    high = np.ceil(polygon.max(0) + margin * scale + 2).astype(int)
    self.low, self.high = np.clip(low, 0, size), np.clip(high, 0, size)
    self.empty = bool((self.high - self.low < 2).any())
    self.factor = int(np.clip(round(250 / scale), 2, 6))
    self.size = tuple((self.high - self.low).tolist())
    self.zoomed = self.size[1] * self.factor, self.size[0] * self.factor

  def blank(self, color: np.ndarray) -> np.ndarray:
    """One colour, zoomed: uint8 [h, w, 3]."""
    return _plain(self.zoomed, color)

  def zoom(self, points: np.ndarray) -> np.ndarray:
    """From pixels of the image to pixels of the zoomed box."""
    return (points - self.low + 0.5) * self.factor - 0.5

  def mask(self, polygons: Sequence[np.ndarray]) -> np.ndarray:
    """The inside of polygons by the even-odd rule: uint8 [h, w], 0 or 255, zoomed."""
    layer = np.zeros(self.zoomed, np.uint8)
    cv2.fillPoly(layer, [fixed(self.zoom(p)) for p in polygons], 255, cv2.LINE_8, SHIFT)
    return layer

  def take(self, surface: Surface, values: np.ndarray) -> np.ndarray:
    """Cuts the patch out of an array that covers the surface's box, repeating its edge."""
    x0, y0 = surface.box[:2]
    rows = np.clip(np.arange(self.low[1], self.high[1]) - y0, 0, values.shape[0] - 1)
    columns = np.clip(np.arange(self.low[0], self.high[0]) - x0, 0, values.shape[1] - 1)
    return values[rows[:, None], columns]

  def visible(self, surface: Surface, corners: np.ndarray, bulge: float) -> np.ndarray:
    """Where nose and cheek do not hide a part of the face.

    Args:
      surface: What the image sees of the head.
      corners: [2, 3], the part's ends in the image (x, y in pixels, z in head units).
      bulge: How far the part stands out between its corners, head units.

    Returns:
      float32 [h, w] in [0, 1], not zoomed.
    """
    (xa, _, za), (xb, _, zb) = corners
    x = np.arange(self.low[0], self.high[0], dtype=np.float32)
    part = np.clip((x - xa) / (xb - xa if abs(xb - xa) > 1e-3 else 1e-3), 0, 1)
    depth = self.take(surface, surface.depth)
    expected = za + (zb - za) * part + 4 * bulge * part * (1 - part)
    shown = np.clip((expected + _TOLERANCE - depth) / 0.05, 0, 1)
    return (shown * self.take(surface, surface.alpha)).astype(np.float32)

  def put(
    self, image: np.ndarray, color: np.ndarray, mask: np.ndarray, visible: np.ndarray
  ) -> None:
    """Puts a colour [3], or uint8 [h, w, 3] zoomed, over the image where the zoomed mask is."""
    if color.ndim == 1:
      color = _plain(self.size[::-1], color)
    else:
      color = cv2.resize(color, self.size, interpolation=cv2.INTER_AREA)
    alpha = cv2.resize(mask, self.size, interpolation=cv2.INTER_AREA) * np.float32(1 / 255)
    blend(image, (*self.low.tolist(), *self.high.tolist()), color, alpha * visible)


def _plain(size: tuple[int, int], color: np.ndarray) -> np.ndarray:
  """One colour everywhere, uint8 [h, w, 3]."""
  return cv2.merge([np.full(size, int(v), np.uint8) for v in scalar(color)])
