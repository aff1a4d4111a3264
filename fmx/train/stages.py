"""The two stages of training: what each is trained on, and how."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Generator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from fmx import losses
from fmx.checkpoint import Checkpoints
from fmx.data.pipeline import Batch, train_batches, view_batches
from fmx.data.prepared import Dataset, Windows
from fmx.data.spoiling import Spoiling
from fmx.data.transforms import Augmentation
from fmx.data.views import FrameWindows, TrainView, View
from fmx.models import segmenter
from fmx.train import optimizer
from fmx.train.step import (
  AXIS,
  TrainState,
  Variables,
  create_state,
  eval_step,
  parallel,
  parallel_eval,
  train_step,
)
from tfds_300vw import face_mask

FCN, CONVLSTM = STAGES = ('fcn', 'convlstm')
TITLES = {FCN: segmenter.title(False), CONVLSTM: segmenter.title(True)}  # With the paper's memory.
# Which epoch's weights a stage results in: of the best by validation mIoU, or of the last.
RESULTS = BEST, LAST = ('best', 'last')


@dataclasses.dataclass(frozen=True)
class Stage:
  """One stage: what is trained, on what and where its files go.

  Attributes:
    name: A key of TITLES.
    config: The whole configuration.
    dataset: To train on.
    folder: Of the stage, inside the workdir.
  """

  name: str
  config: ConfigDict
  dataset: Dataset
  folder: pathlib.Path

  @property
  def options(self) -> ConfigDict:
    """The stage's own part of the configuration."""
    return self.config[self.name]

  @property
  def title(self) -> str:
    """What people call the network."""
    return segmenter.title(self.temporal, self.config.model.memory)

  @property
  def temporal(self) -> bool:
    """Whether the network has the ConvLSTM."""
    return self.name == CONVLSTM

  @property
  def clip_length(self) -> int:
    """T of a training batch: stills for the FCN."""
    return self.config.data.clip_length if self.temporal else 1

  @property
  def region(self) -> str:
    """What the network looks at: the view's region of whole frames, else the dataset's own."""
    return self.config.data.view.region if self.sees_frames else self.dataset.region

  @property
  def class_names(self) -> tuple[str, ...]:
    """Of the network's classes."""
    return face_mask.class_names(self.region) if self.sees_frames else self.dataset.class_names

  @property
  def sees_frames(self) -> bool:
    """Whether the dataset holds whole frames, out of which a virtual camera cuts windows."""
    return self.dataset.region == 'frames'

  def view(self) -> View:
    """What the virtual camera cuts out of whole frames."""
    return View(**self.config.data.view)

  def windows(self, split: str) -> Windows | FrameWindows:
    """The windows of a split on which the network is evaluated, each frame once."""
    if not self.sees_frames:
      return Windows(self.dataset, split, self.config.data.clip_length, keep_rest=True)
    return self._windows_of_frames(split)

  def _windows_of_frames(self, split: str) -> FrameWindows:
    if split not in self._frame_windows:
      self._frame_windows[split] = FrameWindows(self.dataset, split, self.view())
    return self._frame_windows[split]

  @functools.cached_property
  def _frame_windows(self) -> dict[str, FrameWindows]:
    """Those that were listed: to count the faces of all frames takes a while."""
    return {}

  @functools.cached_property
  def train_windows(self) -> Windows | FrameWindows:
    """The windows of an epoch."""
    if self.sees_frames:
      return self.windows('train')
    return Windows(self.dataset, 'train', self.clip_length, keep_rest=False)

  def batches(
    self, start_step: int, *, process_index: int | None = None
  ) -> Generator[Batch, None, None]:
    """The training batches of a process, by default of this one, after so many steps."""
    size = self.config.data.image_size
    shared = {
      'batch_size': self.options.batch_size,
      'num_devices': jax.local_device_count(),
      'process_index': jax.process_index() if process_index is None else process_index,
      'process_count': jax.process_count(),
      'seed': self.config.seed,
      'workers': self.config.data.workers,
      'start_step': start_step,
    }
    if self.sees_frames:
      view = TrainView(self._windows_of_frames('train'), self.view(), self.spoiling(), size)
      return view_batches(view, **shared)
    return train_batches(
      self.dataset,
      image_size=size,
      clip_length=self.clip_length,
      augmentation=self.augmentation(),
      spoiled_frames=self.config.data.spoiled_frames,
      **shared,
    )

  def model(self, axis_name: str | None = AXIS) -> segmenter.Segmenter:
    """The network, for training on pmapped devices unless `axis_name` is None."""
    return segmenter.build(
      self.config.model,
      len(self.class_names),
      temporal=self.temporal,
      image_size=self.config.data.image_size,
      axis_name=axis_name,
    )

  def augmentation(self) -> Augmentation:
    """How training windows are changed."""
    return Augmentation(**self.config.data.augmentation)

  def spoiling(self) -> Spoiling:
    """How training windows out of whole frames are spoiled."""
    return Spoiling(**self.config.data.spoiling)

  def loss(self) -> losses.Loss:
    """The loss function of the stage, ready for `train_step`."""
    options = self.options
    bounded = self.temporal and self.config.model.head == 'coarse'
    return losses.build(
      options.loss, margin=options.margin, bounded=bounded, stillness=options.stillness
    )

  def checkpoints(self, *, read_only: bool = False) -> Checkpoints:
    """The stage's checkpoints."""
    return Checkpoints(self.folder / 'checkpoints', best='miou', read_only=read_only)

  def optimizer(
    self, params: Any, total_steps: int
  ) -> tuple[optax.GradientTransformation, dict[str, Any]]:
    """The optimiser, and the tree of booleans that says which parameters learn."""
    options = self.options
    multipliers = {'new': 1.0, 'rest': options.gamma}
    used = {group for _, group in options.groups}
    multipliers = {group: rate for group, rate in multipliers.items() if group in used}
    tx = optimizer.build(
      params,
      rules=options.groups,
      multipliers=multipliers,
      learning_rate=options.learning_rate,
      total_steps=total_steps,
      name=options.optimizer,
      l2=options.l2,
      decay=options.decay,
      schedule=options.schedule,
    )
    return tx, optimizer.trainable(params, options.groups, multipliers)

  def step_fn(
    self, total_steps: int, *, devices: Sequence[jax.Device] | None = None
  ) -> tuple[optax.GradientTransformation, Callable[[TrainState, dict], tuple]]:
    """The optimiser, and `train_step` with it on all devices, or on those that are given."""
    tx, trainable = self.optimizer(self.shapes['params'], total_steps)
    step = functools.partial(
      train_step,
      model=self.model(),
      loss=self.loss(),
      tx=tx,
      use_batch_stats=self.options.batch_statistics,
      trainable=trainable,
      average=self.options.average,
      axis_name=AXIS,
    )
    return tx, parallel(step, devices)

  @functools.cached_property
  def logits_of(self) -> Callable[[Variables, dict], jax.Array]:
    """`eval_step` on all devices; one for the whole stage, as each new one compiles anew."""
    return parallel_eval(functools.partial(eval_step, model=self.model()))

  def fresh_variables(self) -> dict[str, Any]:
    """Random variables, from the seed and the stage alone."""
    size = self.config.data.image_size
    video = jnp.zeros((1, 1, size, size, 3), jnp.uint8)
    # 'rbg' compiles in a quarter of the time of the default, which counts for many small kernels.
    key = jax.random.key(self.config.seed, impl='rbg')
    rng = jax.random.fold_in(key, STAGES.index(self.name))
    variables = jax.jit(self.model(axis_name=None).init)(rng, video)
    return {'batch_stats': {}} | dict(variables)  # VGG has no batch norm.

  @functools.cached_property
  def shapes(self) -> dict[str, Any]:
    """The variables without values."""
    return jax.eval_shape(self.fresh_variables)

  @property
  def shape_tree(self) -> dict[str, Any]:
    """The shapes of the variables, as tuples."""
    return jax.tree.map(lambda leaf: leaf.shape, dict(self.shapes))

  def state_like(self, total_steps: int = 1) -> TrainState:
    """A state of the right structure and shapes, without values, to restore into."""
    tx, _ = self.optimizer(self.shapes['params'], total_steps)
    averaged = self.options.average > 0
    return jax.eval_shape(
      lambda v: create_state(v, tx, jax.random.key(0), averaged=averaged), self.shapes
    )

  def check(self) -> None:
    """Finds what would only stop the training later, before anything is written.

    Raises:
      ValueError: the configuration does not make sense, or does not fit the data or the devices.
    """
    options, evaluation = self.options, self.config.evaluation
    for name, value in (('epochs', options.epochs), ('learning_rate', options.learning_rate)):
      if not value > 0:
        raise ValueError(f'{self.name}.{name} is {value}; it must be above 0.')
    if options.gamma < 0:
      raise ValueError(f'{self.name}.gamma is {options.gamma}; it must be 0 (frozen) or more.')
    if not options.decay >= 0:
      raise ValueError(f'{self.name}.decay is {options.decay}; it must be 0 or more.')
    if not 0 <= options.average < 1:
      raise ValueError(
        f'{self.name}.average is {options.average}; it must be at least 0 and below 1.'
      )
    if options.result not in RESULTS:
      raise ValueError(
        f'{self.name}.result is {options.result!r}; it must be {" or ".join(map(repr, RESULTS))}.'
      )
    if not 0 <= self.config.data.spoiled_frames <= 1:
      raise ValueError(
        f'data.spoiled_frames is {self.config.data.spoiled_frames}; it must be from 0 to 1.'
      )
    devices = jax.device_count()
    for owner, size in ((self.name, options.batch_size), ('evaluation', evaluation.batch_size)):
      if size < 1 or size % devices:
        raise ValueError(
          f'{owner}.batch_size is {size}, which does not divide over {devices} devices: set a '
          f'multiple of {devices}.'
        )
    self.loss()
    self.state_like()
    self.augmentation()
    if self.sees_frames and (self.temporal or self.config.data.clip_length != 1):
      raise ValueError(
        f'{self.dataset.name} holds whole frames, of which windows of one are cut: set '
        "data.clip_length = 1 and stages = ('fcn',)."
      )
    self.spoiling()
    len(self.train_windows)
    for split in ('validation', evaluation.split):
      self.windows(split)
