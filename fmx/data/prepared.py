"""A prepared 300VW-Mask dataset as random access to windows of consecutive frames, or to frames.

Only the frames that are asked for are decoded, not those of their whole clip. Everything here can
be pickled, and opens its files in the process that reads them.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fmx.data.dataset import Clip, Dataset, open_dataset
from tfds_300vw.clips import clip_name

__all__ = ['Dataset', 'FrameExample', 'FrameExamples', 'Window', 'Windows', 'open_dataset']


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


class Windows(Sequence[Window]):
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
    self._clips, self._region = dataset.clips(split), dataset.region
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

  @property
  def clip_starts(self) -> np.ndarray:
    """The index of each clip's first window, ascending."""
    return np.flatnonzero(np.diff(self._spans[:, 0], prepend=-1))

  def __getitem__(self, index: int) -> Window:  # type: ignore[override]  # No slices.
    clip, start, stop = self._read(index)
    decoded = [
      _decode(clip.frames, position, clip.video_id, int(clip.frame_numbers[position]))
      for position in range(start, stop)
    ]
    return Window(
      index=int(index),
      video_id=clip.video_id,
      clip=clip_name(clip.video_id, clip.part, int(clip.frame_numbers[0])),
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
    part = f'{clip.part} {self._region}, ' if clip.part else ''
    return f'video {clip.video_id}, {part}' + (
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


class FrameExamples(Sequence[FrameExample]):
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
      ValueError: there is no such split, or the dataset does not hold whole frames or is too old.
    """
    if dataset.region != 'frames':
      raise ValueError(
        f'{dataset.name} holds crops ({dataset.region}), not whole frames: build and name a '
        'dataset of the config frames or stills_frames.'
      )
    dataset.num_clips(split)  # Raises where there is none.
    parts = [part for part in dataset.parts or (dataset,) if split in part.clip_lengths]
    self._parts = [part.clips(split) for part in parts]
    frames: list[tuple[int, int, int, int]] = []
    video_ids: list[str] = []
    from_people: list[bool] = []
    for number, part in enumerate(parts):
      if part.clip_starts is None:
        raise ValueError(
          f'{part.directory} lacks the list of its clips: delete it and build it again with '
          '`python -m tfds_300vw`.'
        )
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

  def __getitem__(self, index: int) -> FrameExample:  # type: ignore[override]  # No slices.
    if not 0 <= index < len(self):
      raise IndexError(f'There is no frame {index} among {len(self)}.')
    part, clip, position, number = self._frames[index].tolist()
    record = self._parts[part].record(clip)
    video_id = str(self.video_ids[index])
    others = record['others'][position]
    return FrameExample(
      image=_decode(record['frames'], position, video_id, number)['image'],
      landmarks=_faces(record, position),
      others=others[~np.isnan(others).any(axis=1)],
      video_id=video_id,
      frame_number=number,
      from_people=bool(self.from_people[index]),
    )

  def num_faces(self, index: int) -> int:
    """How many faces somebody annotated in a frame, which is not decoded."""
    part, clip, position, _ = self._frames[index].tolist()
    return len(_faces(self._parts[part].record(clip), position))


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


def _faces(record: Mapping[str, Any], position: int) -> np.ndarray:
  """The landmarks of the faces of one frame of a clip, float32 [F, 68, 2]."""
  landmarks = record['landmarks'][position]
  return landmarks[~np.isnan(landmarks).any(axis=(1, 2))]
