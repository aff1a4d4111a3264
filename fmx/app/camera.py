"""Masks of a webcam: one frame in, its masks out, and the state stays in memory."""

import io
import time
from typing import Any

import numpy as np
from PIL import Image

from fmx.app import packets
from fmx.app.turns import Turns
from fmx.extraction.loop import Extractor
from fmx.extraction.measurements import EYES, rows_of
from fmx.extraction.outputs import Labelled
from fmx.labelling.blinks import Watch
from tfds_300vw.video import Frame

MAX_BYTES, MAX_PIXELS = 2_000_000, 1280 * 960  # Of a frame.


class Camera:
  """The webcam of one person, from the frame at which it is switched on.

  Every frame is a window of its own: masks are verified as in videos, but what follows a frame
  tells nothing about it. Networks with a memory begin anew with each.
  """

  def __init__(self, extractor: Extractor, turns: Turns):
    """Says whose masks, and with whom turns are taken."""
    self._extractor, self._turns = extractor, turns
    self._state: Any = None
    self._size: tuple[int, int] | None = None
    self._start = time.monotonic()
    self._lids: dict[tuple[int, str], Watch] = {}

  def __call__(self, jpeg: bytes) -> bytes:
    """The packet of a frame, without the picture: the page has it.

    Raises:
      ValueError: it is no JPEG, or a very large one.
    """
    came = time.monotonic()
    frame = decoded(jpeg)
    if frame.shape[:2] != self._size:  # Switched on, or a telephone was turned.
      self._state, self._size = None, frame.shape[:2]
      self._lids.clear()
    with self._turns.turn():
      began = time.monotonic()
      (masks,), self._state = next(iter(self._extractor.windows(iter([frame]), self._state)))
      rows = list(rows_of(Labelled('', Frame(masks.index, came - self._start, frame), masks)))
    for row in rows:
      for eye in EYES:
        lid = self._lids.setdefault((row['face'], eye), Watch())
        row[f'{eye}_blink'] = lid(row['time'], row.get(f'{eye}_eye_opening'))
    now = time.monotonic()
    head = {
      'frame': masks.index,
      'rows': rows,
      'waited_ms': round(1e3 * (began - came), 1),
      'worked_ms': round(1e3 * (now - began), 1),
    }
    return packets.packet(head, masks.labels)


def decoded(jpeg: bytes) -> np.ndarray:
  """A frame, uint8 [H, W, 3], RGB.

  Raises:
    ValueError: it is no JPEG, or a very large one.
  """
  try:
    with Image.open(io.BytesIO(jpeg), formats=('JPEG',)) as picture:
      if picture.width * picture.height > MAX_PIXELS:
        raise ValueError(
          f'A frame has {picture.width} x {picture.height} pixels; at most {MAX_PIXELS} are taken.'
        )
      return np.asarray(picture.convert('RGB'))
  except (OSError, SyntaxError, Image.DecompressionBombError) as error:
    raise ValueError('A frame is no JPEG; load the page again.') from error
