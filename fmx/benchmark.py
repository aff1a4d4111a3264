"""Times training, prediction and the input pipeline, as a command that prints a table."""

import functools
import json
import pathlib
import resource
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from fmx.data import pipeline
from fmx.evaluation import tables
from fmx.train.stages import STAGES, TITLES, Stage
from fmx.train.step import Variables, create_state
from tfds_300vw import face_mask


def run(config: ConfigDict, folder: pathlib.Path) -> None:
  """Measures, prints the table and writes it to the folder as `benchmark.json` and `.md`.

  Args:
    config: As `configs/benchmark.py`.
    folder: Created if it is not there.

  Raises:
    ValueError: the configuration does not fit the devices.
  """
  rows = []
  for name in config.stages:
    rows += stage_rows(config, name)
  try:
    dataset = pipeline.open_dataset(config.data.dataset, config.data.data_dir)
  except FileNotFoundError as error:
    print(f'The input pipeline is not timed. {error}')
  else:
    rows += pipeline_rows(config, dataset)
  device = jax.devices()[0].device_kind
  print(f'{len(jax.devices())} x {device}, {config.data.image_size} px, jax {jax.__version__}')
  header = ['what', 'batch', 'compile s', 'ms/step', 'frames/s', 'peak GB']
  table = [header, *([row[name] for name in header] for row in rows)]
  print(tables.as_text(table))
  folder.mkdir(parents=True, exist_ok=True)
  (folder / 'benchmark.json').write_text(json.dumps(rows, indent=2) + '\n')
  (folder / 'benchmark.md').write_text(tables.as_markdown(table))


def stage_rows(config: ConfigDict, name: str) -> list[dict[str, str]]:
  """Times a training step and a prediction of one stage on random frames."""
  stage = Stage(name, config, _no_data(), pathlib.Path())
  batch = random_batch(config, stage.clip_length)
  variables = stage.fresh_variables()
  tx, step_fn = stage.step_fn(total_steps=1000)
  state = create_state(variables, tx, jax.random.key(0))
  weights = Variables(variables['params'], variables['batch_stats'])

  def train() -> Any:
    nonlocal state
    state, metrics = step_fn(state, batch)
    return metrics.loss

  frames = batch['labels'][..., 0, 0].size
  what = f'{TITLES[name]}, {config.model.dtype}'
  size = f'{config.benchmark.batch_size} x {stage.clip_length}'
  return [
    measure(f'{what}: training', size, train, frames, config.benchmark.steps),
    measure(
      f'{what}: prediction',
      size,
      lambda: stage.logits_of(weights, {'video': batch['video']}),
      frames,
      config.benchmark.steps,
    ),
  ]


def pipeline_rows(config: ConfigDict, dataset: pipeline.Dataset) -> list[dict[str, str]]:
  """Times the training input of both stages, without any network."""
  rows = []
  for name in STAGES:
    stage, batch_size = Stage(name, config, dataset, pathlib.Path()), config[name].batch_size
    batches = pipeline.train_batches(
      dataset,
      image_size=config.data.image_size,
      clip_length=stage.clip_length,
      batch_size=batch_size,
      num_devices=jax.local_device_count(),
      seed=config.seed,
      workers=config.data.workers,
    )
    size = f'{batch_size} x {stage.clip_length}'
    frames = batch_size * stage.clip_length
    what = f'input of the {TITLES[name]}, {config.data.workers} workers'
    steps = max(config.benchmark.steps, 400 // frames)
    rows.append(measure(what, size, functools.partial(next, batches), frames, steps))
    batches.close()
  return rows


def measure(
  what: str, size: str, call: Callable[[], Any], frames: int, steps: int
) -> dict[str, str]:
  """One row of the table: the first call compiles, the median of the others counts."""
  start = time.perf_counter()
  jax.block_until_ready(call())
  first = time.perf_counter() - start
  times = []
  for _ in range(steps):
    start = time.perf_counter()
    jax.block_until_ready(call())
    times.append(time.perf_counter() - start)
  seconds = float(np.median(times))
  return {
    'what': what,
    'batch': size,
    'compile s': f'{max(first - seconds, 0):.1f}',
    'ms/step': f'{1000 * seconds:.1f}',
    'frames/s': f'{frames / seconds:.2f}',
    'peak GB': f'{peak_memory() / 1e9:.2f}',
  }


def random_batch(config: ConfigDict, clip_length: int) -> dict[str, np.ndarray]:
  """Noise in the shape of a batch.

  Raises:
    ValueError: the batch does not divide over the devices.
  """
  devices, batch_size = jax.local_device_count(), config.benchmark.batch_size
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


def _no_data() -> pipeline.Dataset:
  """Stands for a dataset where only its classes matter."""
  return pipeline.Dataset(
    name='',
    directory=pathlib.Path(),
    region='primary',
    class_names=face_mask.class_names('primary'),
    clip_lengths={},
  )
