"""Draws a bent grid as a textured, lit surface, fast enough for video in numpy.

Each grid cell is split into a few samples; a sample falls on one pixel of a coarse buffer, the
nearest to the camera stays. The buffer then says for each image pixel where on the grid it looks.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

Box = tuple[int, int, int, int]  # x0, y0, x1, y1 in pixels, half-open.

_INDEX_BITS = 17  # A grid of up to 131,072 samples.
_DEPTH_STEPS = 1 << (31 - _INDEX_BITS)
_NO_MAP: Any = None  # cv2's own types forget that a map of pairs needs no second one.


@dataclasses.dataclass(frozen=True)
class Surface:
  """What an image sees of a grid, for a box of the image.

  Attributes:
    box: x0, y0, x1, y1 in pixels, half-open.
    place: [h, w, 2] float32: column and row of the grid, for each pixel of the box.
    depth: [h, w] float32: head units towards the camera; very far where nothing is seen.
    alpha: [h, w] float32: coverage in [0, 1].
    grid_size: Rows and columns of the grid.
  """

  box: Box
  place: np.ndarray
  depth: np.ndarray
  alpha: np.ndarray
  grid_size: tuple[int, int]

  def look_up(self, texture: np.ndarray) -> np.ndarray:
    """Reads a texture of any size over the grid, [r, c(, C)], for each pixel: [h, w(, C)]."""
    x = np.float32(texture.shape[1] / self.grid_size[1])
    y = np.float32(texture.shape[0] / self.grid_size[0])
    place = self.place if x == y == 1 else self.place * x + (x - 1) / 2
    if x != y:
      place[..., 1] = self.place[..., 1] * y + (y - 1) / 2
    return cv2.remap(texture, place, _NO_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def rasterize(
  grid: np.ndarray, facing: np.ndarray, height: int, width: int, *, split: int, coarse: float
) -> Surface | None:
  """Finds which part of a grid each pixel sees.

  Args:
    grid: [rows, columns, 3] float32: x, y in pixels, z towards the camera.
    facing: [rows, columns] float32; positive where the grid faces the camera.
    height: Of the image.
    width: Of the image.
    split: Samples along each side of a cell.
    coarse: Pixels of the image to one pixel of the buffer.

  Returns:
    The surface, or None where the image sees nothing of the grid.
  """
  x, y = grid[..., 0], grid[..., 1]
  seen = (facing > -0.1) & (y > -8) & (y < height + 8) & (x > -8) & (x < width + 8)
  if np.count_nonzero(seen) < 9:
    return None
  rows, columns = _span(seen.any(1), grid.shape[0]), _span(seen.any(0), grid.shape[1])
  low = np.array([x[seen].min(), y[seen].min()])
  high = np.array([x[seen].max(), y[seen].max()])
  low = np.clip(np.floor(low) - 3, 0, [width, height]).astype(int)
  high = np.clip(np.ceil(high) + 4, 0, [width, height]).astype(int)
  if (high - low < 2).any():
    return None
  size = np.ceil((high - low) / coarse).astype(int) + 1
  part = np.dstack([grid[rows, columns], facing[rows, columns]])
  dense = cv2.resize(part, None, fx=split, fy=split, interpolation=cv2.INTER_LINEAR)
  planes = cv2.split(dense)
  index = _nearest(planes, low, coarse, size)
  valid = (index >= 0).astype(np.float32)
  v, u = (part.astype(np.float32) for part in np.divmod(index, np.int32(dense.shape[1])))
  depth = planes[2].reshape(-1)[index]  # Index -1 reads some sample; its weight is 0.
  shift = np.float32(0.5 / split - 0.5)
  layers = cv2.merge(
    [
      (u * np.float32(1 / split) + (shift + columns.start)) * valid,
      (v * np.float32(1 / split) + (shift + rows.start)) * valid,
      depth * valid,
      valid,
    ]
  )
  return _to_image(layers, low, high, coarse, grid.shape[:2])


def _span(flags: np.ndarray | np.bool, length: int) -> slice:
  """The shortest slice that holds all True flags and one more on each side."""
  where = np.flatnonzero(flags)
  return slice(max(int(where[0]) - 1, 0), min(int(where[-1]) + 2, length))


def _nearest(
  planes: Sequence[np.ndarray], low: np.ndarray, coarse: float, size: np.ndarray
) -> np.ndarray:
  """The index of the sample that each buffer pixel sees, -1 for none: int32 [h, w]."""
  x, y, z, facing = planes
  scale = np.float32(1 / coarse)
  column = ((x - np.float32(low[0])) * scale + np.float32(0.5)).astype(np.int32)
  row = ((y - np.float32(low[1])) * scale + np.float32(0.5)).astype(np.int32)
  inside = (facing > -0.02) & (column.view(np.uint32) < size[0]) & (row.view(np.uint32) < size[1])
  far, near = float(z.min()), float(z.max())
  step = ((z - np.float32(far)) * np.float32((_DEPTH_STEPS - 2) / max(near - far, 1e-6))).astype(
    np.int32
  )
  key = ((step + 1) << _INDEX_BITS).reshape(-1)
  key |= np.arange(key.size, dtype=np.int32)
  keep = np.flatnonzero(inside)
  nearest = np.zeros(int(size[0] * size[1]), np.int32)
  flat = (row * np.int32(size[0]) + column).reshape(-1)
  np.maximum.at(nearest, flat[keep], key[keep])
  index = nearest & ((1 << _INDEX_BITS) - 1)
  index[nearest == 0] = -1
  return index.reshape(size[1], size[0])


def _to_image(
  layers: np.ndarray,
  low: np.ndarray,
  high: np.ndarray,
  coarse: float,
  grid_size: tuple[int, int],
) -> Surface:
  """Smooths the buffer, fills pin-holes and enlarges it to the box."""
  width, height = (int(v) for v in high - low)
  closed = cv2.morphologyEx(layers[..., 3], cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
  cover = cv2.GaussianBlur(closed, (5, 5), 1.0)
  layers = cv2.blur(layers, (3, 3))
  # Weights travel along, so that what lies outside the outline counts nothing.
  scale = np.array([[1 / coarse, 0, 0], [0, 1 / coarse, 0]], np.float32)
  flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
  u, v, depth, weight = cv2.split(
    cv2.warpAffine(layers, scale, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
  )
  cover = cv2.warpAffine(
    cover, scale, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE
  )
  weight = 1 / np.maximum(weight, np.float32(1e-3))
  alpha = np.clip(cover * np.float32(2.5) - np.float32(0.75), 0, 1)
  depth = np.where(cover > 0.3, depth * weight, np.float32(-20))
  box = (int(low[0]), int(low[1]), int(high[0]), int(high[1]))
  return Surface(box, cv2.merge([u * weight, v * weight]), depth, alpha, grid_size)
