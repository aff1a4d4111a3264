"""A frame as the page gets it: some numbers, the picture and the class of each pixel."""

import json
import struct
import zlib
from typing import Any

import cv2
import numpy as np

LARGEST = 960  # Pixels of a picture's longer side; the page shows no more.
_QUALITY = 88  # Of JPEG.


def packet(head: dict[str, Any], labels: np.ndarray, picture: bytes = b'') -> bytes:
  """What `page/packets.js` takes apart: two lengths, JSON, a JPEG and deflated class ids.

  Args:
    head: Numbers; the labels' width and height are added.
    labels: uint8 [H, W].
    picture: JPEG; empty where the page has it.
  """
  height, width = labels.shape
  said = json.dumps({**head, 'width': width, 'height': height}, allow_nan=False).encode()
  flat = zlib.compress(labels.tobytes(), 1)
  return struct.pack('<II', len(said), len(picture)) + said + picture + flat


def small(frame: np.ndarray, labels: np.ndarray) -> tuple[bytes, np.ndarray]:
  """A frame and its labels at the size that the page shows.

  Args:
    frame: uint8 [H, W, 3], RGB.
    labels: uint8 [H, W].

  Returns:
    A JPEG, and labels uint8 [h, w] of the same size.
  """
  scale = min(LARGEST / max(labels.shape), 1)
  size = [max(round(side * scale), 1) for side in labels.shape[::-1]]
  if scale < 1:
    frame = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    labels = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
  _, jpeg = cv2.imencode('.jpg', frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
  return jpeg.tobytes(), labels
