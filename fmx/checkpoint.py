"""Checkpoints of any tree: each is whole or absent, and the newest and the best are kept.

A directory of checkpoints holds one folder per step. Beside them may lie `damaged-STEP` folders,
which could not be read and are left for the user to look at and delete.
"""

import contextlib
import json
import logging
import math
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils
from orbax.checkpoint.checkpoint_managers import preservation_policy, save_decision_policy

from fmx import tree_io
from fmx.tree_io import Content, Tree
from tfds_300vw import placing

_logger = logging.getLogger(__name__)

_NONE, _ALL_DAMAGED = -1, -2  # In place of a step.


class Checkpoints:
  """The checkpoints of one run.

  Of several processes, the first writes; all must see the same directory, and all must make the
  calls that restore. There must be room for two checkpoints more than are kept.
  """

  def __init__(
    self,
    directory: str | os.PathLike,
    *,
    keep: int = 2,
    best: str = 'miou',
    read_only: bool = False,
  ):
    """Opens or creates a directory, and clears up what a killed run left unfinished there.

    Args:
      directory: Of this run alone.
      keep: How many of the newest to keep; with 1 there is none to fall back to.
      best: The metric whose highest value makes the best checkpoint, which is kept as well.
      read_only: Change nothing there: for all but the run itself, as it may be running.

    Raises:
      ValueError: keep is not positive.
      OSError: the directory cannot be created or changed.
    """
    if keep < 1:
      raise ValueError(f'keep is {keep}; keep at least 1 checkpoint, or 2 to be able to fall back.')
    self.directory = Path(directory).absolute()
    self._keep, self._best = keep, best
    self._read_only = read_only or jax.process_index() != 0
    if not self._read_only:
      try:
        placing.make_folder(self.directory)
        self._clear_up()
      except OSError as error:
        raise OSError(
          f'Checkpoints cannot be kept in {self.directory}: {error.strerror}; '
          'choose a directory that can be written.'
        ) from error

  @property
  def steps(self) -> list[int]:
    """The steps of all checkpoints, ascending."""
    if not self.directory.is_dir():
      return []
    return sorted(int(path.name) for path in self.directory.iterdir() if path.name.isdecimal())

  @property
  def latest_step(self) -> int | None:
    """The step of the newest checkpoint, None without any."""
    return max(self.steps, default=None)

  @property
  def best_step(self) -> int | None:
    """The step with the highest metric, the later of equals; None if no checkpoint has it."""
    return next(iter(self._from_best()), None)

  def metrics(self, step: int) -> dict[str, float]:
    """The metrics saved with a step, {} without any.

    Raises:
      OSError: they cannot be read.
    """
    path = self._path(step) / 'metrics' / 'metrics'
    try:
      saved = json.loads(path.read_bytes())
      return {name: math.nan if value is None else value for name, value in saved.items()}
    except FileNotFoundError:
      return {}
    except (ValueError, AttributeError) as error:
      raise OSError(f'{path} is damaged: {error}.') from error

  def save(self, step: int, tree: Tree, metrics: Mapping[str, float] | None = None) -> None:
    """Saves a checkpoint, then deletes those that are neither new nor best.

    When it returns, the checkpoint is on the disk; killed before, it leaves all as it was. The
    newest step may be saved again: the second takes the place of the first.

    Args:
      step: Not below the newest.
      tree: Arrays that each process holds whole, typed keys, numpy arrays and Python numbers.
      metrics: For `best`. A checkpoint where it is missing or NaN is never the best.

    Raises:
      ValueError: the step is below the newest, or the directory was opened as read-only.
      TypeError: a leaf is no array or number.
      OSError: the disk is full or cannot be written; all older checkpoints are still there.
    """
    if jax.process_index() != 0:
      return
    if self._read_only:
      raise ValueError(f'{self.directory} was opened as read-only; nothing can be saved there.')
    if step < (self.latest_step or 0):
      raise ValueError(
        f'Step {step} comes before the newest checkpoint, {self.latest_step}, in {self.directory};'
        ' use a new directory or delete the newer checkpoints.'
      )
    args = tree_io.to_orbax(tree)
    saved = {
      name: float(value) if math.isfinite(value) else None
      for name, value in (metrics or {}).items()
    }
    with tree_io.writing(self._path(step), args):
      try:
        with contextlib.suppress(FileNotFoundError):
          self._path(step).rename(self.directory / f'replaced-{step}')
        with self._manager() as manager:
          manager.save(step, args=args, metrics=saved, force=True)
        placing.settle(self._path(step))
      finally:
        self._clear_up()

  def restore_latest(self, like: Tree) -> tuple[int, Tree] | None:
    """Restores the newest checkpoint that can be read.

    Warns of each newer one, and sets it aside as `damaged-STEP` unless opened as read-only.

    Args:
      like: A tree of the same structure, shapes and dtypes; `jax.ShapeDtypeStruct`s will do.

    Returns:
      Its step and its tree: numpy arrays and Python numbers where `like` has them, else arrays on
      the default device. None if there are no checkpoints.

    Raises:
      ValueError: the checkpoint has other names, shapes or dtypes than `like`.
      OSError: there are checkpoints and none can be read.
    """
    step, content = self._first_readable(self.steps[::-1], set_aside=not self._read_only)
    if content is None:
      return None
    return step, tree_io.rebuild(like, content, self._path(step))

  def restore_best(self, like: Tree) -> tuple[int, Tree, dict[str, float]]:
    """Restores the best checkpoint, or with a warning the next best if it cannot be read.

    Args:
      like: As in `restore_latest`.

    Returns:
      Its step, its tree and its metrics.

    Raises:
      FileNotFoundError: no checkpoint has the metric.
      ValueError: the checkpoint has other names, shapes or dtypes than `like`.
      OSError: none can be read.
    """
    return self._restore(self._from_best(), like)

  def restore_last(self, like: Tree) -> tuple[int, Tree, dict[str, float]]:
    """Restores the newest checkpoint that has the metric; otherwise as `restore_best`."""
    return self._restore(sorted(self._from_best(), reverse=True), like)

  def _restore(self, steps: Sequence[int], like: Tree) -> tuple[int, Tree, dict[str, float]]:
    step, content = self._first_readable(steps, set_aside=False)
    if content is None:
      raise FileNotFoundError(
        f'No checkpoint with {self._best!r} in {self.directory}; train there first, '
        'or give the directory of a run that got to the end of an epoch.'
      )
    return step, tree_io.rebuild(like, content, self._path(step)), self.metrics(step)

  def _path(self, step: int) -> Path:
    return self.directory / str(step)

  def _from_best(self) -> list[int]:
    """The steps that have the metric, best first."""
    scores = {}
    for step in self.steps:
      with contextlib.suppress(OSError):
        scores[step] = self._score(self.metrics(step))
    ranked = sorted(scores, key=lambda step: (scores[step], step), reverse=True)
    return [step for step in ranked if scores[step] > -math.inf]

  def _score(self, metrics: Mapping[str, float | None]) -> float:
    value = metrics.get(self._best)
    return -math.inf if value is None or math.isnan(value) else value

  def _first_readable(self, steps: Sequence[int], set_aside: bool) -> tuple[int, Content | None]:
    """The first of the steps that the first process can read, and its content if there is one."""
    found, content = (_ALL_DAMAGED if steps else _NONE), None
    if jax.process_index() == 0:
      for step in steps:
        try:
          found, content = step, tree_io.read(self._path(step))
          break
        except MemoryError:
          raise
        except Exception as error:  # Whatever Orbax and its storage raise for damaged files.
          self._report(step, error, set_aside)
    if jax.process_count() > 1:  # All follow the first process, or their states would differ.
      found = int(multihost_utils.broadcast_one_to_all(np.int32(found)))
      if found >= 0 and content is None:
        content = self._read_as_first(found)
    if found == _ALL_DAMAGED:
      raise OSError(
        f'No checkpoint in {self.directory} can be read; restore a copy of one, or start again '
        'in a new directory.'
      )
    return found, content

  def _read_as_first(self, step: int) -> Content:
    try:
      return tree_io.read(self._path(step))
    except Exception as error:
      raise OSError(
        f'Process {jax.process_index()} cannot read checkpoint {self._path(step)}, which process 0 '
        f'did ({tree_io.brief(error)}); all processes must see the same directory.'
      ) from error

  def _report(self, step: int, error: Exception, set_aside: bool) -> None:
    """Warns of a damaged checkpoint."""
    kept = ''
    if set_aside:
      aside = self.directory / f'damaged-{step}'
      shutil.rmtree(aside, ignore_errors=True)
      self._path(step).rename(aside)
      kept = f' (now {aside.name})'
    _logger.warning(
      'Checkpoint %s%s is damaged and left out: %s',
      self._path(step),
      kept,
      tree_io.brief(error),
    )

  def _clear_up(self) -> None:
    """Removes what was not finished, takes back what was not replaced."""
    for path in self.directory.glob(f'*{tree_io.TEMPORARY}*'):
      shutil.rmtree(path, ignore_errors=True)
    for path in self.directory.glob('replaced-*'):
      step = int(path.name.removeprefix('replaced-'))
      if self._path(step).exists():
        shutil.rmtree(path)
      else:
        path.rename(self._path(step))
    for step in self.steps:
      try:
        self.metrics(step)
      except OSError as error:  # Orbax would not open the directory.
        self._report(step, error, set_aside=True)

  def _manager(self) -> ocp.CheckpointManager:
    """Orbax's manager, new for each save: it does not see what others change."""
    policies = [
      preservation_policy.LatestN(self._keep),
      preservation_policy.BestN(
        get_metric_fn=self._score, n=1, keep_checkpoints_without_metrics=False
      ),
    ]
    return ocp.CheckpointManager(
      self.directory,
      item_handlers=tree_io.handlers(),
      options=ocp.CheckpointManagerOptions(
        save_decision_policy=save_decision_policy.FixedIntervalPolicy(1),
        preservation_policy=preservation_policy.AnyPreservationPolicy(policies),
        best_fn=self._score,  # Makes it write the metrics.
        create=False,
        enable_async_checkpointing=False,
        multiprocessing_options=tree_io.this_process(),
      ),
    )
