"""Which clips of a video are taken, which videos make which split, and the draws for both."""

import hashlib
import json
import math
import numbers
from collections.abc import Mapping, Sequence

import numpy as np

SPLITS = ('train', 'validation', 'test')
CLIP_LENGTH = 30  # Frames: 1 s of 300VW.
FRACTION = 0.1  # Of a video's clips.
_NUM_VIDEOS, _NUM_VALIDATION, _NUM_TEST = 114, 9, 12  # The paper's split; the other 93 train.


def sample_clips(
  usable: np.ndarray,
  *,
  clip_length: int = CLIP_LENGTH,
  fraction: float = FRACTION,
  rng: np.random.Generator,
) -> list[tuple[int, int]]:
  """Cuts a video into clips and keeps a random part of them.

  Each run of usable frames is cut into consecutive clips from its start; a rest shorter than a clip
  is not used. If every run is shorter than a clip, the longest one (the first of several) is the
  only clip.

  Args:
    usable: bool [frames of the video]; False leaves a frame out.
    clip_length: Frames.
    fraction: Of the clips, in (0, 1]. The number kept is rounded, halves up, and at least one.
    rng: Chooses the clips.

  Returns:
    (start, stop) of each clip kept, 0-based, half-open, in order.

  Raises:
    ValueError: no frame is usable, or an argument lies outside its range.
  """
  usable = np.asarray(usable)
  if usable.dtype != bool or usable.ndim != 1:
    raise ValueError(f'`usable` must be bool [frames], not {usable.dtype} {usable.shape}.')
  if not 0 < fraction <= 1:
    raise ValueError(f'The fraction of clips to keep must lie in (0, 1], not {fraction}.')
  if clip_length < 1:
    raise ValueError(f'A clip must have at least one frame, not {clip_length}.')
  runs = _runs(usable)
  if not runs:
    raise ValueError(f'None of the {len(usable)} frames is usable, so there is no clip to take.')
  clips = [
    (first, first + clip_length)
    for start, stop in runs
    for first in range(start, stop - clip_length + 1, clip_length)
  ]
  if not clips:
    return [max(runs, key=lambda run: run[1] - run[0])]
  num_kept = max(math.floor(fraction * len(clips) + 0.5), 1)
  kept = rng.choice(len(clips), num_kept, replace=False)
  return [clips[i] for i in sorted(kept.tolist())]


def split_videos(
  video_ids: Sequence[str],
  *,
  seed: int,
  lists: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, list[str]]:
  """Divides videos into train, validation and test.

  114 videos give the paper's 93, 9 and 12; another number gives the same proportions, with at least
  one video each. A single video trains; of two, one trains and one tests.

  Args:
    video_ids: All videos, in any order, each once.
    seed: Of the draw, which depends on nothing but it and the ids.
    lists: The user's own split: the ids of each; videos that it does not list are left out. None
      draws.

  Returns:
    The sorted ids of 'train', 'validation' and 'test'; a list may be empty.

  Raises:
    ValueError: there is no video or one is there twice; `lists` name an unknown split, a video that
      does not exist, or a video twice.
  """
  known = sorted(set(video_ids))
  if not known or len(known) != len(video_ids):
    repeated = [video_id for video_id in known if list(video_ids).count(video_id) > 1]
    problem = f'these are there twice: {", ".join(repeated)}' if repeated else 'there is none'
    raise ValueError(f'Videos to split must be one or more, each once; {problem}.')
  if lists is not None:
    return _checked_lists(lists, set(known))
  num_validation = _share(_NUM_VALIDATION, len(known)) if len(known) > 2 else 0
  num_test = _share(_NUM_TEST, len(known)) if len(known) > 1 else 0
  order = [known[i] for i in video_rng(seed, '', 'split').permutation(len(known))]
  cut, end = num_test, num_test + num_validation
  return {
    'train': sorted(order[end:]),
    'validation': sorted(order[cut:end]),
    'test': sorted(order[:cut]),
  }


def clip_name(video_id: str, part: str, first: int) -> str:
  """Names a clip, as the dataset's keys do.

  Args:
    video_id: Of the video.
    part: The part of the region that it shows; '' where the region has only one.
    first: Number of the first frame, from 1.
  """
  return f'{video_id}_{part}_{first:06d}' if part else f'{video_id}_{first:06d}'


def video_rng(seed: int, video_id: str, *streams: str | int) -> np.random.Generator:
  """Makes the random generator of one video for one purpose.

  Args:
    seed: Of the dataset.
    video_id: Of the video.
    *streams: The purpose, for instance 'boxes'; each has draws of its own.

  Returns:
    A generator that depends on the arguments alone: not on other videos, the process or the order
    of work.
  """
  key = [int(part) if isinstance(part, numbers.Integral) else part for part in (seed, *streams)]
  digest = hashlib.sha256(json.dumps([video_id, *key]).encode()).digest()
  return np.random.default_rng(np.random.SeedSequence(int.from_bytes(digest, 'big')))


def _runs(usable: np.ndarray) -> list[tuple[int, int]]:
  """(start, stop) of each maximal run of True."""
  changes = np.flatnonzero(np.diff(usable, prepend=False, append=False)).tolist()
  return list(zip(changes[::2], changes[1::2]))


def _share(of_paper: int, num_videos: int) -> int:
  return max(math.floor(of_paper * num_videos / _NUM_VIDEOS + 0.5), 1)


def _checked_lists(lists: Mapping[str, Sequence[str]], known: set[str]) -> dict[str, list[str]]:
  split_of: dict[str, str] = {}
  for split, video_ids in lists.items():
    if split not in SPLITS:
      raise ValueError(f'There is no split {split!r}; choose among {", ".join(SPLITS)}.')
    if isinstance(video_ids, str):
      raise ValueError(f'The split {split!r} must be a list of video ids, not {video_ids!r}.')
    for video_id in video_ids:
      if video_id not in known:
        raise ValueError(f'The split {split!r} lists the video {video_id!r}, which does not exist.')
      if video_id in split_of:
        raise ValueError(
          f'The video {video_id!r} is listed twice, in {split_of[video_id]!r} and in {split!r}.'
        )
      split_of[video_id] = split
  if not split_of:
    raise ValueError('The lists of videos name no video.')
  return {
    split: sorted(video_id for video_id, name in split_of.items() if name == split)
    for split in SPLITS
  }
