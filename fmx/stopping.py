"""Requests to stop, by SIGTERM or Ctrl-C, that a run answers when its state is whole."""

import contextlib
import signal
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils


class Stopped(Exception):
  """The run was asked to stop; everything up to now is saved."""

  def __init__(self, message: str, status: int):
    """Keeps the exit status that says which signal it was, as shells count: 128 + its number."""
    super().__init__(message)
    self.status = status


@contextlib.contextmanager
def stop_requests() -> Iterator[Callable[[], int]]:
  """Gives a function that says which signal asked any process of the run to stop; 0 for none.

  All processes must call the function equally often: they agree, so that all stop at one step. A
  signal that comes a second time does what it does elsewhere, so that a run can be ended at once.
  """
  requested = 0

  def request(number: int, _frame: types.FrameType | None) -> None:
    nonlocal requested
    requested = number
    signal.signal(number, previous[number])

  def asked() -> int:
    if jax.process_count() == 1:
      return requested
    return int(multihost_utils.process_allgather(np.int32(requested)).max())

  if threading.current_thread() is not threading.main_thread():
    yield asked  # Only the main thread gets signals.
    return
  previous: dict[int, Any] = {
    number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)
  }
  for number in previous:
    signal.signal(number, request)
  try:
    yield asked
  finally:
    for number, handler in previous.items():
      signal.signal(number, handler)
