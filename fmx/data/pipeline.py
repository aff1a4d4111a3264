"""Batches to train on, out of a prepared dataset, shuffled; `eval_batches` has those to evaluate.

What a batch holds depends on the arguments alone: not on the number of workers, nor on what was
read before.
"""

import dataclasses
from collections.abc import Generator

import grain
import numpy as np

from fmx.data.prefetch import prefetch
from fmx.data.prepared import Dataset, Window, Windows
from fmx.data.spoiled_frames import spoil_some
from fmx.data.transforms import Augmentation, augment, resize_window
from fmx.data.views import TrainView

Batch = dict[str, np.ndarray]


def steps_per_epoch(num_windows: int, batch_size: int) -> int:
  """The steps that come closest below one pass over all windows; at least one."""
  return max(num_windows // batch_size, 1)


def train_batches(
  dataset: Dataset,
  *,
  image_size: int,
  clip_length: int,
  batch_size: int,
  num_devices: int,
  seed: int,
  process_index: int = 0,
  process_count: int = 1,
  augmentation: Augmentation | None = None,
  spoiled_frames: float = 0.0,
  workers: int = 0,
  start_step: int = 0,
) -> Generator[Batch, None, None]:
  """Yields training batches of stored clips for ever, from the step `start_step` on.

  Every epoch has each window once, in an order of its own; a batch may hold the end of one and the
  start of the next. Step n is the same whether or not the steps before it were read.

  Args:
    dataset: As `open_dataset` gives it.
    image_size: S, in pixels.
    clip_length: T, frames of a window. What is left of a clip is not used.
    batch_size: Windows of one step on the devices of all processes.
    num_devices: D, the devices of each process.
    seed: Of the order and the augmentation.
    process_index: Of this process. Process p has the devices p·D … p·D + D − 1.
    process_count: Of all processes.
    augmentation: None for none.
    spoiled_frames: Share of the frames that are spoiled (`fmx.data.spoiled_frames`).
    workers: Processes that read, decode and change windows; 0 uses threads of this process.
    start_step: The steps already taken.

  Returns:
    An iterator over dicts of 'video', uint8 [D, B, T, S, S, 3], RGB; 'labels', uint8
    [D, B, T, S, S]; 'window', int32 [D, B], the index into
    `Windows(dataset, 'train', clip_length, keep_rest=False)`. Its `close` ends the workers.

  Raises:
    ValueError: the batch does not divide over the devices, or there is no window to train on.
  """
  windows = Windows(dataset, 'train', clip_length, keep_rest=False)
  examples = grain.MapDataset.source(windows).seed(seed).shuffle().repeat()
  examples = examples.random_map(_TrainExample(image_size, augmentation, spoiled_frames))
  per_device = per_device_of(batch_size, num_devices, process_count)
  return _batches(
    examples, per_device, num_devices, process_index, process_count, workers, start_step
  )


def view_batches(
  view: TrainView,
  *,
  batch_size: int,
  num_devices: int,
  seed: int,
  process_index: int = 0,
  process_count: int = 1,
  workers: int = 0,
  start_step: int = 0,
) -> Generator[Batch, None, None]:
  """Yields training batches of windows that a virtual camera cuts, for ever; as `train_batches`.

  Every window is a draw of its own; an epoch has as many as the split has faces.

  Args:
    view: What is cut, and how it varies.
    batch_size: Windows of one step on the devices of all processes.
    num_devices: D, the devices of each process.
    seed: Of the draws.
    process_index: Of this process.
    process_count: Of all processes.
    workers: Processes that read, decode and cut; 0 uses threads of this process.
    start_step: The steps already taken.

  Returns:
    As `train_batches`, with T = 1; 'window' has the numbers of frames, for
    `FrameWindows.describe`.

  Raises:
    ValueError: the batch does not divide over the devices.
  """
  examples = grain.MapDataset.range(len(view.windows)).seed(seed).repeat().random_map(view)
  per_device = per_device_of(batch_size, num_devices, process_count)
  return _batches(
    examples, per_device, num_devices, process_index, process_count, workers, start_step
  )


@dataclasses.dataclass(frozen=True)
class _TrainExample:
  """Makes a window ready for the batch; can be sent to a worker."""

  image_size: int
  augmentation: Augmentation | None
  spoiled_frames: float

  def __call__(self, window: Window, rng: np.random.Generator) -> dict[str, np.ndarray | np.int32]:
    spoiled = spoil_some(window.frames, self.spoiled_frames, rng)
    frames, labels = resize_window(spoiled, window.labels, self.image_size)
    if self.augmentation is not None:
      frames, labels = augment(frames, labels, self.augmentation, rng)
    return {'video': frames, 'labels': labels, 'window': np.int32(window.index)}


def _batches(
  examples: grain.MapDataset,
  per_device: int,
  num_devices: int,
  process_index: int,
  process_count: int,
  workers: int,
  start_step: int,
) -> Generator[Batch, None, None]:
  """This process's batches out of the examples of all, from a step on."""
  # Random numbers hang on a window's place in the whole run, so they are drawn before any slicing.
  # There is no remainder; without that word grain 0.2.18 rounds the length of batches of one up to
  # more than an index can hold.
  batches = (
    examples.batch(per_device, drop_remainder=True)
    .batch(num_devices, drop_remainder=True)
    .slice(slice(process_index, None, process_count))
    .slice(slice(start_step, None))
  )
  return prefetch(batches, workers)


def per_device_of(batch_size: int, num_devices: int, process_count: int) -> int:
  """The windows of one step on each device.

  Raises:
    ValueError: they do not come out even.
  """
  devices = num_devices * process_count
  if batch_size < 1 or batch_size % devices:
    raise ValueError(
      f'A batch of {batch_size} does not divide over {devices} devices ({num_devices} in each of '
      f'{process_count} processes): set a multiple of {devices}.'
    )
  return batch_size // devices
