"""An extractor that waits for its turn, can be stopped, and shows what it does."""

import collections
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fmx.app.turns import Turns
from fmx.extraction.loop import Extractor
from fmx.labelling.frame_masks import FrameMasks

Show = Callable[[np.ndarray, FrameMasks], None]


class Cancelled(Exception):
  """Somebody asked to stop."""


class Watched:
  """Does what another extractor does, one turn a window."""

  def __init__(self, extractor: Extractor, turns: Turns, cancelled: threading.Event, show: Show):
    """Says whose masks, with whom turns are taken, what stops it, and who gets frames and masks."""
    self._extractor, self._turns = extractor, turns
    self._cancelled, self._show = cancelled, show

  def windows(
    self, frames: Iterator[np.ndarray], state: Any = None
  ) -> Iterator[tuple[list[FrameMasks], Any]]:
    """As `Extractor.windows`.

    Raises:
      Cancelled: somebody asked to stop.
    """
    waiting: collections.deque[np.ndarray] = collections.deque()

    def passing() -> Iterator[np.ndarray]:
      for frame in frames:
        waiting.append(frame)
        yield frame

    windows = iter(self._extractor.windows(passing(), state))
    while True:
      if self._cancelled.is_set():
        raise Cancelled
      with self._turns.turn():
        found = next(windows, None)
      if found is None:
        return
      for masks in found[0]:
        self._show(waiting.popleft(), masks)
      yield found
