"""How training gets faster with more devices: the same work for each of 1, 2, 4 … of them."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import multiprocessing
import os
import pathlib
import tempfile
from collections.abc import Sequence
from typing import Any

from ml_collections import ConfigDict

FLAG = '--xla_force_host_platform_device_count'


@dataclasses.dataclass(frozen=True)
class Scaled:
  """A training step on some devices.

  Attributes:
    devices: Their number.
    rate: Frames a second, all together.
    collectives: Share of the operations' time in which devices tell each other.
    virtual: Whether they share the cores of one CPU.
  """

  devices: int
  rate: float
  collectives: float
  virtual: bool


def measure(config: ConfigDict, counts: Sequence[int]) -> list[Scaled]:
  """Times the first stage's training step, `benchmark.batch_size` clips a device.

  Each number of devices has a process of its own: how many there are is settled when XLA starts.
  Where there is no other device than a CPU, virtual ones share its cores, so that no gain is to be
  expected: what shows is what the telling costs.

  Args:
    config: As `configs/benchmark.py`.
    counts: Numbers of devices.

  Raises:
    ValueError: a number is below 1, or above that of the GPUs or TPUs.
  """
  context = multiprocessing.get_context('spawn')
  found = []
  for count in counts:
    if count < 1:
      raise ValueError(f'benchmark.devices has {count}; it must be 1 or more.')
    before = os.environ.get('XLA_FLAGS')
    os.environ['XLA_FLAGS'] = f'{before or ""} {FLAG}={count}'.strip()
    try:
      with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as process:
        found.append(process.submit(_measure, config.to_dict(), count).result())
    finally:
      if before is None:
        del os.environ['XLA_FLAGS']
      else:
        os.environ['XLA_FLAGS'] = before
  return found


def table(scaled: Sequence[Scaled]) -> list[list[str]]:
  """For people, the header first."""
  rows = [['devices', 'frames/s', 'of so many times one', 'in collectives']]
  for row in scaled:
    gain = row.rate / scaled[0].rate / (row.devices / scaled[0].devices)
    kind = ', virtual' if row.virtual else ''
    rows.append(
      [f'{row.devices}{kind}', f'{row.rate:.2f}', f'{100 * gain:.0f} %',
       f'{100 * row.collectives:.1f} %']
    )  # fmt: skip
  return rows


def _measure(options: dict[str, Any], count: int) -> Scaled:
  """In a process of its own."""
  import jax

  from fmx.benchmark import rows, tracing

  config = ConfigDict(options)
  devices = jax.devices()
  if len(devices) < count:
    raise ValueError(f'benchmark.devices has {count}, and there are {len(devices)}.')
  config.benchmark.batch_size *= count
  row, call = next(iter(rows.of_stage(config, config.stages[0], devices[:count])))
  with tempfile.TemporaryDirectory() as folder:
    seconds = tracing.trace(call, pathlib.Path(folder))
  return Scaled(count, row.rate, tracing.collectives(seconds), devices[0].platform == 'cpu')
