"""Several at work, one at a time, in turns: so the cores are shared and nobody is passed over."""

import collections
import contextlib
import threading
from collections.abc import Iterator


class Turns:
  """A queue of workers; who has had a turn waits again behind all others."""

  def __init__(self) -> None:
    self._lock = threading.Lock()
    self._queue: collections.deque[threading.Event] = collections.deque()  # The first has its turn.

  @contextlib.contextmanager
  def turn(self) -> Iterator[None]:
    """Waits for a turn, which ends with the context."""
    mine = threading.Event()
    with self._lock:
      self._queue.append(mine)
      self._queue[0].set()
    mine.wait()
    try:
      yield
    finally:
      with self._lock:
        self._queue.popleft()
        if self._queue:
          self._queue[0].set()
