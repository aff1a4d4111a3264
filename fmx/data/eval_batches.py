"""Batches to evaluate on, out of a prepared dataset, in order."""

import dataclasses
from collections.abc import Iterator

import grain
import numpy as np

from fmx.data.pipeline import per_device_of
from fmx.data.prefetch import prefetch
from fmx.data.prepared import Dataset, Window, Windows
from fmx.data.transforms import resize_frame
from fmx.data.views import FrameWindows


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
  per_device = per_device_of(batch_size, num_devices, process_count)
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


def _shares(clip_starts: np.ndarray, num_windows: int, process_count: int) -> list[int]:
  """The first window of each process and the end of the last: the clip's start nearest to even."""
  cuts = np.append(clip_starts, num_windows)
  even = np.arange(1, process_count)[:, None] * num_windows / process_count
  inner = cuts[np.abs(cuts - even).argmin(axis=1)]
  return [0, *inner.tolist(), num_windows]
