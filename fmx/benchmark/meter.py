"""Clocks: of calls that wait for a device, and of sources that work ahead."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

Clock = Callable[[], float]


@dataclasses.dataclass(frozen=True)
class Timing:
  """Times of equal calls.

  Attributes:
    seconds: Of each call.
  """

  seconds: tuple[float, ...]

  @property
  def median(self) -> float:
    """Seconds of a call."""
    return float(np.median(self.seconds))

  @property
  def spread(self) -> tuple[float, float]:
    """Seconds at the first and the third quartile."""
    low, high = np.percentile(self.seconds, (25, 75))
    return float(low), float(high)


def time_calls(call: Callable[[], Any], steps: int, *, clock: Clock = time.perf_counter) -> Timing:
  """Times calls, each to its end on the device, after one that does not count."""
  jax.block_until_ready(call())
  seconds = []
  for _ in range(steps):
    start = clock()
    jax.block_until_ready(call())
    seconds.append(clock() - start)
  return Timing(tuple(seconds))


def time_in_turns(
  calls: Mapping[str, Callable[[], Any]], steps: int, *, clock: Clock = time.perf_counter
) -> dict[str, Timing]:
  """Times several calls in turns, A B A B, each after one that does not count."""
  for call in calls.values():
    jax.block_until_ready(call())
  seconds: dict[str, list[float]] = {name: [] for name in calls}
  for _ in range(steps):
    for name, call in calls.items():
      start = clock()
      jax.block_until_ready(call())
      seconds[name].append(clock() - start)
  return {name: Timing(tuple(of_call)) for name, of_call in seconds.items()}


def time_source(
  start: Callable[[], Iterator[Any]],
  *,
  steps: int,
  least_seconds: float,
  clock: Clock = time.perf_counter,
) -> tuple[float, float]:
  """Times a source that may work ahead, from a cold start.

  What it has prepared while it started must not count as speed: the first half of what is drawn
  only empties its store, and the second half is what it can keep up. Whoever draws does nothing
  else.

  Args:
    start: Starts the source.
    steps: Elements to draw at least.
    least_seconds: To draw for at least.
    clock: Seconds.

  Returns:
    Seconds from the start to the first element, and seconds an element in the second half.

  Raises:
    ValueError: the source ends before.
  """
  begin = clock()
  source = start()
  times: list[float] = []
  for _ in source:
    times.append(clock())
    if len(times) >= max(steps, 2) and times[-1] - times[0] >= least_seconds:
      break
  else:
    raise ValueError(f'The source ended after {len(times)} elements: too few to time it.')
  middle = (len(times) - 1) // 2
  return times[0] - begin, (times[-1] - times[middle]) / (len(times) - 1 - middle)
