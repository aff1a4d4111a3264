"""Hands, microphones, hair and other things that pass between a face and the camera."""

import cv2
import numpy as np

_SIZE = 320  # Pixels of a sprite's side.
_UNIT = 125  # Pixels of a sprite to one head unit.


class Occlusion:
  """One thing that covers a part of the face for some frames."""

  def __init__(
    self,
    rng: np.random.Generator,
    start: int,
    length: int,
    skin: np.ndarray,
    hair: np.ndarray,
    *,
    slow: bool = False,
  ):
    """Draws the thing and its path.

    Args:
      rng: Source of all choices.
      start: First frame in which it is seen.
      length: Frames.
      skin: [3], RGB of a hand.
      hair: [3], RGB of hair strands.
      slow: It rests where it covers, instead of only passing by.
    """
    self._start, self._length, self._slow = int(start), int(length), slow
    kind = KINDS[int(rng.choice(len(KINDS), p=_SHARES))]
    color, alpha = kind(rng, skin, hair)
    self._sprite = np.dstack([color * alpha[..., None], alpha]).astype(np.float32)
    # What it covers: eyes, mouth, or a half of the face.
    targets = np.array(
      [[-0.25, 0.0], [0.25, 0.0], [0, 0.0], [0, 0.6], [0.15, 0.62], [-0.3, 0.3], [0.3, 0.3]]
    )
    self._target = targets[rng.integers(len(targets))] + rng.normal(0, 0.06, 2)
    side = rng.choice([-1, 1])
    angle = rng.uniform(-0.5, 1.2)
    self._away = np.array([side * np.cos(angle), np.sin(angle)]) * rng.uniform(1.0, 1.6)
    self._angle = -side * rng.uniform(-10, 75) if kind is not _strands else rng.uniform(-25, 25)
    self._wobble = rng.uniform(0, 2 * np.pi)

  def draw(
    self, image: np.ndarray, t: int, center: np.ndarray, scale: float, light: np.ndarray
  ) -> None:
    """Draws it over frame `t`, in place.

    Args:
      image: uint8 [H, W, 3].
      t: Frame.
      center: [2], the point between the eyes, pixels.
      scale: Pixels per head unit.
      light: [3], RGB strength.
    """
    if not self._start <= t < self._start + self._length:
      return
    part = (t - self._start + 0.5) / self._length
    there = np.sin(np.pi * part)
    there = min(there * 3, 1) if self._slow else there**0.6
    wobble = 0.03 * np.sin(0.25 * t + self._wobble)
    place = center + (self._target + self._away * (1 - there) + wobble) * scale
    zoom = scale / _UNIT
    matrix = cv2.getRotationMatrix2D((_SIZE / 2, _SIZE * 0.4), self._angle + 60 * wobble, zoom)
    matrix[:, 2] += place - [_SIZE / 2, _SIZE * 0.4]
    _paste(image, self._sprite, matrix, light)


def _paste(image: np.ndarray, sprite: np.ndarray, matrix: np.ndarray, light: np.ndarray) -> None:
  """Blends a premultiplied sprite, moved by an affine matrix, over the box that it covers."""
  height, width = image.shape[:2]
  corners = np.array([[0, 0, 1], [_SIZE, 0, 1], [_SIZE, _SIZE, 1], [0, _SIZE, 1]]) @ matrix.T
  low = np.clip(np.floor(corners.min(0)).astype(int), 0, [width, height])
  high = np.clip(np.ceil(corners.max(0)).astype(int) + 1, 0, [width, height])
  if (high - low < 1).any():
    return
  matrix = matrix.copy()
  matrix[:, 2] -= low
  size = tuple(int(v) for v in high - low)
  layer = cv2.warpAffine(sprite, matrix, size, flags=cv2.INTER_LINEAR)
  under = image[low[1] : high[1], low[0] : high[0]]
  *planes, alpha = cv2.split(layer)
  color = cv2.merge([plane * np.float32(v) for plane, v in zip(planes, light, strict=True)])
  shown = cv2.multiply(np.ascontiguousarray(under), cv2.merge([1 - alpha] * 3), dtype=cv2.CV_32F)
  under[:] = cv2.convertScaleAbs(cv2.add(shown, color))


def _solid(mask: np.ndarray, roundness: float) -> np.ndarray:
  """Brightness of a rounded body with this outline: [h, w], about 1."""
  distance = cv2.distanceTransform((mask > 127).astype(np.uint8), cv2.DIST_L2, 3)
  height = np.sqrt(
    np.minimum(distance, roundness) * (2 * roundness - np.minimum(distance, roundness))
  )
  height = cv2.GaussianBlur(height, (0, 0), 2.5)
  dx, dy = cv2.Sobel(height, cv2.CV_32F, 1, 0) / 8, cv2.Sobel(height, cv2.CV_32F, 0, 1) / 8
  return np.clip((0.45 * dx + 0.65 * dy + 1.0) / np.sqrt(1 + dx**2 + dy**2), 0.3, 1.5)


def _hand(
  rng: np.random.Generator, skin: np.ndarray, hair: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """A palm with fingers that point up, and a sleeve."""
  del hair
  mask = np.zeros((_SIZE, _SIZE), np.uint8)
  fingers = np.zeros((_SIZE, _SIZE), np.uint8)
  spread, bend = rng.uniform(0.03, 0.24), rng.uniform(-0.15, 0.15)
  knuckles = [(118, 150), (144, 140), (170, 142), (194, 156)]
  lengths = np.array([74, 88, 82, 62]) * rng.uniform(0.55, 1.05)
  cv2.ellipse(mask, (157, 188), (52, 58), 0, 0, 360, 255, -1, cv2.LINE_AA)
  for i, ((x, y), long) in enumerate(zip(knuckles, lengths, strict=True)):
    angle = -np.pi / 2 + (i - 1.5) * spread + bend
    tip = (int(x + long * np.cos(angle)), int(y + long * np.sin(angle)))
    cv2.line(mask, (x, y + 16), tip, 255, 23, cv2.LINE_AA)
    cv2.line(fingers, (x + 12, y + 8), (tip[0] + 11, tip[1] + 10), 255, 3, cv2.LINE_AA)
  thumb = (int(92 - 25 * rng.random()), int(168 - 30 * rng.random()))
  cv2.line(mask, (122, 208), thumb, 255, 27, cv2.LINE_AA)
  cv2.line(mask, (157, 220), (157, 290), 255, 68, cv2.LINE_AA)
  sleeve = np.zeros_like(mask)
  cv2.line(sleeve, (157, 295), (157, 330), 255, 92, cv2.LINE_AA)
  shade = _solid(mask, 15) * (1 - 0.4 * cv2.GaussianBlur(fingers, (0, 0), 1.5) / 255)
  color = (skin * [0.95, 0.85, 0.83])[None, None] * shade[..., None]
  cloth = rng.uniform(15, 200, 3) * _solid(sleeve, 40)[..., None]
  cuff = (sleeve / 255)[..., None]
  return color * (1 - cuff) + cloth * cuff, np.maximum(mask, sleeve) / 255


def _microphone(
  rng: np.random.Generator, skin: np.ndarray, hair: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """A ball of wire mesh on a handle, held by nobody."""
  del skin, hair
  mask = np.zeros((_SIZE, _SIZE), np.uint8)
  cv2.line(mask, (160, 150), (160, 315), 255, 34, cv2.LINE_AA)
  handle = _solid(mask, 18)[..., None] * rng.uniform(18, 90)
  ball = np.zeros_like(mask)
  cv2.ellipse(ball, (160, 118), (40, 46), 0, 0, 360, 255, -1, cv2.LINE_AA)
  y, x = np.mgrid[0:_SIZE, 0:_SIZE]
  mesh = 0.75 + 0.25 * (np.sin((x + y) * 0.9) * np.sin((x - y) * 0.9))
  head = (_solid(ball, 46) * mesh)[..., None] * rng.uniform(60, 150)
  part = (ball / 255)[..., None]
  return (handle * (1 - part) + head * part) * np.ones(3), np.maximum(mask, ball) / 255


def _strands(
  rng: np.random.Generator, skin: np.ndarray, hair: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Hair blown across the face."""
  del skin
  alpha = np.zeros((_SIZE, _SIZE), np.uint8)
  tone = np.full((_SIZE, _SIZE), 100, np.uint8)
  t = np.linspace(0, 1, 24)
  sway = rng.normal(0, 40, 3)
  for _ in range(rng.integers(40, 90)):
    x = 160 + rng.normal(0, 34) + sway[0] * t + (sway[1] + rng.normal(0, 14)) * np.sin(np.pi * t)
    y = -10 + 340 * t + rng.normal(0, 4)
    line = np.stack([x, y], 1).astype(np.int32)
    width = int(rng.integers(1, 5))
    cv2.polylines(alpha, [line], False, 245, width, cv2.LINE_AA)
    cv2.polylines(tone, [line], False, int(rng.uniform(65, 150)), width, cv2.LINE_AA)
  return (hair + 6) * (tone / 100)[..., None], cv2.GaussianBlur(alpha, (0, 0), 0.7) / 255


def _object(
  rng: np.random.Generator, skin: np.ndarray, hair: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """A telephone, a card or a cup: a rounded box."""
  del skin, hair
  mask: np.ndarray = np.zeros((_SIZE, _SIZE), np.uint8)
  w, h = rng.integers(34, 70), rng.integers(50, 105)
  low, high = (160 - int(w), 128 - int(h)), (160 + int(w), 128 + int(h))
  cv2.rectangle(mask, low, high, 255, -1)
  mask = cv2.GaussianBlur(mask, (0, 0), 7)
  mask = np.clip((mask.astype(np.float32) - 118) * 14, 0, 255).astype(np.uint8)
  color = np.ones((_SIZE, _SIZE, 3)) * rng.uniform(15, 235, 3)
  band = rng.uniform(10, 240, 3)
  color[128 - int(h * 0.5) : 128 + int(h * rng.uniform(-0.2, 0.6))] = band
  return color * _solid(mask, 12)[..., None], mask / 255


KINDS = (_hand, _microphone, _strands, _object)
_SHARES = (0.45, 0.18, 0.17, 0.2)
