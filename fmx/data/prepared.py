"""A prepared 300VW-Mask dataset as random access to windows of consecutive frames.

Only the frames of the window that is asked for are decoded, not those of its whole clip. Everything
here can be pickled, and opens its files in the process that reads them.
"""

import bisect
import dataclasses
import functools
import itertools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

import tfds_300vw


@dataclasses.dataclass(frozen=True)
class Clip:
  """One example of the dataset.

  Attributes:
    video_id: The video that it was cut from.
    frame_numbers: int32 [T], counted from 1 in the video.
    boxes: int32 [T, 4], where in the source's frames the frames here were cut out.
    frames: T times 'image' and 'labels', decoded when asked for; their sizes may differ.
  """

  video_id: str
  frame_numbers: np.ndarray
  boxes: np.ndarray
  frames: Sequence[Mapping[str, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Window:
  """Consecutive frames of one clip, decoded at the size at which they are stored.

  Attributes:
    index: Of the window in its `Windows`.
    video_id: The video that it was cut from.
    clip: Names the clip, as the dataset's key does: video and number of the clip's first frame.
    start: Position of the window's first frame in its clip, from 0.
    frame_numbers: int32 [T], counted from 1 in the video.
    boxes: int32 [T, 4], where in the source's frames the images were cut out. The source may hold
      cut-out faces itself, as the authors' zip does: then a box is of its image, not of the video.
    frames: T images, uint8 [h, w, 3], RGB.
    labels: T maps of class ids, uint8 [h, w].
  """

  index: int
  video_id: str
  clip: str
  start: int
  frame_numbers: np.ndarray
  boxes: np.ndarray
  frames: list[np.ndarray]
  labels: list[np.ndarray]


class Clips(Sequence):
  """The clips of one split; a clip is read when it is asked for."""

  def __init__(self, directory: pathlib.Path, split: str, length: int):
    self._directory, self._split, self._length = directory, split, length

  def __len__(self) -> int:
    return self._length

  def __getitem__(self, index: int) -> Clip:
    record = self.record(index)
    return Clip(
      video_id=record['video_id'].decode(),
      frame_numbers=record['frame_numbers'],
      boxes=record['boxes'],
      frames=record['frames'],
    )

  def record(self, index: int) -> dict[str, Any]:
    """An example as TFDS gives it; its frames are decoded when asked for."""
    if not 0 <= index < self._length:
      raise IndexError(f'There is no clip {index} among the {self._length} of {self._split}.')
    return self._records[index]

  @functools.cached_property
  def _records(self) -> Sequence[dict[str, Any]]:
    return tfds.builder_from_directory(self._directory).as_data_source(self._split)

  def __getstate__(self) -> dict[str, Any]:
    return {name: value for name, value in vars(self).items() if name != '_records'}


class JoinedClips(Sequence):
  """The clips of several datasets, one after another."""

  def __init__(self, parts: Sequence[Clips]):
    self._parts = tuple(parts)
    self._ends = tuple(itertools.accumulate(len(part) for part in parts))

  def __len__(self) -> int:
    return self._ends[-1]

  def __getitem__(self, index: int) -> Clip:
    part = bisect.bisect_right(self._ends, index)
    if index < 0 or part == len(self._parts):
      raise IndexError(f'There is no clip {index} among {len(self)}.')
    return self._parts[part][index - self._ends[part] + len(self._parts[part])]


@dataclasses.dataclass(frozen=True)
class Dataset:
  """What is known of a prepared dataset before a clip is read.

  Attributes:
    name: For instance 'the300vw_mask/primary'.
    directory: Of the prepared files; of several datasets, the folder that holds them.
    region: 'primary', 'eyes' or 'mouth'; 'frames' where the frames are whole.
    class_names: By class id; of whole frames, what their landmarks can draw.
    clip_lengths: By split, the number of frames of each clip.
    source: 'videos', 'released' or 'stills'; of several datasets, '' if they differ.
    clip_starts: By split, the video and the number of the first frame of each clip. None where the
      dataset is older than that list.
    parts: The datasets of which this one is made, if it is several.
  """

  name: str
  directory: pathlib.Path
  region: str
  class_names: tuple[str, ...]
  clip_lengths: Mapping[str, tuple[int, ...]]
  source: str = ''
  clip_starts: Mapping[str, tuple[tuple[str, int], ...]] | None = None
  parts: tuple['Dataset', ...] = ()

  def clips(self, split: str) -> Clips | JoinedClips:
    """The clips of a split, in the order in which they are stored: by video, then by frame.

    Raises:
      ValueError: the dataset has no such split.
    """
    number = self.num_clips(split)
    if self.parts:
      return JoinedClips([part.clips(split) for part in self.parts if split in part.clip_lengths])
    return Clips(self.directory, split, number)

  def num_clips(self, split: str) -> int:
    """The number of clips of a split.

    Raises:
      ValueError: the dataset has no such split.
    """
    if split not in self.clip_lengths:
      raise ValueError(
        f'{self.name} in {self.directory} has no split {split!r}; it has '
        f'{", ".join(self.clip_lengths)}.'
      )
    return len(self.clip_lengths[split])


class Windows(Sequence):
  """All windows of one split: each clip cut into stretches of `length` frames, in order.

  A clip whose length is no multiple of `length` leaves a rest. With `keep_rest` that is a shorter
  window of its own, so that every frame is in exactly one window (evaluation); without, it is left
  out, so that every window has `length` frames (training). A clip shorter than `length` is all
  rest.
  """

  def __init__(self, dataset: Dataset, split: str, length: int, *, keep_rest: bool):
    """Lists the windows without reading a clip.

    Args:
      dataset: As `open_dataset` gives it.
      split: 'train', 'validation' or 'test'.
      length: Frames of a window; 1 gives single frames.
      keep_rest: Whether what is left of a clip becomes a shorter window.

    Raises:
      ValueError: there is no such split, or not a single window.
    """
    if length < 1:
      raise ValueError(f'A window must have at least 1 frame, not {length}.')
    if dataset.region == 'frames':
      raise ValueError(
        f'{dataset.name} holds whole frames without labels: take FrameExamples of it, or name a '
        'dataset of faces.'
      )
    self._clips = dataset.clips(split)
    clip_lengths = dataset.clip_lengths[split]
    spans = [
      (clip, start, min(start + length, frames))
      for clip, frames in enumerate(clip_lengths)
      for start in range(0, frames if keep_rest else frames - length + 1, length)
    ]
    if not spans:
      raise ValueError(
        f'No clip of the split {split!r} in {dataset.directory} has {length} frames (the longest '
        f'has {max(clip_lengths, default=0)}): set a shorter window or build longer clips.'
      )
    self._spans = np.array(spans, np.int32)  # Clip, start, stop.
    self.num_frames = int((self._spans[:, 2] - self._spans[:, 1]).sum())
    self.num_left_out = sum(clip_lengths) - self.num_frames  # Frames in no window.

  def __len__(self) -> int:
    return len(self._spans)

  def __getitem__(self, index: int) -> Window:
    clip, start, stop = self._read(index)
    decoded = [
      _decode(clip.frames, position, clip.video_id, int(clip.frame_numbers[position]))
      for position in range(start, stop)
    ]
    return Window(
      index=int(index),
      video_id=clip.video_id,
      clip=f'{clip.video_id}_{clip.frame_numbers[0]:06d}',
      start=start,
      frame_numbers=clip.frame_numbers[start:stop],
      boxes=clip.boxes[start:stop],
      frames=[frame['image'] for frame in decoded],
      labels=[frame['labels'][..., 0] for frame in decoded],
    )

  def describe(self, index: int) -> str:
    """Names a window for people: 'video 045, frames 31 to 35'."""
    clip, start, stop = self._read(index)
    first, last = clip.frame_numbers[start], clip.frame_numbers[stop - 1]
    return f'video {clip.video_id}, ' + (
      f'frame {first}' if first == last else f'frames {first} to {last}'
    )

  def _read(self, index: int) -> tuple[Clip, int, int]:
    if not 0 <= index < len(self):
      raise IndexError(f'There is no window {index} among {len(self)}.')
    clip, start, stop = self._spans[index].tolist()
    return self._clips[clip], start, stop


@dataclasses.dataclass(frozen=True)
class FrameExample:
  """One whole frame with its faces.

  Attributes:
    image: uint8 [H, W, 3], RGB.
    landmarks: Of each face that somebody annotated, float32 [F, 68, 2], x then y, 0-based pixels of
      the image; they may lie outside it.
    others: Boxes of faces that nobody annotated, float32 [G, 4]: x0, y0, x1, y1, half-open.
    video_id: The video, or the photograph.
    frame_number: Counted from 1 in the video.
    from_people: Whether people placed the landmarks: those of stills, not those of videos.
  """

  image: np.ndarray
  landmarks: np.ndarray
  others: np.ndarray
  video_id: str
  frame_number: int
  from_people: bool


class FrameExamples(Sequence):
  """The whole frames of one split, each by itself: only the frame that is asked for is decoded.

  Attributes:
    video_ids: Of each frame, str [N].
    frame_numbers: Of each frame, int32 [N], counted from 1 in its video.
    from_people: Of each frame, bool [N].
  """

  def __init__(self, dataset: Dataset, split: str):
    """Lists the frames without reading one.

    Args:
      dataset: One of whole frames, or several, as `open_dataset` gives it.
      split: 'train', 'validation' or 'test'.

    Raises:
      ValueError: there is no such split, or the dataset does not hold whole frames.
    """
    if dataset.region != 'frames':
      raise ValueError(
        f'{dataset.name} holds crops ({dataset.region}), not whole frames: build and name a '
        'dataset of the config frames or stills_frames.'
      )
    dataset.num_clips(split)  # Raises where there is none.
    parts = [part for part in dataset.parts or (dataset,) if split in part.clip_lengths]
    self._parts = [part.clips(split) for part in parts]
    frames, video_ids, from_people = [], [], []
    for number, part in enumerate(parts):
      starts = part.clip_starts[split]
      for clip, (length, (video_id, first)) in enumerate(zip(part.clip_lengths[split], starts)):
        frames.extend((number, clip, position, first + position) for position in range(length))
        video_ids.extend([video_id] * length)
        from_people.extend([part.source == 'stills'] * length)
    self._frames = np.array(frames, np.int32)  # Part, clip, position, number in the video.
    self.video_ids = np.array(video_ids)
    self.frame_numbers = self._frames[:, 3]
    self.from_people = np.array(from_people)

  def __len__(self) -> int:
    return len(self._frames)

  def __getitem__(self, index: int) -> FrameExample:
    if not 0 <= index < len(self):
      raise IndexError(f'There is no frame {index} among {len(self)}.')
    part, clip, position, number = self._frames[index].tolist()
    record = self._parts[part].record(clip)
    video_id = str(self.video_ids[index])
    landmarks, others = record['landmarks'][position], record['others'][position]
    return FrameExample(
      image=_decode(record['frames'], position, video_id, number)['image'],
      landmarks=landmarks[~np.isnan(landmarks).any(axis=(1, 2))],
      others=others[~np.isnan(others).any(axis=1)],
      video_id=video_id,
      frame_number=number,
      from_people=bool(self.from_people[index]),
    )


def open_dataset(name: str, data_dir: str | pathlib.Path) -> Dataset:
  """Opens a prepared dataset, or several as one; no clip is read yet.

  Args:
    name: 'the300vw_mask/primary' or another that was built; names joined by '+' make one dataset
      of several, whose splits are theirs one after another.
    data_dir: The folder that `python -m tfds_300vw --data_dir=…` was given.

  Returns:
    The dataset.

  Raises:
    ValueError: it cannot be read one clip at a time, or the several are not of one region.
    FileNotFoundError: it is not built in `data_dir`.
  """
  root = pathlib.Path(data_dir).expanduser()
  parts = tuple(_open_one(part, root) for part in name.split('+'))
  return parts[0] if len(parts) == 1 else _join(name, root, parts)


def _join(name: str, root: pathlib.Path, parts: Sequence[Dataset]) -> Dataset:
  first = parts[0]
  for part in parts:
    if 'frames' in {part.region, first.region} and part.region != first.region:
      raise ValueError(
        f'{part.name} and {first.name} cannot be joined: one has whole frames, the other crops.'
      )
    if part.class_names != first.class_names:
      raise ValueError(
        f'{part.name} has the classes {", ".join(part.class_names)}, but {first.name} '
        f'{", ".join(first.class_names)}: join datasets of one region.'
      )
    if parts.count(part) > 1:
      raise ValueError(f'{name} names {part.name} twice: name each dataset once.')
  splits = dict.fromkeys(split for part in parts for split in part.clip_lengths)
  lengths = {
    split: sum((part.clip_lengths.get(split, ()) for part in parts), ()) for split in splits
  }
  source = first.source if len({part.source for part in parts}) == 1 else ''
  return Dataset(name, root, first.region, first.class_names, lengths, source, parts=parts)


def _open_one(name: str, root: pathlib.Path) -> Dataset:
  directory = root / name / str(tfds_300vw.Builder.VERSION)
  if not (directory / 'dataset_info.json').is_file():
    config = name.rpartition('/')[2]
    built = ['/'.join(file.parts[-4:-2]) for file in root.glob('*/*/*/dataset_info.json')]
    how = config if config in tfds_300vw.Builder.builder_configs else f'… --name={config}'
    raise FileNotFoundError(
      f'{name} is not built in {root} (built there: {", ".join(sorted(built)) or "nothing"}): run '
      f'`python -m tfds_300vw --config={how} --manual_dir=… --data_dir={root}` first.'
    )
  info = tfds.builder_from_directory(directory).info
  if info.file_format is not tfds.core.FileFormat.ARRAY_RECORD:
    raise ValueError(
      f'{directory} holds {info.file_format.value} files, which cannot be read clip by clip: '
      'delete it and build it again with `python -m tfds_300vw --file_format=array_record`.'
    )
  if 'clip_lengths' not in info.metadata:
    raise ValueError(
      f'{directory} lacks the lengths of its clips: delete it and build it again with '
      '`python -m tfds_300vw`.'
    )
  lengths, starts = info.metadata['clip_lengths'], info.metadata.get('clip_starts')
  return Dataset(
    name=name,
    directory=directory,
    region=info.metadata['options']['region'],
    class_names=tuple(info.metadata['class_names']),
    clip_lengths={split: tuple(lengths[split]) for split in info.splits},
    source=info.metadata['source'],
    clip_starts=starts and {split: tuple(map(tuple, starts[split])) for split in info.splits},
  )


def _decode(
  frames: Sequence[Mapping[str, np.ndarray]], position: int, video_id: str, number: int
) -> Mapping[str, np.ndarray]:
  """Decodes one frame of a clip; video and number are for the error."""
  try:
    return frames[position]
  except Exception as error:  # Whatever TFDS and its image library raise for damaged bytes.
    raise ValueError(
      f'Frame {number} of video {video_id} cannot be decoded ({error}): '
      'the prepared dataset is damaged, so build it again.'
    ) from error
