"""Frames and labels as image files: those of the sources, and those that a dataset stores."""

from __future__ import annotations

import io
import pathlib
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

Example = dict[str, Any]
_ORIENTATION = 0x0112  # EXIF.


def encode_frame(frame: np.ndarray, quality: int) -> bytes:
  """Encodes a frame as JPEG without chroma subsampling.

  Args:
    frame: uint8 [H, W, 3], RGB.
    quality: 1 to 100.
  """
  buffer = io.BytesIO()
  Image.fromarray(frame).save(buffer, 'JPEG', quality=quality, subsampling=0)
  return buffer.getvalue()


def encode_labels(labels: np.ndarray) -> bytes:
  """Encodes class ids, uint8 [H, W], as a one-channel PNG."""
  buffer = io.BytesIO()
  Image.fromarray(labels).save(buffer, 'PNG')
  return buffer.getvalue()


def read_image(path: pathlib.Path) -> np.ndarray:
  """Reads an image: uint8 [H, W, 3], RGB.

  Raises:
    FileNotFoundError: there is no such file.
    ValueError: it is not an image, or cut short.
  """
  return np.asarray(open_image(path).convert('RGB'))


def open_image(path: pathlib.Path) -> Image.Image:
  """Opens and decodes an image file.

  Raises:
    FileNotFoundError: there is no such file.
    ValueError: it is not an image, or cut short.
  """
  try:
    image = Image.open(path)
    image.load()
  except FileNotFoundError:
    raise
  except (UnidentifiedImageError, OSError, SyntaxError) as error:
    raise ValueError(f'{path} cannot be read as an image: {error}.') from error
  return image


def is_plain_jpeg(image: Image.Image) -> bool:
  """Whether an image file's bytes give the same pixels as `read_image`, whoever decodes them."""
  upright = image.getexif().get(_ORIENTATION, 1) == 1
  return image.format == 'JPEG' and image.mode == 'RGB' and upright
