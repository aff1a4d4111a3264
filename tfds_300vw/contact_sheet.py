"""Draws a contact sheet of a prepared dataset: frames above the same frames under their masks.

python -m tfds_300vw.contact_sheet --dataset=the300vw_mask/primary --split=train sheet.png
"""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from tfds_300vw import Builder, boxes, face_mask, pictures

GREY = 128  # Hides faces that nobody annotated.


def main(arguments: Sequence[str] | None = None) -> int:
  """Writes the sheet that the command line asks for.

  Args:
    arguments: Of the command line; None takes the process's own.

  Returns:
    0, or 1 after printing what is wrong in one sentence.
  """
  parser = argparse.ArgumentParser(
    prog='python -m tfds_300vw.contact_sheet', description='Draws a prepared dataset.'
  )
  parser.add_argument('picture', type=pathlib.Path, help='the PNG file to write')
  parser.add_argument('--dataset', default='the300vw_mask/primary', help='name/config')
  parser.add_argument('--data_dir', default='~/tensorflow_datasets', help='where it was built')
  parser.add_argument('--split', default='train', help='train, validation or test')
  parser.add_argument('--clips', type=int, default=5, help='number of clips, evenly spaced')
  parser.add_argument('--frames', type=int, default=6, help='of each clip, evenly spaced')
  parser.add_argument('--size', type=int, default=160, help='pixels of a picture')
  flags = parser.parse_args(arguments)
  try:
    data_dir = pathlib.Path(flags.data_dir).expanduser()
    sheet = draw(flags.dataset, data_dir, flags.split, flags.clips, flags.frames, flags.size)
    flags.picture.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet).save(flags.picture, 'PNG')
  except (ValueError, OSError) as error:
    print(f'error: {error}', file=sys.stderr)
    return 1
  print(f'{flags.picture}: {sheet.shape[1]} x {sheet.shape[0]} pixels')
  return 0


def draw(
  dataset: str, data_dir: pathlib.Path, split: str, num_clips: int, num_frames: int, size: int
) -> np.ndarray:
  """Draws a few clips of a prepared dataset.

  Args:
    dataset: Name and config.
    data_dir: Where it was built.
    split: 'train', 'validation' or 'test'.
    num_clips: Clips to draw, evenly spaced over the split.
    num_frames: Frames of each, evenly spaced over the clip.
    size: Height and width of a picture, pixels.

  Returns:
    uint8 [H, W, 3], RGB.

  Raises:
    FileNotFoundError: there is no such dataset.
    ValueError: it has no such split, or a number is not positive.
  """
  if min(num_clips, num_frames, size) < 1:
    raise ValueError('The numbers of clips and frames and the size must be at least 1.')
  folder = data_dir / dataset / str(Builder.VERSION)
  if not (folder / 'dataset_info.json').is_file():
    raise FileNotFoundError(
      f'{dataset} is not built in {data_dir}: build it with python -m tfds_300vw.'
    )
  builder = tfds.builder_from_directory(folder)
  if split not in builder.info.splits:
    raise ValueError(f'{dataset} has no split {split!r}, only {", ".join(builder.info.splits)}.')
  clips = builder.as_data_source(split)
  region = builder.info.metadata['options']['region']
  rows = []
  for index in _spread(num_clips, len(clips)):
    rows.extend(_clip_rows(clips[index], region, num_frames))
  return pictures.sheet(rows, 'primary' if region == 'frames' else region, size=size)


def _clip_rows(clip: Mapping[str, Any], region: str, num_frames: int) -> list[pictures.Row]:
  """The frames of one clip, and below them the same under their masks."""
  frames, overlays, captions = [], [], []
  for index in _spread(num_frames, len(clip['frames'])):
    stored = clip['frames'][index]
    frames.append(stored['image'])
    if region == 'frames':
      overlays.append(_faces(stored['image'], clip['landmarks'][index], clip['others'][index]))
    else:
      overlays.append(pictures.overlay(stored['image'], stored['labels'][..., 0], region))
    captions.append(f'{clip["video_id"].decode()}  frame {clip["frame_numbers"][index]}')
  sizes = [f'{frame.shape[1]} x {frame.shape[0]}' for frame in frames]
  return [pictures.Row(frames, captions), pictures.Row(overlays, sizes)]


def _faces(frame: np.ndarray, landmarks: np.ndarray, others: np.ndarray) -> np.ndarray:
  """A whole frame under the masks of its faces, and grey where nobody annotated one."""
  for points in landmarks[~np.isnan(landmarks).any(axis=(1, 2))]:
    frame = pictures.overlay(frame, face_mask.landmarks_to_mask(points, *frame.shape[:2]))
  frame = frame.copy()
  for box in others[~np.isnan(others).any(axis=1)]:
    boxes.crop(frame, np.round(box).astype(int))[...] = GREY
  return frame


def _spread(count: int, length: int) -> list[int]:
  """Up to `count` indices spread evenly over `length`."""
  return np.unique(np.linspace(0, length - 1, min(count, length)).round().astype(int)).tolist()


if __name__ == '__main__':
  sys.exit(main())
