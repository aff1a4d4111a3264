"""Stages of an extraction overlap: each works in a thread, a few items ahead of the next one."""

import collections
import contextlib
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar('T')
_END: Any = object()


def ahead(items: Generator[T, None, None], size: int, name: str) -> Generator[T, None, None]:
  """Yields the items of a generator, which a thread prepares.

  An error of the generator comes in its place, behind the items that precede it. Closed or ended,
  the thread is gone and the generator is closed; what it was at, it finishes before.

  Args:
    items: The generator; only the thread may use it.
    size: How many items are prepared at most, beside the one that was yielded last.
    name: Of the thread.
  """
  with contextlib.closing(items), ThreadPoolExecutor(1, name) as thread:
    try:
      ready = collections.deque(thread.submit(next, items, _END) for _ in range(size))
      while (item := ready.popleft().result()) is not _END:
        ready.append(thread.submit(next, items, _END))
        yield item
    finally:
      thread.shutdown(cancel_futures=True)
