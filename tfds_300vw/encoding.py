"""Frames and labels as the bytes of image files, which is how a prepared dataset stores them."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

Example = dict[str, Any]


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
