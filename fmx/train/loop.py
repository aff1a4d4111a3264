"""The training loop: one for both stages, and what it survives."""

import contextlib
import logging
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import jax

from fmx.checkpoint import Checkpoints
from fmx.data import pipeline
from fmx.data.eval_batches import eval_batches
from fmx.evaluation import pictures, run
from fmx.stopping import Stopped, stop_requests
from fmx.summary import Progress, Summary
from fmx.train.epoch import EpochMetrics
from fmx.train.handover import initial_variables
from fmx.train.stages import STAGES, Stage
from fmx.train.step import TrainState, Variables, create_state, replicate
from tfds_300vw.pictures import sheet

PICTURED_WINDOWS = 4
_logger = logging.getLogger(__name__)


def train_stage(stage: Stage, fcn: Stage | pathlib.Path | None) -> None:
  """Trains one stage to its end, from its newest checkpoint if there is one.

  After each epoch the state is saved with the validation set's mIoU.

  Args:
    stage: The stage.
    fcn: Where the trained FCN is, for the ConvLSTM-FCN; see `initial_variables`.

  Raises:
    Stopped: SIGTERM or Ctrl-C came; the state is saved.
    Diverged: the loss is NaN or infinite.
    ValueError: the configuration does not fit the data or the devices.
    OSError: a checkpoint cannot be read or written.
  """
  options = stage.options
  windows = stage.train_windows
  epoch_steps = pipeline.steps_per_epoch(len(windows), options.batch_size)
  total_steps = options.epochs * epoch_steps
  checkpoints = stage.checkpoints()
  state, step_fn = _start(stage, fcn, checkpoints, total_steps)
  first = int(state.step)
  if first >= total_steps:
    _logger.info('%s: already trained, %d steps.', stage.title, first)
    return
  leader = jax.process_index() == 0
  with (
    contextlib.closing(Progress(total_steps, name=stage.title, enabled=leader)) as progress,
    contextlib.closing(stage.batches(first)) as batches,
    Summary(stage.folder, from_step=first, enabled=leader) as summary,
    stop_requests() as asked_to_stop,
  ):
    epoch = EpochMetrics(stage, windows, summary, checkpoints.metrics(first))
    for step in range(first + 1, total_steps + 1):
      batch = next(batches)
      indices = batch.pop('window')
      state, metrics = step_fn(state, batch)
      epoch.add(step, metrics, indices)  # Waits for the step before, not for this one.
      progress.update(step, options.batch_size * stage.clip_length, epoch.loss)
      end_of_epoch, stop = step % epoch_steps == 0, asked_to_stop()
      if not end_of_epoch and not stop:
        continue
      epoch.settle()  # What is saved is sound.
      go_on = progress.pause()
      if end_of_epoch:
        results = validate(stage, state, summary, step)
        scalars = epoch.scalars() | {'epoch': step // epoch_steps} | _validation_scalars(results)
        summary.scalars(step, scalars)
        checkpoints.save(step, state, {'miou': results['miou'] or 0.0})
        _report(stage, step // epoch_steps, scalars)
        stop = asked_to_stop()
      else:
        checkpoints.save(step, state, epoch.unfinished())
      if stop:
        message = f'{stage.title}: stopped and saved at step {step}; the same command goes on.'
        raise Stopped(message, status=128 + stop)
      go_on()


def validate(stage: Stage, state: TrainState, summary: Summary, step: int) -> dict[str, Any]:
  """Evaluates on the validation split, and draws a few of its windows."""
  windows = eval_windows(
    stage,
    state.variables,
    'validation',
    batch_size=stage.config.evaluation.batch_size,
    keep_frames=True,
  )
  number = len(stage.windows('validation'))
  every = -(-number // (PICTURED_WINDOWS * jax.process_count()))
  scores, rows = [], []
  for index, (window, logits) in enumerate(windows):
    scores.extend(run.score_window(window, logits))
    if index % every == 0:
      rows.extend(pictures.window_rows(window, logits, stage.region))
  if rows:
    summary.image(step, 'validation', sheet(rows, stage.region))
  return run.summarize(scores, stage.class_names)


def eval_windows(
  stage: Stage,
  variables: Variables,
  split: str,
  *,
  batch_size: int,
  keep_frames: bool = False,
) -> Iterator[run.WindowLogits]:
  """Yields every window of a split with its logits.

  Args:
    stage: Of the model.
    variables: Of the model.
    split: 'train', 'validation' or 'test'.
    batch_size: Windows at once, over all devices.
    keep_frames: Whether the windows keep their frames.
  """
  data = stage.config.data
  batches = eval_batches(
    stage.windows(split),
    image_size=data.image_size,
    clip_length=data.clip_length,
    batch_size=batch_size,
    num_devices=jax.local_device_count(),
    process_index=jax.process_index(),
    process_count=jax.process_count(),
    keep_frames=keep_frames,
    workers=0,  # Threads: worker processes take longer to start than a validation to read.
  )
  return run.window_logits(lambda video: stage.logits_of(variables, {'video': video}), batches)


def _start(
  stage: Stage, fcn: Stage | pathlib.Path | None, checkpoints: Checkpoints, total_steps: int
) -> tuple[TrainState, Callable]:
  """The state to go on from, and the step function on all devices."""
  tx, step_fn = stage.step_fn(total_steps)
  restored = checkpoints.restore_latest(stage.state_like(total_steps))
  if restored is not None:
    _logger.info('%s: going on from step %d.', stage.title, restored[0])
    return replicate(restored[1]), step_fn
  variables, origin = initial_variables(stage, fcn)
  _logger.info('%s: %s', stage.title, origin)
  rng = jax.random.fold_in(jax.random.key(stage.config.seed), STAGES.index(stage.name))
  averaged = stage.options.average > 0
  return create_state(variables, tx, rng, averaged=averaged), step_fn


def _validation_scalars(results: dict) -> dict[str, float]:
  scalars = {f'validation/iou_{name}': value for name, value in results['iou'].items()}
  scalars['validation/miou'] = results['miou']
  return {name: float('nan') if value is None else value for name, value in scalars.items()}


def _report(stage: Stage, epoch: int, scalars: dict[str, float]) -> None:
  _logger.info(
    '%s, epoch %d of %d: loss %.4f, training mIoU %.2f %%, validation mIoU %.2f %%',
    stage.title,
    epoch,
    stage.options.epochs,
    scalars['train/loss'],
    100 * scalars['train/miou'],
    100 * scalars['validation/miou'],
  )
