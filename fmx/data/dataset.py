"""A prepared 300VW-Mask dataset, or several as one, and its clips, each read when asked for.

Everything here can be pickled, and opens its files in the process that reads them.
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
    part: Which part of the region it shows, for instance the left of two eyes; '' where there is
      only one.
    frame_numbers: int32 [T], counted from 1 in the video.
    boxes: int32 [T, 4], where in the source's frames the frames here were cut out.
    frames: T times 'image' and 'labels', decoded when asked for; their sizes may differ.
  """

  video_id: str
  part: str
  frame_numbers: np.ndarray
  boxes: np.ndarray
  frames: Sequence[Mapping[str, np.ndarray]]


class Clips(Sequence[Clip]):
  """The clips of one split; a clip is read when it is asked for."""

  def __init__(self, directory: pathlib.Path, split: str, length: int):
    self._directory, self._split, self._length = directory, split, length

  def __len__(self) -> int:
    return self._length

  def __getitem__(self, index: int) -> Clip:  # type: ignore[override]  # No slices.
    record = self.record(index)
    return Clip(
      video_id=record['video_id'].decode(),
      part=record.get('part', b'').decode(),
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


class JoinedClips(Sequence[Clip]):
  """The clips of several datasets, one after another."""

  def __init__(self, parts: 'Sequence[Clips | JoinedClips]'):
    self._parts = tuple(parts)
    self._ends = tuple(itertools.accumulate(len(part) for part in parts))

  def __len__(self) -> int:
    return self._ends[-1]

  def __getitem__(self, index: int) -> Clip:  # type: ignore[override]  # No slices.
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
    region: 'primary', 'eyes', 'eye' or 'mouth'; 'frames' where the frames are whole.
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


def _join(name: str, root: pathlib.Path, parts: tuple[Dataset, ...]) -> Dataset:
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
