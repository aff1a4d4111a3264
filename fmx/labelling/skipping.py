"""Frames that no network looks at, since a face hardly changes from one to the next.

Two neighbouring frames of a video mostly show nearly the same. Where the crops of a face in a frame
look like those in one before and in one behind, what networks say of these two goes along with the
picture to what is between them (`steadying.between`).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from fmx.data.levels import levels, missing_gain

# Grey levels by which a skipped frame may differ from those around it, by their number in a row.
_ALIKE = {1: 20.0, 2: 15.0}
_SMALL = 24  # Pixels along a side of the pictures that are compared ...
_WORST = 12  # ... and of those the ones that differ most: a mouth opens in as many.


def times_to_look(faces: Sequence[np.ndarray], most: int) -> list[int]:
  """Says in which frames of a window networks have to look.

  Args:
    faces: Of each face the crops without their colours, uint8 [1 + t, S, S]: in the last frame
      before the window, in which a network looked, and in the t frames of the window.
    most: Frames in a row to skip at most, 0 for none.

  Returns:
    Positions in the window, ascending; the last one is among them.
  """
  ways = np.max([_differences(of_face) for of_face in faces], axis=0)
  times, last, end = [], 0, len(ways) - 1
  while last < end:
    steps = range(min(last + most + 1, end), last, -1)
    last = next(step for step in steps if _may_skip(ways, last, step))
    times.append(last - 1)
  return times


def _may_skip(ways: np.ndarray, start: int, stop: int) -> bool:
  """Whether all that lies between two frames is like either of them."""
  skipped = ways[start + 1 : stop, [start, stop]]
  return not skipped.size or bool(skipped.max() <= _ALIKE[len(skipped)])


def _differences(crops: np.ndarray) -> np.ndarray:
  """By how many grey levels crops differ where they differ most, in fair light: [n, n]."""
  small = np.stack(
    [cv2.resize(crop, (_SMALL, _SMALL), interpolation=cv2.INTER_AREA).ravel() for crop in crops]
  ).astype(np.float32)
  differences = np.abs(small[:, None] - small)
  worst = np.partition(differences, -_WORST, axis=-1)[..., -_WORST:].mean(axis=-1)
  return np.median(missing_gain(*levels(small[..., None]))) * worst
