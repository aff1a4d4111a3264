"""What surrounds a drawn face: ears, long hair, clothes, glasses, earrings."""

import cv2
import numpy as np

from fmx.drawing import canvas
from fmx.drawing import head as head_lib
from fmx.drawing.look import Look
from fmx.drawing.raster import Box
from fmx.drawing.scene import Light, View

_TILE = 512  # Pixels of a repeating texture.
_FRONT = np.array([0, 0, 1.0])
_STRAND_TONES = np.array([0.6, 0.72, 0.84, 0.95, 1.07])


class Outfit:
  """Everything about one person that is drawn before or after the head."""

  def __init__(self, head: head_lib.Head, look: Look, rng: np.random.Generator):
    self._head, self._look = head, look
    self._width = head.shape.width
    lengths = {'bob': rng.uniform(0.75, 1.1), 'long': rng.uniform(1.2, 2.0)}
    self._hair_length = lengths.get(look.hair_style, 0.0)  # Of what hangs down.
    self._neckline = rng.uniform(1.25, 1.5)
    lens = rng.uniform([0.115, 0.1, 1.6], [0.15, 0.135, 5.0])
    self._rims, self._bridge = self._frame(*lens)
    self._cloth = _cloth_tile(look.cloth, rng)
    if self._hair_length:
      self._strands = _strand_tile(rng)
      self._locks = [self._grow_locks(side, rng) for side in (-1, 1)]

  def draw_behind(self, image: np.ndarray, view: View, light: Light) -> None:
    """Draws what the head hides."""
    if self._hair_length:
      self._draw_back_hair(image, view, light)
      self._draw_locks(image, view, light, behind=True)
      return
    for side in (-1, 1):
      if not _is_near(view, side):
        self._draw_ear(image, view, light, side)

  def draw_near_ears(self, image: np.ndarray, view: View, light: Light) -> None:
    """Draws the ears that are seen whole."""
    for side in (-1, 1):
      if not self._hair_length and _is_near(view, side):
        self._draw_ear(image, view, light, side)

  def draw_before(self, image: np.ndarray, view: View, light: Light) -> None:
    """Draws what lies on or before the head."""
    self._draw_clothes(image, view, light)
    if self._hair_length:
      self._draw_locks(image, view, light, behind=False)
    if self._look.glasses:
      self._draw_glasses(image, view, light)

  def _draw_ear(self, image: np.ndarray, view: View, light: Light, side: int) -> None:
    """An ear as a lit disc with a hollow."""
    t = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    back, down = 0.5 - 0.5 * np.cos(t), np.sin(t)
    back = back * (1 - 0.35 * np.maximum(down, 0))
    y = 0.11 + 0.205 * down
    x = side * (0.61 + 0.1 * back) * self._width
    rim = np.stack([x, y + 0.02 * back, 0.02 - 0.2 * back], 1)
    tone = light.on(view.turn @ np.array([side * 0.8, 0, 0.6]))
    base = self._look.skin * tone * [1.0, 0.93, 0.91]
    outline = view.project(rim)[:, :2]
    center = outline.mean(0)
    scale = view.moment.scale
    for size, drop, shade in (
      (1, 0, 0.88),
      (0.8, 0.004, 0.74),
      ((0.52, 0.62), -0.01, 0.84),
      ((0.3, 0.33), 0.035, 0.6),
    ):
      ring = center + (outline - center) * size + [0, drop * scale]
      canvas.fill(image, ring, base * shade)
    if self._look.earrings:
      pearl = view.project(np.array([[side * 0.66 * self._width, 0.34, -0.03]]))[0, :2]
      radius = max(0.028 * scale, 0.7)
      canvas.ellipse(image, pearl, (radius, radius), 0, np.array([215, 190, 120]) * tone)

  def _draw_back_hair(self, image: np.ndarray, view: View, light: Light) -> None:
    """The hair behind head and neck."""
    low = self._hair_length
    wide = 0.74 + 0.05 * (self._look.hair_style == 'long')
    side = np.array(
      [
        (0.0, -0.98),
        (0.4, -0.93),
        (0.64, -0.6),
        (wide, -0.1),
        (wide + 0.02, 0.4),
        (wide - 0.02, low * 0.8),
        (0.6, low),
        (0.25, low + 0.05),
      ]
    )
    outline = np.concatenate([side, side[::-1] * [-1, 1]])
    points = np.column_stack([outline, np.full(len(outline), -0.25)])
    shape = canvas.polygon_mask(image, canvas.rounded(view.project(points)[:, :2]))
    if shape:
      texture = _tile(self._strands, shape[0], view)
      color = cv2.merge([texture * float(v) for v in light.on(_FRONT) * self._look.hair * 0.6])
      canvas.blend(image, shape[0], cv2.convertScaleAbs(color), shape[1])

  def _grow_locks(self, side: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Strands that fall beside the face: [L, points, 3] in head coordinates, brightness [L]."""
    jitter = rng.uniform(-1, 1, (26, 4))
    low = min(self._hair_length, 1.5) + 0.06 * jitter[:, 3]
    zero = 0 * low
    knots = np.stack(
      [
        np.stack([0.36 + 0.1 * jitter[:, 0], -0.72 + zero, 0.34 - 0.1 * jitter[:, 0]], 1),
        np.stack([0.6 + 0.035 * jitter[:, 0], -0.3 + zero, 0.26 - 0.05 * jitter[:, 0]], 1),
        np.stack([0.665 + 0.06 * jitter[:, 1], 0.3 + zero, 0.18 + zero], 1),
        np.stack([0.67 + 0.1 * jitter[:, 2], 0.65 * low, 0.12 + zero], 1),
        np.stack([0.64 + 0.1 * jitter[:, 2], low, 0.08 + zero], 1),
      ],
      1,
    )
    knots[..., 0] *= side * self._width
    t = np.linspace(0, 1, 5)
    fine = np.linspace(0, 1, 10)
    basis = np.stack([np.polyval(np.polyfit(t, e, 4), fine) for e in np.eye(5)], 1)
    order = np.argsort(-np.abs(jitter[:, 1]))  # The outer ones first.
    return np.einsum('pk,lkc->lpc', basis, knots)[order], rng.choice(_STRAND_TONES, 26)

  def _draw_locks(self, image: np.ndarray, view: View, light: Light, *, behind: bool) -> None:
    tone = light.on(_FRONT)
    scale = view.moment.scale
    for side, (paths, brightness) in zip((-1, 1), self._locks, strict=True):
      if ((view.turn @ [side * 0.66, 0, 0.22])[2] < 0.02) != behind:
        continue
      paths = canvas.fixed(view.project(paths)[..., :2])
      thick = max(int(0.07 * scale), 1)
      dark = canvas.scalar(self._look.hair * tone * 0.6)
      cv2.polylines(image, list(paths[::3, 3:]), False, dark, thick, cv2.LINE_AA, canvas.SHIFT)
      thin = max(int(0.022 * scale), 1)
      for strength in np.unique(brightness):
        color = canvas.scalar((self._look.hair + 4) * tone * strength)
        group = list(paths[brightness == strength])
        cv2.polylines(image, group, False, color, thin, cv2.LINE_AA, canvas.SHIFT)

  def _draw_clothes(self, image: np.ndarray, view: View, light: Light) -> None:
    """Shoulders and a neckline, which turn with the body."""
    neck, moment = self._neckline, view.moment
    side = np.array(
      [
        (0.0, neck + 0.2),
        (0.18, neck + 0.14),
        (0.34, neck - 0.02),
        (0.43, neck - 0.16),
        (0.75, neck),
        (1.25, neck + 0.2),
        (1.55, neck + 0.6),
        (1.7, 3.4),
      ]
    )
    outline = np.concatenate([side[::-1] * [-1, 1], side])
    points = np.column_stack([outline, 0.15 - 0.2 * np.abs(outline[:, 0])]) - head_lib.PIVOT
    points = head_lib.to_image(points @ view.body.T, moment.scale, moment.origin)
    outline = canvas.rounded(points[:, :2])
    shape = canvas.polygon_mask(image, outline)
    if not shape:
      return
    box, mask = shape
    x = (np.arange(box[0], box[2]) - moment.origin[0]) / (1.6 * moment.scale)
    normals = np.stack([x, 0 * x - 0.3, np.sqrt(np.maximum(1 - x * x, 0.05))], 1)
    tone = light.on(normals / np.linalg.norm(normals, axis=1, keepdims=True))
    tone = np.repeat(tone[None], box[3] - box[1], axis=0)
    color = cv2.multiply(_tile(self._cloth, box, view), tone)
    canvas.blend(image, box, cv2.convertScaleAbs(color), mask)
    # The seam runs from shoulder to shoulder through the dip.
    edge = points[4:12, :2]
    seam = canvas.scalar(self._look.cloth * 0.55 * tone.mean((0, 1)))
    thick = max(int(0.03 * moment.scale), 1)
    cv2.polylines(image, [canvas.fixed(edge)], False, seam, thick, cv2.LINE_AA, canvas.SHIFT)

  def _frame(self, wide: float, high: float, power: float) -> tuple[list[np.ndarray], np.ndarray]:
    """The rims of both lenses [40, 3] and the bridge between them [3, 3]."""
    t = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    c, s = np.cos(t), np.sin(t)
    x = np.sign(c) * np.abs(c) ** (2 / power) * wide + 0.285 + self._head.shape.eye_distance
    y = np.sign(s) * np.abs(s) ** (2 / power) * high + 0.02
    front = self._head.landmarks[27, 2] + 0.03
    rims = [np.stack([side * x, y, front - 0.55 * x**2], 1) for side in (-1, 1)]
    inner = x.min()
    z = front - 0.55 * inner**2
    return rims, np.array([(-inner, 0.0, z), (0, -0.03, front + 0.02), (inner, 0.0, z)])

  def _draw_glasses(self, image: np.ndarray, view: View, light: Light) -> None:
    look = self._look
    thick = max(int(round(look.glasses * view.moment.scale)), 1)
    tone = light.on(_FRONT)
    color = canvas.scalar(look.glasses_color * tone)
    paths = [self._bridge]
    for side, rim in zip((-1, 1), self._rims, strict=True):
      outline = view.project(rim)[:, :2]
      shape = canvas.polygon_mask(image, outline)
      if shape:
        _tint_lens(image, *shape, look.sunglasses, tone)
      if (view.turn @ [side, 0, 0.0])[2] > -0.35:
        hinge = rim[np.abs(rim[:, 0]).argmax()] + [0, -0.05, 0]
        paths.append(np.array([hinge, (side * 0.64 * self._width, -0.02, -0.02)]))
      line = canvas.fixed(outline)
      cv2.polylines(image, [line], True, color, thick, cv2.LINE_AA, canvas.SHIFT)
    paths = [canvas.fixed(view.project(path)[:, :2]) for path in paths]
    cv2.polylines(image, paths, False, color, thick, cv2.LINE_AA, canvas.SHIFT)


def _is_near(view: View, side: int) -> bool:
  """Whether that side of the head is turned to the camera."""
  return (view.turn @ [side, 0, 0.0])[2] > -0.12


def _tile(tile: np.ndarray, box: Box, view: View) -> np.ndarray:
  """The part of a repeating texture that covers a box and moves with the head: [h, w(, C)]."""
  step = 220 / view.moment.scale

  def repeat(first: int, last: int, origin: float) -> np.ndarray:
    # There and back again, so that no seam shows.
    pixels = (((np.arange(first, last) - origin) * step).astype(int) + _TILE // 2) % (2 * _TILE)
    return np.minimum(pixels, 2 * _TILE - 1 - pixels)

  rows = repeat(box[1], box[3], view.moment.origin[1])
  return np.take(tile[rows], repeat(box[0], box[2], view.moment.origin[0]), axis=1)


def _tint_lens(
  image: np.ndarray, box: Box, mask: np.ndarray, opacity: float, tone: np.ndarray
) -> None:
  """Dark glass, or faint; with a reflection."""
  height, width = mask.shape
  v = np.linspace(0, 1, height, dtype=np.float32)[:, None]
  u = np.linspace(0, 1, width, dtype=np.float32)[None]
  dark = np.array([22, 24, 26]) * tone + 28 * (1 - v[..., None]) + 0 * u[..., None]
  canvas.blend(image, box, dark.astype(np.uint8), mask * np.float32(max(opacity, 0.06)))
  streak = np.exp(-(((u + v * 0.7 - 0.75) / 0.12) ** 2)) * np.float32(0.2)
  canvas.blend(image, box, np.full((height, width, 3), 240, np.uint8), mask * streak)


def _strand_tile(rng: np.random.Generator) -> np.ndarray:
  """Brightness of hanging hair, float32 [_TILE, _TILE]."""
  size = (_TILE, _TILE)
  fine = cv2.resize(rng.standard_normal((6, 256)).astype(np.float32), size)
  wide = cv2.resize(rng.standard_normal((4, 50)).astype(np.float32), size)
  return np.clip(1 + 0.22 * fine + 0.25 * wide, 0.3, 1.8)


def _cloth_tile(color: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  """A fabric, float32 [_TILE, _TILE, 3]: plain, striped or checked, with folds."""
  folds: np.ndarray = rng.standard_normal((5, 7)).astype(np.float32)
  folds = cv2.resize(folds, (_TILE, _TILE), interpolation=cv2.INTER_CUBIC)
  weave = rng.standard_normal((_TILE, _TILE), dtype=np.float32)
  v = np.arange(_TILE)[:, None] // (_TILE // rng.integers(8, 20)) % 2
  u = v.T
  kind = rng.choice(4, p=[0.6, 0.18, 0.1, 0.12])
  pattern = np.broadcast_to((0 * v, v, u, u ^ v)[kind], (_TILE, _TILE)).astype(np.float32)
  other = color + (rng.uniform(20, 220, 3) - color) * rng.uniform(0.3, 0.9)
  shade = 1 + 0.12 * folds + 0.03 * weave
  return cv2.merge(
    [
      ((c + (o - c) * pattern) * shade).astype(np.float32)
      for c, o in zip(color, other, strict=True)
    ]
  )
