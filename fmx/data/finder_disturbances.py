"""What goes wrong in pictures of faces: things in front of them, light, blur, noise, compression.

How strong blur may be goes by the smallest face, so that something of it is left.
"""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np

from fmx.data.spoiling import SHAPES, filling
from fmx.data.transforms import add_noise

_LUMA = np.tile([0.299, 0.587, 0.114], (3, 1))  # Of R, G and B.
_AROUND = 1.5  # Side of the square in which an occluder lies, over the size of the face,
_LARGEST = 0.7  # and its largest extent, over that side.
# How often: occluders of each face, the others of each picture.
OCCLUDER, BLUR, MOTION, COARSE, GREY, DARK, NOISE, JPEG = (
  0.45,
  0.2,
  0.12,
  0.15,
  0.12,
  0.12,
  0.3,
  0.3,
)


def disturb(image: np.ndarray, faces: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  """Spoils a picture at random.

  Args:
    image: uint8 [H, W, 3], RGB.
    faces: float [F, 13], as in `fmx.data.finder_scenes.Scene`.
    rng: Draws.

  Returns:
    uint8 [H, W, 3].
  """
  image = image.copy()
  for face in faces:
    if rng.random() < OCCLUDER:
      occlude(image, face[:2], face[2], rng)
  smallest = float(faces[:, 2].min()) if len(faces) else 80.0
  if rng.random() < COARSE:
    image = _coarse(image, min(rng.uniform(1, 3), max(smallest / 14, 1.0)))
  if rng.random() < BLUR:
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, max(0.035 * smallest, 0.6)))
  if rng.random() < MOTION:
    image = _motion(image, rng.uniform(2, max(0.2 * smallest, 3)), rng.uniform(0, np.pi))
  image = _recolour(image, rng)
  if rng.random() < NOISE:
    image = add_noise(image[None], rng.uniform(1, 16), rng)[0]
  if rng.random() < JPEG:
    _, code = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 80))])
    image = cast(np.ndarray, cv2.imdecode(code, cv2.IMREAD_COLOR))
  return image


def occlude(image: np.ndarray, centre: np.ndarray, size: float, rng: np.random.Generator) -> None:
  """Puts something in front of a part of a face, in place: of a colour, or a piece of the picture.

  Args:
    image: uint8 [H, W, 3], RGB.
    centre: Of the face, x then y, pixels.
    size: Of the face, pixels.
    rng: Draws.
  """
  height, width = image.shape[:2]
  side = max(round(_AROUND * size), 8)
  left, top = np.rint(centre - side / 2).astype(int)
  x, y = slice(max(left, 0), min(left + side, width)), slice(max(top, 0), min(top + side, height))
  seen = image[y, x]
  if not seen.size:
    return
  shape = SHAPES[rng.integers(len(SHAPES))](side, _LARGEST * side, rng)
  shape = shape[y.start - top : y.stop - top, x.start - left : x.stop - left]
  if rng.random() < 0.5:
    shift = (int(rng.integers(0, height)), int(rng.integers(0, width)))
    behind = np.roll(image, shift, axis=(0, 1))[:, ::-1][y, x]
  else:
    behind = filling(seen, rng)
  np.copyto(seen, behind.astype(np.uint8), where=shape[..., None] > 0)


def _coarse(image: np.ndarray, factor: float) -> np.ndarray:
  """Loses detail: the picture made that many times smaller, and large again."""
  height, width = image.shape[:2]
  small = (max(round(width / factor), 8), max(round(height / factor), 8))
  image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
  return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)


def _motion(image: np.ndarray, length: float, angle: float) -> np.ndarray:
  """Blurs along a line, in pixels and radians."""
  reach = int(np.ceil(length / 2))
  kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
  step = np.array([np.cos(angle), np.sin(angle)]) * length / 2
  start, end = (tuple(np.rint(reach + sign * step).astype(int).tolist()) for sign in (-1, 1))
  cv2.line(kernel, start, end, 1.0)
  return cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)


def _recolour(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  """Contrast, brightness, colours; now and then grey, or dark."""
  contrast, brightness = np.exp(rng.normal(0, 0.25)), rng.normal(0, 22)
  saturation = 0.0 if rng.random() < GREY else rng.uniform(0.4, 1.4)
  gains = contrast * np.exp(rng.normal(0, 0.08, 3))
  if rng.random() < DARK:
    gains, brightness = gains * np.exp(rng.uniform(np.log(0.12), np.log(0.7))), brightness / 4
  matrix = np.diag(gains) @ (saturation * np.eye(3) + (1 - saturation) * _LUMA)
  offset = 110.0 * (1 - contrast) * (gains / contrast).mean() + brightness
  return cv2.transform(image, np.column_stack([matrix, np.full(3, offset)]))
