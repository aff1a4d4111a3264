"""What the steps of an epoch tell: their losses and counts, and whether they are numbers at all."""

from collections.abc import Mapping

import jax
import numpy as np

from fmx.data.prepared import Windows
from fmx.data.views import FrameWindows
from fmx.evaluation import confusion
from fmx.summary import Summary
from fmx.train.stages import Stage
from fmx.train.step import StepMetrics

_STEPS, _LOSS, _COUNT = 'unfinished/steps', 'unfinished/loss', 'unfinished/count_{}'


class Diverged(ValueError):
  """The loss is no longer a number."""


class EpochMetrics:
  """Collects the steps of an epoch; looks at each only when the next is under way.

  Attributes:
    loss: Of the last step that was looked at, None before the first.
  """

  def __init__(
    self,
    stage: Stage,
    windows: Windows | FrameWindows,
    summary: Summary,
    before: Mapping[str, float],
  ):
    """Begins an epoch or goes on with one.

    Args:
      stage: That is trained.
      windows: On which.
      summary: Takes the loss of single steps.
      before: What `unfinished` gave when the epoch was interrupted; without it, it begins.
    """
    self.loss: float | None = None
    self._stage, self._windows, self._summary = stage, windows, summary
    self._pending: tuple[int, StepMetrics, np.ndarray] | None = None
    classes = len(stage.class_names)
    counts = [before.get(_COUNT.format(place), 0) for place in range(classes**2)]
    self._counts = np.array(counts, np.int64).reshape(classes, classes)
    self._steps, self._loss = int(before.get(_STEPS, 0)), before.get(_LOSS, 0.0)

  def add(self, step: int, metrics: StepMetrics, windows: np.ndarray) -> None:
    """Takes a step that may still be running, and settles the one before.

    Args:
      step: From 1.
      metrics: Of the step.
      windows: Indices of its windows in this process.

    Raises:
      Diverged: as `settle`, of the step before.
    """
    self.settle()
    self._pending = step, metrics, windows

  def settle(self) -> None:
    """Waits for the last step, checks it and writes its loss to the summary if its turn has come.

    Raises:
      Diverged: the step had a loss, a gradient or an update that is no number.
    """
    if self._pending is None:
      return
    (step, metrics, windows), self._pending = self._pending, None
    if not metrics.finite:
      raise Diverged(self._diverged(step, metrics, windows))
    self.loss = float(metrics.loss)
    self._steps += 1
    self._loss += self.loss
    self._counts += np.asarray(metrics.counts, np.int64)
    if step % self._stage.config.log_every == 0:
      self._summary.scalars(step, {'train/step_loss': self.loss})

  def scalars(self) -> dict[str, float]:
    """Loss and mIoU over the epoch's settled steps; begins the next."""
    found = {
      'train/loss': self._loss / self._steps,
      'train/miou': float(confusion.mean_iou(self._counts)),
    }
    self._steps, self._loss = 0, 0.0
    self._counts[:] = 0
    return found

  def unfinished(self) -> dict[str, float]:
    """What the epoch's settled steps add up to, for the checkpoint of an interrupted epoch."""
    counts = {_COUNT.format(place): float(n) for place, n in enumerate(self._counts.ravel())}
    return {_STEPS: float(self._steps), _LOSS: self._loss} | counts

  def _diverged(self, step: int, metrics: StepMetrics, windows: np.ndarray) -> str:
    clips = ', '.join(self._windows.describe(int(index)) for index in windows.ravel())
    if jax.process_count() > 1:
      clips += f' (and those of the other {jax.process_count() - 1} processes)'
    stage = self._stage
    return (
      f'{stage.title}, step {step}: the loss is {float(metrics.loss)}, the norm of its gradient '
      f'{float(metrics.grad_norm)}, that of the update {float(metrics.update_norm)}, on {clips}. '
      'Nothing of this step is saved. In another --workdir, try a lower '
      f'--config.{stage.name}.learning_rate or --config.model.dtype=float32; or look at the clips.'
    )
