"""The training of the finder: its loop, and what it survives."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fmx import weights
from fmx.checkpoint import Checkpoints
from fmx.data.finder_pictures import Painter, batches
from fmx.models.finder import FinderNetwork
from fmx.stopping import Stopped, stop_requests
from fmx.summary import Progress, Summary
from fmx.train import finder_step
from fmx.train.step import AXIS, TrainState, create_state, parallel, replicate

CHECKPOINTS = 'checkpoints'
_logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
  """How a finder is trained.

  Attributes:
    network: Options of `FinderNetwork`: widths, blocks and features.
    steps: In all.
    batch_size: Pictures of a step, over all devices.
    learning_rate: The highest.
    warmup: Steps until then.
    weight_decay: Of the kernels.
    average: Share of the averaged parameters that a step keeps.
    save_every: Steps from one checkpoint to the next.
    log_every: Steps from one line of numbers to the next.
    workers: Processes that draw pictures; 0 for threads.
    seed: Of everything random.
    begin: The variables to begin with; None for random ones.
  """

  network: dict[str, Any]
  steps: int
  batch_size: int
  learning_rate: float
  warmup: int
  weight_decay: float
  average: float
  save_every: int
  log_every: int
  workers: int
  seed: int
  begin: Mapping[str, Any] | None = None

  def __post_init__(self) -> None:
    for name in ('steps', 'batch_size', 'learning_rate', 'save_every', 'log_every'):
      if not getattr(self, name) > 0:
        raise ValueError(f'finder.{name} is {getattr(self, name)}; it must be above 0.')


Validate = Callable[[weights.FinderModel], dict[str, float]]


def train(
  options: Options, painter: Painter, folder: pathlib.Path, *, validate: Validate, trained: dict
) -> weights.FinderModel:
  """Trains to the end, from the newest checkpoint if there is one.

  With each checkpoint the weights so far are put into the folder `weights` beside `folder`.

  Args:
    options: Of the training.
    painter: Draws the pictures.
    folder: Of the checkpoints and the summary.
    validate: Says how good a model is: numbers by name, among them 'found'.
    trained: What the weights say of themselves.

  Returns:
    The model.

  Raises:
    Stopped: SIGTERM or Ctrl-C came; the state is saved.
    ValueError: the loss is no number, or the batch does not fit the devices.
    OSError: a checkpoint cannot be read or written.
  """
  checkpoints = Checkpoints(folder / CHECKPOINTS, best='found')
  state, step_fn = _start(options, checkpoints)
  first = int(state.step)
  leader = jax.process_index() == 0
  drawn = batches(
    painter,
    batch_size=options.batch_size,
    num_devices=jax.local_device_count(),
    seed=options.seed,
    steps=options.steps,
    start_step=first,
    workers=options.workers,
  )
  with (
    contextlib.closing(Progress(options.steps, name='finder', enabled=leader)) as progress,
    contextlib.closing(drawn),
    Summary(folder, from_step=first, enabled=leader) as summary,
    stop_requests() as asked_to_stop,
  ):
    recent: list[dict[str, jax.Array]] = []
    for step in range(first + 1, options.steps + 1):
      state, metrics = step_fn(state, next(drawn))
      recent.append(metrics)
      loss = float(recent[-2]['loss']) if len(recent) > 1 else None  # Waits for the one before.
      progress.update(step, options.batch_size, loss)
      stop = asked_to_stop()
      is_due = step % options.save_every == 0 or step == options.steps or stop
      if step % options.log_every == 0 or is_due:
        summary.scalars(step, _means(recent, step))
        recent = []
      if is_due:
        go_on = progress.pause()
        model = _model(options, state, trained)
        results = validate(model)
        summary.scalars(step, {f'validation/{name}': value for name, value in results.items()})
        _logger.info('Finder, step %d: %s', step, results)
        checkpoints.save(step, state, results)
        if leader:
          weights.save(folder.parent / weights.FOLDER, {weights.FINDER: model})
        if stop:
          message = f'Finder: stopped and saved at step {step}; the same command goes on.'
          raise Stopped(message, status=128 + stop)
        go_on()
  return _model(options, state, trained)


def _start(options: Options, checkpoints: Checkpoints) -> tuple[TrainState, Callable]:
  """The state to go on from, and the step function on all devices."""
  network = FinderNetwork(**options.network, axis_name=AXIS)
  tx = finder_step.optimizer(
    learning_rate=options.learning_rate,
    warmup=options.warmup,
    steps=options.steps,
    weight_decay=options.weight_decay,
    average=options.average,
  )
  step_fn = parallel(
    functools.partial(finder_step.train_step, network=network, tx=tx, axis_name=AXIS)
  )
  fresh = functools.partial(_fresh, options)
  like = jax.eval_shape(lambda: create_state(fresh(), tx, jax.random.key(0)))
  restored = checkpoints.restore_latest(like)
  if restored is not None:
    _logger.info('Finder: going on from step %d.', restored[0])
    return replicate(restored[1]), step_fn
  begun = options.begin or jax.jit(fresh)()
  return create_state(begun, tx, jax.random.key(options.seed)), step_fn


def _fresh(options: Options) -> Mapping[str, Any]:
  """Random variables, from the seed alone."""
  frames = jnp.zeros((1, 64, 64, 3), jnp.uint8)
  return FinderNetwork(**options.network).init(jax.random.key(options.seed, impl='rbg'), frames)


def _model(options: Options, state: TrainState, trained: dict) -> weights.FinderModel:
  """The model with the averaged parameters."""
  variables = {
    'params': finder_step.averaged(state.opt_state),
    'batch_stats': state.batch_stats,
  }
  return weights.FinderModel(
    network=FinderNetwork(**options.network),
    variables=jax.tree.map(np.asarray, variables),
    options=options.network,
    trained=trained | {'step': int(state.step), 'steps': options.steps},
  )


def _means(recent: list[dict[str, jax.Array]], step: int) -> dict[str, float]:
  """The means over some steps.

  Raises:
    ValueError: one of them is no number.
  """
  means = {
    f'train/{name}': float(np.mean([np.asarray(each[name]) for each in recent]))
    for name in recent[0]
  }
  if not np.isfinite(list(means.values())).all():
    raise ValueError(
      f'The finder diverged before step {step}: {means}. Start again with a lower '
      'finder.learning_rate.'
    )
  return means
