"""What is timed: training and prediction of each stage, and what feeds the training."""

from __future__ import annotations

import dataclasses
import pathlib
import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from fmx.benchmark.meter import Timing, time_calls, time_source
from fmx.data.prepared import Dataset
from fmx.train.stages import TITLES, Stage
from fmx.train.step import Variables, create_state
from tfds_300vw import face_mask

INPUT_SECONDS = 3.0  # To draw from an input for at least.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
  """One measurement.

  Attributes:
    what: For people.
    frames: Of a step, over all devices.
    first: Seconds to compile, or from the start of an input to its first batch.
    seconds: Of a step, the median.
    spread: Its quartiles.
    flops: Operations of a step on one device, as XLA counts them; None where it does not.
    moved: Bytes that a step, compiled, reads and writes on one device, likewise.
    peak: Bytes in use at most until then.
  """

  what: str
  frames: int
  first: float
  seconds: float
  spread: tuple[float, float]
  flops: float | None = None
  moved: float | None = None
  peak: int = 0

  @property
  def rate(self) -> float:
    """Frames a second."""
    return self.frames / self.seconds


def of_stage(
  config: ConfigDict, name: str, devices: Sequence[jax.Device] | None = None
) -> Iterator[tuple[Row, Callable[[], Any]]]:
  """A training step and a prediction of one stage on random frames.

  Args:
    config: As `configs/benchmark.py`.
    name: A key of TITLES.
    devices: To use, or None for all of this process.

  Yields:
    A row, and the call that was timed.

  Raises:
    ValueError: the batch does not divide over the devices.
  """
  stage = Stage(name, config, no_data(), pathlib.Path())
  batch = random_batch(config, stage.clip_length, len(devices or jax.local_devices()))
  variables = stage.fresh_variables()
  tx, step_fn = stage.step_fn(total_steps=1000, devices=devices)
  state = create_state(variables, tx, jax.random.key(0), devices=devices)
  weights = Variables(variables['params'], variables['batch_stats'])
  frames, what = batch['labels'][..., 0, 0].size, f'{TITLES[name]}, {config.model.dtype}'
  steps = config.benchmark.steps

  compiled = _Compiled(step_fn, state, batch)

  def train() -> Any:
    nonlocal state
    state, metrics = compiled.call(state, batch)
    return metrics.loss

  yield compiled.row(f'{what}: training', frames, time_calls(train, steps)), train
  video = {'video': batch['video']}
  predicting = _Compiled(stage.logits_of, weights, video)

  def predict() -> Any:
    return predicting.call(weights, video)

  yield predicting.row(f'{what}: prediction', frames, time_calls(predict, steps)), predict


def of_input(config: ConfigDict, dataset: Dataset) -> Iterator[Row]:
  """The training input of each stage, without any network."""
  for name in config.stages:
    stage, batch_size = Stage(name, config, dataset, pathlib.Path()), config[name].batch_size
    frames = batch_size * stage.clip_length
    drawn: list[Any] = []

    def start(stage: Stage = stage, drawn: list = drawn) -> Iterator[Any]:
      drawn.append(stage.batches(0))
      return drawn[-1]

    try:
      first, seconds = time_source(
        start, steps=max(config.benchmark.steps, 8), least_seconds=INPUT_SECONDS
      )
    finally:
      for source in drawn:
        source.close()
    yield Row(
      what=f'input of the {TITLES[name]}, {config.data.workers} workers',
      frames=frames,
      first=first,
      seconds=seconds,
      spread=(seconds, seconds),
      peak=peak_memory(),
    )


def random_batch(config: ConfigDict, clip_length: int, devices: int) -> dict[str, np.ndarray]:
  """Noise in the shape of a batch for so many devices.

  Raises:
    ValueError: the batch does not divide over the devices.
  """
  batch_size = config.benchmark.batch_size
  if batch_size % devices:
    raise ValueError(
      f'benchmark.batch_size is {batch_size}, which does not divide over {devices} devices.'
    )
  rng, size = np.random.default_rng(0), config.data.image_size
  shape = (devices, batch_size // devices, clip_length, size, size)
  return {
    'video': rng.integers(0, 256, (*shape, 3), np.uint8),
    'labels': rng.integers(0, 5, shape, np.uint8),
  }


def peak_memory() -> int:
  """The most bytes in use so far: of the first device where it tells, else of this process."""
  stats = jax.devices()[0].memory_stats()
  if stats and 'peak_bytes_in_use' in stats:
    return stats['peak_bytes_in_use']
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class _Compiled:
  """A mapped function compiled for its arguments, and what that costs."""

  def __init__(self, mapped: Any, *args: Any):
    """Compiles it."""
    start = time.perf_counter()
    lowered = mapped.lower(*args)
    self.call = lowered.compile()
    self._seconds = time.perf_counter() - start
    # A GPU's compiled convolutions are calls of a library, whose operations XLA does not count.
    self._flops = _costs(lowered).get('flops')
    self._moved = _costs(self.call).get('bytes accessed')

  def row(self, what: str, frames: int, timing: Timing) -> Row:
    """What was measured of it."""
    return Row(
      what=what,
      frames=frames,
      first=self._seconds,
      seconds=timing.median,
      spread=timing.spread,
      flops=self._flops,
      moved=self._moved,
      peak=peak_memory(),
    )


def _costs(program: Any) -> Mapping[str, float]:
  costs = program.cost_analysis() or {}
  return costs[0] if isinstance(costs, list) else costs


def no_data() -> Dataset:
  """Stands for a dataset where only its classes matter."""
  return Dataset(
    name='',
    directory=pathlib.Path(),
    region='primary',
    class_names=face_mask.class_names('primary'),
    clip_lengths={},
  )
