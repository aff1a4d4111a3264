"""Landmark annotations: `.pts` text files, one per frame, as 300VW and 300-W keep them.

A file holds `version: 1`, `n_points: 68`, `{`, one line `x y` per point and `}`. The header and the
braces may be missing, lines may end in LF, CRLF or CR, and a byte-order mark may come first. Files
count pixels from 1; everything in this package counts from 0.
"""

import math
import os
import re
from pathlib import Path

import numpy as np

NUM_LANDMARKS = 68

# float() would also take nan, inf, 1_000 and the digits of other scripts.
_NUMBER = re.compile(r'[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?', re.ASCII)
_HEADER = re.compile(r'(version|n_points)\s*:\s*(\d{1,9})', re.ASCII)
_LINE_END = re.compile(r'\r\n|\r|\n')


def read_pts(path: str | os.PathLike[str]) -> np.ndarray:
  """Reads the 68 landmarks of one frame.

  Args:
    path: A `.pts` file, 1-based.

  Returns:
    Landmarks, float64 [68, 2]: x then y in pixels, 0-based, finite. They may lie outside the image.

  Raises:
    ValueError: the file is not such a text; the message names the file and the line.
    OSError: it cannot be read (FileNotFoundError if it is not there).
  """
  lines = _LINE_END.split(_decode(Path(path).read_bytes(), path))
  points: list[tuple[int, tuple[float, float]]] = []
  declared: list[tuple[int, int]] = []
  opened = closed = None
  for number, line in enumerate(lines, start=1):
    line = line.strip()
    header = _HEADER.fullmatch(line)
    if not line:
      continue
    if closed:
      raise _error(path, number, f'{line[:40]!r} follows the closing brace of line {closed}')
    if line == '{' and not opened and not points:
      opened = number
    elif line == '}' and opened:
      closed = number
    elif header and not opened and not points:
      if header[1] == 'n_points':
        declared.append((number, int(header[2])))
    else:
      points.append((number, _point(line, path, number)))
  if opened and not closed:
    raise _error(path, len(lines), f'the file ends before the brace of line {opened} is closed')
  _check_count(points, declared, path)
  return np.array([point for _, point in points]) - 1.0


def write_pts(path: str | os.PathLike[str], landmarks: np.ndarray) -> None:
  """Writes the landmarks of one frame as 300VW does, header included.

  Six decimals are kept (300VW has three), so `read_pts` gives them back to within 1e-6 pixel.

  Args:
    path: The file to write, replaced if there is one.
    landmarks: [68, 2], x then y in pixels, 0-based; the file counts from 1.

  Raises:
    ValueError: landmarks have another shape or are not finite.
  """
  landmarks = np.asarray(landmarks, np.float64)
  if landmarks.shape != (NUM_LANDMARKS, 2) or not np.isfinite(landmarks).all():
    raise ValueError(
      f'{path}: landmarks to write must be finite and [{NUM_LANDMARKS}, 2], not {landmarks.shape}.'
    )
  points = ''.join(f'{x:.6f} {y:.6f}\n' for x, y in landmarks + 1)
  text = f'version: 1\nn_points: {NUM_LANDMARKS}\n{{\n{points}}}\n'
  Path(path).write_text(text, encoding='ascii', newline='\n')


def _decode(data: bytes, path: str | os.PathLike[str]) -> str:
  try:
    return data.decode('utf-8-sig')
  except UnicodeDecodeError as error:
    # Counted in the bytes that the decoder saw: it strips a byte-order mark, which has no line end.
    line = len(_LINE_END.split(error.object[: error.start].decode('utf-8'))) if error.start else 1
    raise _error(path, line, 'it is not UTF-8 text') from error


def _point(line: str, path: str | os.PathLike[str], number: int) -> tuple[float, float]:
  numbers = line.split()
  if len(numbers) != 2 or not all(_NUMBER.fullmatch(word) for word in numbers):
    raise _error(path, number, f'expected the x and y of a point, found {line[:40]!r}')
  x, y = map(float, numbers)
  if not (math.isfinite(x) and math.isfinite(y)):
    raise _error(path, number, f'{line[:40]!r} is too large to be a point')
  return x, y


def _check_count(
  points: list[tuple[int, tuple[float, float]]],
  declared: list[tuple[int, int]],
  path: str | os.PathLike[str],
) -> None:
  for number, count in declared:
    if count != len(points):
      raise _error(path, number, f'n_points is {count}, but the file has {len(points)} points')
  if len(points) != NUM_LANDMARKS:
    last = points[-1][0] if points else 1
    problem = f'{len(points)} points end here, but a face has {NUM_LANDMARKS}'
    raise _error(path, last, problem)


def _error(path: str | os.PathLike[str], line: int, problem: str) -> ValueError:
  return ValueError(
    f'{os.fspath(path)}, line {line}: {problem}; repair or replace this annotation.'
  )
