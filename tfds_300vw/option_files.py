"""Files that the command line's options name."""

from __future__ import annotations

import json
import pathlib
import re

BAD_FRAMES_LINE = re.compile(r'(?P<video_id>\S+)\s+(?P<first>\d+)(\s*-\s*(?P<last>\d+))?')


def read_splits(file: pathlib.Path) -> dict[str, list[str]]:
  """Reads the user's lists of video ids by split.

  Raises:
    ValueError: the file is not JSON of that form.
  """
  try:
    splits = json.loads(file.read_text())
  except ValueError as error:
    raise ValueError(f'{file} is not JSON: {error}') from error
  if not isinstance(splits, dict) or not all(
    isinstance(ids, list) and all(isinstance(video_id, str) for video_id in ids)
    for ids in splits.values()
  ):
    raise ValueError(f'{file} must hold lists of video ids by split: {{"train": ["001", …], …}}.')
  return splits


def read_bad_frames(file: pathlib.Path) -> dict[str, list[tuple[int, int]]]:
  """Reads the frames that are badly annotated: lines `031 120` or `031 120-140`.

  Raises:
    ValueError: a line is not of that form; the message names it.
  """
  ranges: dict[str, list[tuple[int, int]]] = {}
  for number, line in enumerate(file.read_text().splitlines(), start=1):
    line = line.partition('#')[0].strip()
    if not line:
      continue
    match = BAD_FRAMES_LINE.fullmatch(line)
    first, last = (int(match['first']), int(match['last'] or match['first'])) if match else (0, 0)
    if match is None or not 1 <= first <= last:
      raise ValueError(
        f'{file}, line {number}: {line!r} is not a video and its frames, as in 031 120-140.'
      )
    ranges.setdefault(match['video_id'], []).append((first, last))
  return ranges
