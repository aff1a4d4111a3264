"""Boxes of faces that nobody annotated: in a frame they are neither faces to learn nor background.

A JSON file `{name: [[x0, y0, x1, y1], …]}` holds them, in pixels of the source, half-open. A name
is that of an image or of a frame's annotation, below the folder of the data and without its suffix:
`helen/100032540_1`, `001/000006`. The boxes of a video's frame stand for the frames after it too,
until the next that has a name.
"""

from __future__ import annotations

import bisect
import json
import math
import numbers
import pathlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

Boxes = Sequence[Sequence[float]]  # x0, y0, x1, y1 each.


def read(file: pathlib.Path) -> dict[str, Boxes]:
  """Reads the file.

  Raises:
    ValueError: it is not JSON of that form; the message names the entry.
    OSError: it cannot be read.
  """
  try:
    others = json.loads(file.read_text())
  except ValueError as error:
    raise ValueError(f'{file} is not JSON: {error}') from error
  if not isinstance(others, dict):
    raise ValueError(f'{file} must hold boxes by name: {{"001/000006": [[x0, y0, x1, y1], …], …}}.')
  for name, boxes in others.items():
    if not isinstance(boxes, list) or not all(map(_is_box, boxes)):
      raise ValueError(
        f'{file}: {name!r} must have a list of boxes [x0, y0, x1, y1] in pixels, with x0 < x1 and '
        f'y0 < y1, not {json.dumps(boxes)[:60]}.'
      )
  return others


def check_names(others: Mapping[str, Boxes], names: Iterable[str]) -> None:
  """Refuses boxes of other data than what is there; a file may name more than that.

  Args:
    others: Boxes by name.
    names: Of all images, or of all videos.

  Raises:
    ValueError: there are boxes, but no name is one of the data.
  """
  names = set(names)
  if others and not any(name in names or name.partition('/')[0] in names for name in others):
    raise ValueError(
      f'The boxes of unannotated faces are of {next(iter(others))} and the like, but the data is '
      f'of {min(names)} and the like: names are paths below the folder of the data, no suffix.'
    )


def of_video(others: Mapping[str, Boxes], video_id: str) -> dict[int, Boxes]:
  """The boxes of one video by the number of their frame, in the order of the frames.

  Raises:
    ValueError: a name of the video has no number.
  """
  found = {}
  for name, boxes in others.items():
    folder, _, number = name.partition('/')
    if folder == video_id:
      if not number.isdecimal():
        raise ValueError(f'{name} is not a frame of the video {video_id}, as {video_id}/000001 is.')
      found[int(number)] = boxes
  return dict(sorted(found.items()))


def at_frames(by_frame: Mapping[int, Boxes], frame_numbers: Iterable[int]) -> list[Boxes]:
  """The boxes of each frame: those of the last frame up to it that has a name.

  Args:
    by_frame: As `of_video` gives it.
    frame_numbers: Counted from 1.
  """
  named = list(by_frame)
  before = [bisect.bisect_right(named, number) for number in frame_numbers]
  return [by_frame[named[count - 1]] if count else () for count in before]


def stack(others: Sequence[Boxes], sizes: Sequence[tuple[int, int]]) -> np.ndarray:
  """Makes one array of the boxes of several frames.

  Args:
    others: Of each of T frames.
    sizes: (height, width) of each frame.

  Returns:
    float64 [T, G, 4], NaN where a frame has fewer than G.

  Raises:
    ValueError: a box lies wholly outside its frame.
  """
  found = np.full((len(others), max(map(len, others), default=0), 4), np.nan)
  for t, (boxes, (height, width)) in enumerate(zip(others, sizes)):
    for g, (x0, y0, x1, y1) in enumerate(boxes):
      if x0 >= width or y0 >= height or x1 <= 0 or y1 <= 0:
        raise ValueError(
          f'the box {[x0, y0, x1, y1]} of an unannotated face lies wholly outside the frame of '
          f'{width} x {height} pixels'
        )
      found[t, g] = x0, y0, x1, y1
  return found


def _is_box(box: object) -> bool:
  if not isinstance(box, list) or len(box) != 4:
    return False
  if not all(isinstance(edge, numbers.Real) and math.isfinite(edge) for edge in box):
    return False
  return box[0] < box[2] and box[1] < box[3]
