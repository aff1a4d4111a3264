"""The training loop: one for both stages, and what it survives."""

import contextlib
import functools
import logging
import signal
import threading
from collections.abc import Callable, Iterator

import jax
import numpy as np

from fmx.checkpoint import Checkpoints
from fmx.data import pipeline
from fmx.data.transforms import Augmentation
from fmx.evaluation import confusion, pictures, run
from fmx.summary import Progress, Summary
from fmx.train.stages import STAGES, TITLES, Stage, initial_variables
from fmx.train.step import (
  AXIS,
  StepMetrics,
  TrainState,
  Variables,
  create_state,
  eval_step,
  parallel,
  parallel_eval,
  replicate,
  train_step,
)
from tfds_300vw.pictures import sheet

PICTURED_WINDOWS = 4
_logger = logging.getLogger(__name__)


class Stopped(Exception):
  """The run was asked to stop; everything up to now is saved."""


class Diverged(ValueError):
  """The loss is no longer a number."""


def train_stage(stage: Stage, fcn: Stage | None) -> None:
  """Trains one stage to its end, from its newest checkpoint if there is one.

  After each epoch the state is saved with the validation set's mIoU.

  Args:
    stage: The stage.
    fcn: The trained FCN, for the ConvLSTM-FCN.

  Raises:
    Stopped: SIGTERM or Ctrl-C came; the state is saved.
    Diverged: the loss is NaN or infinite.
    ValueError: the configuration does not fit the data or the devices.
    OSError: a checkpoint cannot be read or written.
  """
  options, data = stage.options, stage.config.data
  windows = pipeline.Windows(stage.dataset, 'train', stage.clip_length, keep_rest=False)
  epoch_steps = pipeline.steps_per_epoch(len(windows), options.batch_size)
  total_steps = options.epochs * epoch_steps
  checkpoints = stage.checkpoints()
  state, step_fn = _start(stage, fcn, checkpoints, total_steps)
  first = int(state.step)
  if first >= total_steps:
    _logger.info('%s: already trained, %d steps.', TITLES[stage.name], first)
    return
  batches = pipeline.train_batches(
    stage.dataset,
    image_size=data.image_size,
    clip_length=stage.clip_length,
    batch_size=options.batch_size,
    num_devices=jax.local_device_count(),
    process_index=jax.process_index(),
    process_count=jax.process_count(),
    seed=stage.config.seed,
    augmentation=Augmentation(**data.augmentation) if data.augmentation else None,
    workers=data.workers,
    start_step=first,
  )
  progress = Progress(total_steps, name=TITLES[stage.name])
  epoch = EpochMetrics(stage, windows)
  logits_of = eval_fn(stage)
  with (
    contextlib.closing(batches),
    Summary(stage.folder, from_step=first, enabled=jax.process_index() == 0) as summary,
    stop_requests() as stop,
  ):
    for step in range(first + 1, total_steps + 1):
      batch = next(batches)
      indices = batch.pop('window')
      state, metrics = step_fn(state, batch)
      loss = epoch.add(step, metrics, indices)  # Waits for the step before, not for this one.
      progress.update(step, options.batch_size * stage.clip_length, loss)
      if loss is not None and step % stage.config.log_every == 0:
        summary.scalars(step - 1, {'train/step_loss': loss})
      if step % epoch_steps == 0 or stop.is_set():
        epoch.settle()
      if step % epoch_steps == 0:
        go_on = progress.pause()
        results = validate(stage, logits_of, state, summary, step)
        scalars = epoch.scalars() | {'epoch': step // epoch_steps} | _validation_scalars(results)
        summary.scalars(step, scalars)
        checkpoints.save(step, state, {'miou': results['miou'] or 0.0})
        _report(stage, step // epoch_steps, scalars)
        go_on()
      elif stop.is_set():
        checkpoints.save(step, state)
      if stop.is_set() and step < total_steps:
        progress.close()
        raise Stopped(f'Stopped and saved at step {step}; the same command goes on from there.')
  progress.close()


def eval_windows(
  stage: Stage,
  logits_of: Callable,
  variables: Variables,
  split: str,
  *,
  batch_size: int,
  keep_frames: bool = False,
) -> Iterator[run.WindowLogits]:
  """Yields every window of a split with its logits.

  Args:
    stage: Of the model.
    logits_of: From `eval_fn`.
    variables: Of the model.
    split: 'train', 'validation' or 'test'.
    batch_size: Windows at once, over all devices.
    keep_frames: Whether the windows keep their frames.
  """
  data = stage.config.data
  batches = pipeline.eval_batches(
    stage.dataset,
    split,
    image_size=data.image_size,
    clip_length=data.clip_length,
    batch_size=batch_size,
    num_devices=jax.local_device_count(),
    process_index=jax.process_index(),
    process_count=jax.process_count(),
    keep_frames=keep_frames,
    workers=data.workers,
  )
  return run.window_logits(lambda video: logits_of(variables, {'video': video}), batches)


def eval_fn(stage: Stage) -> Callable[[Variables, dict], jax.Array]:
  """The stage's compiled `eval_step` on all devices; make it once, each one compiles anew."""
  return parallel_eval(functools.partial(eval_step, model=stage.model()))


def validate(
  stage: Stage, logits_of: Callable, state: TrainState, summary: Summary, step: int
) -> dict:
  """Evaluates on the validation split, and draws a few of its windows."""
  windows = eval_windows(
    stage,
    logits_of,
    Variables(state.params, state.batch_stats),
    'validation',
    batch_size=stage.config.evaluation.batch_size,
    keep_frames=True,
  )
  total = len(
    pipeline.Windows(stage.dataset, 'validation', stage.config.data.clip_length, keep_rest=True)
  )
  every = max(total // PICTURED_WINDOWS, 1)
  scores, rows = [], []
  for index, (window, logits) in enumerate(windows):
    scores.extend(run.score_window(window, logits))
    if index % every == 0 and len(rows) < 3 * PICTURED_WINDOWS:
      rows.extend(pictures.window_rows(window, logits, stage.dataset.region))
  if rows:
    summary.image(step, 'validation', sheet(rows, stage.dataset.region))
  return run.summarize(scores, stage.dataset.class_names)


class EpochMetrics:
  """Collects the steps of an epoch; looks at each only when the next is under way."""

  def __init__(self, stage: Stage, windows: pipeline.Windows):
    self._stage, self._windows = stage, windows
    self._pending: tuple[int, StepMetrics, np.ndarray] | None = None
    self._losses: list[float] = []
    self._counts = np.zeros((1, 1), np.int64)

  def add(self, step: int, metrics: StepMetrics, windows: np.ndarray) -> float | None:
    """Takes a step that may still be running.

    Args:
      step: From 1.
      metrics: Of the step.
      windows: Indices of its windows in this process.

    Returns:
      The loss of the step before, None at the beginning.

    Raises:
      Diverged: the step before had a loss or a gradient that is no number.
    """
    loss = self.settle()
    self._pending = step, metrics, windows
    return loss

  def settle(self) -> float | None:
    """Waits for the last step and checks it; returns its loss, None if there is none."""
    if self._pending is None:
      return None
    (step, metrics, windows), self._pending = self._pending, None
    loss = float(metrics.loss)
    if not metrics.finite:
      clips = ', '.join(self._windows.describe(int(index)) for index in windows.ravel())
      name = self._stage.name
      raise Diverged(
        f'{TITLES[name]}, step {step}: the loss is {loss} and the norm of its gradient '
        f'{float(metrics.grad_norm)}, on {clips}. The last checkpoint is from before. Try a lower '
        f'--config.{name}.learning_rate, --config.model.dtype=float32, or look at these clips.'
      )
    self._losses.append(loss)
    self._counts = self._counts + np.asarray(metrics.counts, np.int64)
    return loss

  def scalars(self) -> dict[str, float]:
    """Means over the epoch, from its settled steps; begins the next epoch."""
    found = {
      'train/loss': float(np.mean(self._losses)),
      'train/miou': float(confusion.mean_iou(self._counts)),
    }
    self._losses, self._counts = [], np.zeros((1, 1), np.int64)
    return found


@contextlib.contextmanager
def stop_requests() -> Iterator[threading.Event]:
  """Gives an event that SIGTERM and Ctrl-C set; a second Ctrl-C interrupts at once."""
  stop = threading.Event()
  if threading.current_thread() is not threading.main_thread():
    yield stop  # Only the main thread gets signals.
    return

  def request(number, _frame):
    stop.set()
    signal.signal(number, previous[number])

  previous = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
  for number in previous:
    signal.signal(number, request)
  try:
    yield stop
  finally:
    for number, handler in previous.items():
      signal.signal(number, handler)


def _start(
  stage: Stage, fcn: Stage | None, checkpoints: Checkpoints, total_steps: int
) -> tuple[TrainState, Callable]:
  """The state to go on from, and the step function on all devices."""
  restored = checkpoints.restore_latest(stage.state_like(total_steps))
  if restored is None:
    variables, origin = initial_variables(stage, fcn)
    _logger.info('%s: %s', TITLES[stage.name], origin)
  else:
    variables = {'params': restored[1].params}
    _logger.info('%s: going on from step %d.', TITLES[stage.name], restored[0])
  tx, trainable = stage.optimizer(variables['params'], total_steps)
  if restored is None:
    rng = jax.random.fold_in(jax.random.key(stage.config.seed), STAGES.index(stage.name))
    state = create_state(variables, tx, rng)
  else:
    state = replicate(restored[1])
  step_fn = functools.partial(
    train_step,
    model=stage.model(),
    loss=stage.loss(),
    tx=tx,
    use_batch_stats=stage.options.batch_statistics,
    trainable=trainable,
    axis_name=AXIS,
  )
  return state, parallel(step_fn)


def _validation_scalars(results: dict) -> dict[str, float]:
  scalars = {f'validation/iou_{name}': value for name, value in results['iou'].items()}
  scalars['validation/miou'] = results['miou']
  return {name: float('nan') if value is None else value for name, value in scalars.items()}


def _report(stage: Stage, epoch: int, scalars: dict[str, float]) -> None:
  _logger.info(
    '%s, epoch %d of %d: loss %.4f, training mIoU %.2f %%, validation mIoU %.2f %%',
    TITLES[stage.name],
    epoch,
    stage.options.epochs,
    scalars['train/loss'],
    100 * scalars['train/miou'],
    100 * scalars['validation/miou'],
  )
