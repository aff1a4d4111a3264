"""Where the time of a step goes: a trace for the profiler's viewers, and what costs most."""

from __future__ import annotations

import collections
import pathlib
import re
from collections.abc import Callable
from typing import Any

import jax

MOST = 10
_STEPS = 3
_COLLECTIVE = re.compile(r'all-?reduce|all-?gather|reduce-?scatter|collective', re.IGNORECASE)


def trace(call: Callable[[], Any], folder: pathlib.Path) -> dict[str, float]:
  """Runs a call some times under the profiler.

  Args:
    call: Returns what it waits for.
    folder: Where the trace goes; TensorBoard, XProf and Perfetto show it.

  Returns:
    Seconds a call by the operation of XLA, the costliest first. Operations that run side by side
    count each for itself.
  """
  jax.block_until_ready(call())
  with jax.profiler.trace(str(folder)):
    for _ in range(_STEPS):
      jax.block_until_ready(call())
  newest = max(folder.rglob('*.xplane.pb'), key=lambda path: path.stat().st_mtime)
  seconds: collections.Counter[str] = collections.Counter()
  for plane in jax.profiler.ProfileData.from_file(str(newest)).planes:
    for line in plane.lines:
      for event in line.events:
        stats = dict(event.stats)
        if 'hlo_op' in stats:
          seconds[str(stats['hlo_op'])] += event.duration_ns / 1e9 / _STEPS
  return dict(seconds.most_common())


def collectives(seconds: dict[str, float]) -> float:
  """The share of the operations' time that devices spend on telling each other."""
  told = sum(value for name, value in seconds.items() if _COLLECTIVE.search(name))
  return told / max(sum(seconds.values()), 1e-12)


def table(seconds: dict[str, float]) -> list[list[str]]:
  """The costliest operations, the header first."""
  total = max(sum(seconds.values()), 1e-12)
  rows = [['operation', 'ms', 'share']]
  for name, value in list(seconds.items())[:MOST]:
    rows.append([name, f'{1e3 * value:.2f}', f'{100 * value / total:.1f} %'])
  return rows
