"""What lies behind a drawn person: walls, rooms, trees, lights out of focus."""

import cv2
import numpy as np

_MARGIN = 0.14  # Of the height: how far the camera may move.


class Backdrop:
  """A picture larger than the frame that the camera moves over."""

  def __init__(self, rng: np.random.Generator, height: int, width: int):
    self._height, self._width = height, width
    self._pad = int(np.ceil(_MARGIN * height))
    size = (height + 2 * self._pad, width + 2 * self._pad)
    paint = KINDS[int(rng.integers(len(KINDS)))]
    picture = paint(rng, *size)
    blur = rng.uniform(0.002, 0.014) * height
    picture = cv2.GaussianBlur(picture, (0, 0), max(blur, 0.3)) * rng.uniform(0.45, 1.1)
    grain = rng.standard_normal(size).astype(np.float32)[..., None] * 1.5
    self._picture = np.clip(picture + grain, 0, 255).astype(np.uint8)

  def frame(self, camera: np.ndarray, strength: float) -> np.ndarray:
    """Cuts out what the camera sees: uint8 [H, W, 3].

    Args:
      camera: How far it has moved right and down (share of the height), and its roll in degrees.
      strength: Of the light, 1 leaves the picture as it is.
    """
    moved = np.clip(camera[:2], -_MARGIN * 0.7, _MARGIN * 0.7) * self._height * 0.8
    matrix = cv2.getRotationMatrix2D((self._width / 2, self._height / 2), float(camera[2]), 1.0)
    matrix[:, 2] -= self._pad + moved
    image = cv2.warpAffine(
      self._picture,
      matrix,
      (self._width, self._height),
      flags=cv2.INTER_LINEAR,
      borderMode=cv2.BORDER_REFLECT,
    )
    return cv2.convertScaleAbs(image, alpha=float(strength))


def _noise(
  rng: np.random.Generator, height: int, width: int, rows: int, columns: int
) -> np.ndarray:
  cells = rng.standard_normal((rows, columns)).astype(np.float32)
  return cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC)[..., None]


def _gradient(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
  corners = rng.uniform(20, 225, (2, 2, 1)) + rng.uniform(-35, 35, (2, 2, 3))
  return cv2.resize(corners.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)


def _wall(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
  """Plain or patterned plaster."""
  picture = _gradient(rng, height, width)
  picture = picture * (1 + 0.05 * _noise(rng, height, width, 8, 9))
  return picture * (1 + 0.04 * _noise(rng, height, width, height // 3 + 1, width // 3 + 1))


def _shapes(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
  """Soft coloured blobs and boxes."""
  picture = _gradient(rng, height, width)
  for _ in range(rng.integers(8, 22)):
    center = rng.uniform(0, 1, 2) * [width, height]
    size = rng.uniform(0.04, 0.3, 2) * height
    color = rng.uniform(10, 245, 3).tolist()
    if rng.random() < 0.5:
      box = cv2.boxPoints((tuple(center), tuple(size), rng.uniform(0, 90)))
      cv2.fillPoly(picture, [np.round(box).astype(np.int32)], color)
    else:
      axes = tuple(np.round(size / 2).astype(int).tolist())
      middle = tuple(np.round(center).astype(int).tolist())
      cv2.ellipse(picture, middle, axes, 0, 0, 360, color, -1)
  return cv2.GaussianBlur(picture, (0, 0), height * rng.uniform(0.004, 0.03))


def _bokeh(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
  """Lights out of focus at night."""
  picture = _gradient(rng, height, width) * 0.25 + 8
  lamps = np.zeros_like(picture)
  for _ in range(rng.integers(25, 70)):
    middle = tuple(int(v) for v in rng.uniform(0, 1, 2) * [width, height])
    radius = max(int(rng.uniform(0.012, 0.06) * height), 1)
    disc = np.zeros_like(picture[..., 0])
    cv2.circle(disc, middle, radius, 1.0, -1)
    color = rng.uniform([120, 60, 20], [255, 210, 200]) * rng.uniform(0.25, 0.9)
    lamps += disc[..., None] * color.astype(np.float32)
  return picture + cv2.GaussianBlur(lamps, (0, 0), max(height * 0.004, 0.3))


def _room(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
  """A wall with windows, pictures, shelves, and a floor or table line."""
  wall = rng.uniform(90, 215) + rng.uniform(-25, 25, 3)
  picture = np.ones((height, width, 3), np.float32) * wall.astype(np.float32)
  picture *= np.linspace(1.1, 0.75, width, dtype=np.float32)[None, :, None]
  for _ in range(rng.integers(1, 4)):
    x, y = rng.uniform([0, 0], [0.85 * width, 0.5 * height])
    w, h = rng.uniform(0.12, 0.4, 2) * height
    frame = rng.uniform(20, 240, 3).tolist()
    inside = rng.uniform(30, 255, 3).tolist()
    a, b = (int(x), int(y)), (int(x + w), int(y + h))
    cv2.rectangle(picture, a, b, inside, -1)
    cv2.rectangle(picture, a, b, frame, max(height // 60, 1))
    if rng.random() < 0.5:
      cv2.line(picture, (int(x + w / 2), a[1]), (int(x + w / 2), b[1]), frame, max(height // 80, 1))
  if rng.random() < 0.6:
    _books(rng, picture, int(rng.uniform(0.25, 0.7) * height))
  return picture * (1 + 0.03 * _noise(rng, height, width, 40, 40))


def _books(rng: np.random.Generator, picture: np.ndarray, y: int) -> None:
  height, width = picture.shape[:2]
  x = int(rng.uniform(-0.2, 0.5) * width)
  end = x + int(rng.uniform(0.3, 0.8) * width)
  board = rng.uniform([60, 35, 15], [170, 120, 90]).tolist()
  while x < end:
    thick, tall = int(rng.uniform(0.015, 0.045) * height) + 1, int(rng.uniform(0.1, 0.17) * height)
    cv2.rectangle(picture, (x, y - tall), (x + thick, y), rng.uniform(15, 230, 3).tolist(), -1)
    x += thick
  cv2.line(picture, (0, y), (width, y), board, max(height // 50, 1))


def _outdoors(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
  """Sky, a skyline or trees, ground."""
  sky = np.linspace(rng.uniform([90, 140, 190], [150, 190, 245]), rng.uniform(170, 250, 3), height)
  picture = np.repeat(sky[:, None], width, axis=1).astype(np.float32)
  picture = np.ascontiguousarray(picture + 14 * np.clip(_noise(rng, height, width, 4, 6), 0, 2))
  horizon = rng.uniform(0.35, 0.75) * height
  if rng.random() < 0.5:
    for x in range(0, width, max(width // int(rng.integers(6, 14)), 1)):
      top = int(horizon - rng.uniform(0.05, 0.45) * height)
      gray = (rng.uniform(60, 190) + rng.uniform(-15, 15, 3)).tolist()
      cv2.rectangle(picture, (x, top), (x + width // 7, height), gray, -1)
  green = rng.uniform([30, 60, 15], [110, 150, 70])
  leaves = 1 + 0.35 * _noise(rng, height, width, height // 8 + 1, width // 8 + 1)
  edge = horizon + 0.09 * height * _noise(rng, 1, width, 1, 14)[0, :, 0]
  below = (np.arange(height)[:, None] > edge[None]).astype(np.float32)[..., None]
  return picture * (1 - below) + below * green.astype(np.float32) * leaves


KINDS = (_wall, _gradient, _shapes, _bokeh, _room, _room, _outdoors)
