"""Batches for the devices, out of a prepared dataset: shuffled to train, in order to evaluate.

What a batch holds depends on the arguments alone: not on the number of workers, nor on what was
read before.
"""

import dataclasses
from collections.abc import Generator, Iterator

import grain
import numpy as np

from fmx.data.prefetch import prefetch
from fmx.data.prepared import Dataset, Window, Windows, open_dataset
from fmx.data.transforms import Augmentation, augment, resize_frame, resize_window
from fmx.data.views import FrameWindows, TrainView

__all__ = [
  'Dataset',
  'EvalBatch',
  'EvalWindow',
  'FrameWindows',
  'TrainView',
  'Window',
  'Windows',
  'clip_windows',
  'eval_batches',
  'open_dataset',
  'steps_per_epoch',
  'train_batches',
  'view_batches',
]

Batch = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class EvalWindow:
  """What the host keeps of one window while the device works on its frames.

  Attributes:
    video_id: The video that it was cut from.
    clip: Names the clip.
    start: Position of the window's first frame in its clip, from 0.
    frame_numbers: int32 [t], counted from 1 in the video; t is at most T.
    labels: t maps of class ids, uint8 [h, w], at the size at which they are stored.
    frames: t images, uint8 [h, w, 3], at that size; None unless asked for.
  """

  video_id: str
  clip: str
  start: int
  frame_numbers: np.ndarray
  labels: list[np.ndarray]
  frames: list[np.ndarray] | None


@dataclasses.dataclass(frozen=True)
class EvalBatch:
  """One step of evaluation on this process's devices.

  Attributes:
    video: uint8 [D, B, T, S, S, 3], RGB. A window shorter than T repeats its last frame at its end,
      where it cannot disturb what a recurrent network makes of the real frames; a place without a
      window is black.
    lengths: int32 [D, B], the real frames of each window; 0 where there is none.
    windows: The real windows; window i is at [i // B, i % B].
  """

  video: np.ndarray
  lengths: np.ndarray
  windows: list[EvalWindow]


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
  examples = examples.random_map(_TrainExample(image_size, augmentation))
  per_device = _per_device(batch_size, num_devices, process_count)
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
  per_device = _per_device(batch_size, num_devices, process_count)
  return _batches(
    examples, per_device, num_devices, process_index, process_count, workers, start_step
  )


def eval_batches(
  windows: Windows | FrameWindows,
  *,
  image_size: int,
  clip_length: int,
  batch_size: int,
  num_devices: int,
  process_index: int = 0,
  process_count: int = 1,
  keep_frames: bool = False,
  workers: int = 0,
) -> Iterator[EvalBatch]:
  """Yields every window exactly once, in order; the last batch is padded, never dropped.

  Each process has whole clips, so that it can smooth over them, and about as many windows as every
  other. All yield the same number of batches, the last ones perhaps without a window.

  Args:
    windows: Of a split; a clip's last may be shorter than the others.
    image_size: S, in pixels.
    clip_length: T, frames of a window.
    batch_size: Windows of one step on the devices of all processes.
    num_devices: D, the devices of each process.
    process_index: Of this process. Process p has the devices p·D … p·D + D − 1.
    process_count: Of all processes.
    keep_frames: Whether the batch's windows keep their frames at the size at which they are stored.
    workers: Processes that read and decode; 0 uses threads of this process.

  Raises:
    ValueError: the batch does not divide over the devices.
  """
  per_device = _per_device(batch_size, num_devices, process_count)
  ends = _shares(windows.clip_starts, len(windows), process_count)
  first, stop = ends[process_index : process_index + 2]
  steps = _EvalSteps(
    windows=windows,
    first=first,
    stop=stop,
    number=-(-int(np.diff(ends).max()) // (num_devices * per_device)),
    shape=(num_devices, per_device, clip_length, image_size, image_size, 3),
    keep_frames=keep_frames,
  )
  return prefetch(grain.MapDataset.source(steps), workers)


def clip_windows(
  dataset: Dataset, split: str, *, clip_length: int, workers: int = 0
) -> Iterator[list[Window]]:
  """Yields the clips of a split in order, each as its windows in order; every frame is there once.

  Args:
    dataset: As `open_dataset` gives it.
    split: 'train', 'validation' or 'test'.
    clip_length: T, frames of a window. What is left of a clip is a shorter window.
    workers: Processes that read and decode; 0 uses threads of this process.

  Raises:
    ValueError: there is no such split.
  """
  windows = Windows(dataset, split, clip_length, keep_rest=True)
  numbers = [-(-frames // clip_length) for frames in dataset.clip_lengths[split]]
  clips = _ClipWindows(windows, tuple(np.cumsum([0, *numbers]).tolist()))
  return prefetch(grain.MapDataset.source(clips), workers)


@dataclasses.dataclass(frozen=True)
class _TrainExample:
  """Makes a window ready for the batch; can be sent to a worker."""

  image_size: int
  augmentation: Augmentation | None

  def __call__(self, window: Window, rng: np.random.Generator) -> dict[str, np.ndarray | np.int32]:
    frames, labels = resize_window(window.frames, window.labels, self.image_size)
    if self.augmentation is not None:
      frames, labels = augment(frames, labels, self.augmentation, rng)
    return {'video': frames, 'labels': labels, 'window': np.int32(window.index)}


@dataclasses.dataclass(frozen=True)
class _ClipWindows:
  """The windows of each clip: those from `ends[i]` to `ends[i + 1]`."""

  windows: Windows
  ends: tuple[int, ...]

  def __len__(self) -> int:
    return len(self.ends) - 1

  def __getitem__(self, clip: int) -> list[Window]:
    return [self.windows[index] for index in range(self.ends[clip], self.ends[clip + 1])]


@dataclasses.dataclass(frozen=True)
class _EvalSteps:
  """This process's batches of an evaluation, by step.

  Attributes:
    windows: All windows of the split.
    first: The first that is this process's.
    stop: The first behind those that are.
    number: Steps of the process that has most windows.
    shape: Of a batch's video.
    keep_frames: Whether windows keep their frames.
  """

  windows: Windows | FrameWindows
  first: int
  stop: int
  number: int
  shape: tuple[int, int, int, int, int, int]
  keep_frames: bool

  def __len__(self) -> int:
    return self.number

  def __getitem__(self, step: int) -> EvalBatch:
    num_devices, per_device, clip_length, image_size = self.shape[:4]
    places = num_devices * per_device
    video = np.zeros((places, *self.shape[2:]), np.uint8)
    lengths = np.zeros(places, np.int32)
    kept = []
    first = self.first + step * places
    for place, index in enumerate(range(first, min(first + places, self.stop))):
      window = self.windows[index]
      lengths[place] = len(window.frames)
      for time in range(clip_length):
        if time < len(window.frames):
          frame = resize_frame(window.frames[time], image_size)
        video[place, time] = frame
      kept.append(
        EvalWindow(
          video_id=window.video_id,
          clip=window.clip,
          start=window.start,
          frame_numbers=window.frame_numbers,
          labels=window.labels,
          frames=window.frames if self.keep_frames else None,
        )
      )
    return EvalBatch(video.reshape(self.shape), lengths.reshape(self.shape[:2]), kept)


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


def _shares(clip_starts: np.ndarray, num_windows: int, process_count: int) -> list[int]:
  """The first window of each process and the end of the last: the clip's start nearest to even."""
  cuts = np.append(clip_starts, num_windows)
  even = np.arange(1, process_count)[:, None] * num_windows / process_count
  inner = cuts[np.abs(cuts - even).argmin(axis=1)]
  return [0, *inner.tolist(), num_windows]


def _per_device(batch_size: int, num_devices: int, process_count: int) -> int:
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
