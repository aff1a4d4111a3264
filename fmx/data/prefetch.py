"""Batches prepared ahead of the devices, in threads or in worker processes."""

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Generator
from typing import Any

import cv2
import grain
from absl import flags

_AHEAD = 2  # Batches that each thread or worker prepares ahead.
_MAX_THREADS = 4  # Above that they wait for each other's interpreter lock.


def prefetch(batches: grain.MapDataset, workers: int) -> Generator[Any, None, None]:
  """Yields the elements of `batches` in order, prepared ahead of time.

  Args:
    batches: What is to be yielded; with workers it must be picklable.
    workers: Processes that prepare; 0 uses threads of this process.
  """
  threads = 1 if workers else min(os.cpu_count() or 1, _MAX_THREADS)
  read_options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=_AHEAD * threads)
  ahead = batches.to_iter_dataset(read_options)
  if workers:
    if (
      not flags.FLAGS.is_parsed()
    ):  # Grain reads flags of its own, and not every program parses flags.
      flags.FLAGS.mark_as_parsed()
    options = grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=_AHEAD)
    ahead = ahead.mp_prefetch(options, worker_init_fn=_start_worker)
  iterator = iter(ahead)
  try:
    yield from iterator
  finally:
    iterator.close()


def _start_worker(index: int, count: int) -> None:
  """Readies a worker process: it leaves signals to its parent, but does not outlive it.

  Ctrl-C and what ends a batch job reach all processes, and the parent still takes a step or two.
  """
  del index, count
  for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
  cv2.setNumThreads(1)
  threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
  """Waits until the parent process is gone, killed for instance, and ends this one."""
  parent = multiprocessing.parent_process()
  assert parent is not None  # This is a worker.
  multiprocessing.connection.wait([parent.sentinel])
  os._exit(1)
