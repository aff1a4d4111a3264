"""Cuts: where a video begins a new shot."""

from __future__ import annotations

import collections
import copy
import itertools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import cv2
import numpy as np

# Of 1,500 joined pairs of 60 real videos, 97 % exceed both, by day and at an eighth of the light;
# of their own neighbouring frames none exceeds six tenths of the first.
CHANGED = 0.2  # Share of a frame's colours that the frame before lacks.
DIFFERENT = 0.25  # One less the correlation of the small pictures.
# Or both of these, as shots of one room do; of frames that are eight apart none does.
HARDLY_CHANGED, REARRANGED = 0.13, 0.65

_SIDE = 32  # Pixels of the small picture.
_ENOUGH = 480  # Pixels along the longer side that it is made of, or somewhat more.
_BINS = 6  # Of each colour channel.
_FAIR = 192.0  # Grey level; darker pictures, whose colours would all be one, are brightened until
_MOST_GAIN = 8.0  # a tenth of their values is above it, by at most this factor.
_SEARCH = 4  # Small pixels by which the picture may have moved between two frames.
_MEMORY = 3  # Frames: a flash may last one less.
_FLASH = _MEMORY - 1
_BLANK_SHARE = 0.9  # Of the small pixels, that a blank picture has ...
_BLANK_RANGE = 6.0  # ... within so many grey levels of the middle one.


class CutDetector:
  """Says whether a new shot begins with a frame, frame after frame.

  A new shot has other colours and another arrangement of light and dark. One alone is not enough: a
  fast motion rearranges, a lamp recolours. The more is rearranged, the fewer colours need change.
  The arrangement is compared as a correlation, blind to brightness and contrast, with the best of
  some shifts. A frame must be unlike each of a few before it, so that the picture after a flash is
  still known. Blank frames (black, washed out) are passed over: what comes after them is compared
  with what was before.

  Whether a picture that is there for a frame or two begins a shot, only the next ones tell: `shots`
  waits for them.
  """

  def __init__(self) -> None:
    self._last: list[tuple[np.ndarray, np.ndarray]] = []

  def __call__(self, frame: np.ndarray) -> bool:
    """Takes the next frame.

    Args:
      frame: uint8 [H, W, 3] RGB.

    Returns:
      Whether a new shot begins with it; never with the first frame.
    """
    seen = _seen(frame)
    if seen is None:
      return False
    is_cut = bool(self._last) and not self._knows(seen)
    self._last = [*self._last[1 - _MEMORY :], seen]
    return is_cut

  def knows(self, frame: np.ndarray) -> bool:
    """Whether a frame, uint8 [H, W, 3], could go on with the shot; nothing changes."""
    seen = _seen(frame)
    return seen is not None and self._knows(seen)

  def _knows(self, seen: tuple) -> bool:
    return not all(_is_other(seen, before) for before in self._last)


class Placed(NamedTuple):
  """A frame and its place among the shots.

  Attributes:
    image: uint8 [H, W, 3] RGB.
    is_cut: Whether a new shot begins with it.
    cuts: What the next frame is compared with.
  """

  image: np.ndarray
  is_cut: bool
  cuts: CutDetector


def shots(frames: Iterable[np.ndarray], cuts: CutDetector) -> Iterator[Placed]:
  """Says of each frame whether a new shot begins with it, and waits where one may be a flash.

  A spoiled picture, of a flash, of noise, or one that arrived in pieces, is no shot of its own if
  what was before it comes back. So up to two frames are read ahead where a shot seems to begin.

  Args:
    frames: uint8 [H, W, 3] RGB, all of one size.
    cuts: What the first one is compared with; it does not change.
  """
  coming, rest = collections.deque[np.ndarray](), iter(frames)
  while True:
    coming.extend(itertools.islice(rest, 0 if coming else 1))
    if not coming:
      return
    image, before, cuts = coming.popleft(), cuts, copy.deepcopy(cuts)
    is_cut = cuts(image)
    if is_cut:
      coming.extend(itertools.islice(rest, _FLASH - len(coming)))
      is_cut = not any(before.knows(later) for later in coming)
    yield Placed(image, is_cut, cuts)


def _seen(frame: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
  """The colours and the arrangement of a frame; None for a blank one."""
  step = max(max(frame.shape[:2]) // _ENOUGH, 1)
  sampled = np.ascontiguousarray(frame[::step, ::step])
  small = cv2.resize(sampled, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
  arrangement = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
  return None if _is_blank(arrangement) else (_colours(small), arrangement)


def _is_other(seen: tuple, before: tuple) -> bool:
  """Whether two pictures, from `_seen`, are of different shots."""
  changed = 1 - float(np.minimum(seen[0], before[0]).sum())
  if changed <= HARDLY_CHANGED:
    return False
  difference = _difference(seen[1], before[1])
  return difference > (DIFFERENT if changed > CHANGED else REARRANGED)


def _colours(small: np.ndarray) -> np.ndarray:
  """Shares of the colours, smoothed over neighbouring ones so that a small change stays small."""
  gain = np.clip(_FAIR / max(np.percentile(small, 90), 1.0), 1.0, _MOST_GAIN)
  bright = cv2.convertScaleAbs(small, alpha=float(gain))
  counts = cv2.calcHist([bright], [0, 1, 2], None, [_BINS] * 3, [0, 256] * 3)
  for axis in range(3):
    padded = np.pad(counts, [(int(i == axis),) * 2 for i in range(3)], mode='edge')
    parts = [np.take(padded, range(i, i + _BINS), axis=axis) for i in range(3)]
    counts = parts[0] / 4 + parts[1] / 2 + parts[2] / 4
  return counts / counts.sum()


def _is_blank(picture: np.ndarray) -> bool:
  return bool((np.abs(picture - np.median(picture)) <= _BLANK_RANGE).mean() >= _BLANK_SHARE)


def _difference(picture: np.ndarray, before: np.ndarray) -> float:
  """One less the best correlation over shifts, in [0, 2]; 0 if what is left of one is flat."""
  inner = picture[_SEARCH:-_SEARCH, _SEARCH:-_SEARCH]
  if min(inner.std(), before.std()) < 1:
    return 0.0
  return 1 - float(cv2.matchTemplate(before, inner, cv2.TM_CCOEFF_NORMED).max())
