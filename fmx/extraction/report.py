"""What is said of an extraction: a line for each frame, totals, and where the time goes."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import pathlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from fmx.labelling.frame_masks import REFOUND, VERDICTS, FrameMasks
from tfds_300vw.face_mask import CLASS_NAMES

VERSION = 2  # Of the summary's layout.
START = 'start'  # The first window of a command, which compiles.


def frame_entry(name: str, seconds: float, masks: FrameMasks) -> dict[str, Any]:
  """What the summary says of one frame.

  Args:
    name: Of the frame's own files.
    seconds: After frame 0.
    masks: Of the frame.
  """
  return {
    'index': masks.index,
    'name': name,
    'time': round(seconds, 6),
    'face_found': bool(masks.faces),
    'is_cut': masks.is_cut,
    'faces': [
      {
        'id': face.id,
        'verdict': face.verdict,
        'box': np.asarray(face.box).tolist(),
        'roll': round(math.degrees(face.roll), 1),
        'areas': face.areas,
        'confidence': None if face.confidence is None else round(float(face.confidence), 4),
      }
      for face in masks.faces
    ],
    'lost': list(masks.lost),
  }


@dataclasses.dataclass
class Totals:
  """Counts over frames; it can be pickled and go on."""

  frames: int = 0
  frames_with_face: int = 0
  cuts: int = 0  # After the first frame.
  frames_of_face: Counter = dataclasses.field(default_factory=Counter)  # By id.
  frames_lost: Counter = dataclasses.field(default_factory=Counter)  # Likewise.
  verdicts: Counter = dataclasses.field(default_factory=Counter)  # Faces of frames, by verdict.
  windows: int = 0
  windows_refound: int = 0
  refound: int = -1  # Where the last window began in which a face was found again.
  areas: Counter = dataclasses.field(default_factory=Counter)  # Pixels by class name.
  confidence: float = 0.0  # Sum over faces that have one.
  confident: int = 0  # Their number.

  def add(self, masks: FrameMasks) -> None:
    """Counts a frame."""
    self.frames += 1
    self.frames_with_face += bool(masks.faces)
    self.cuts += masks.is_cut and masks.index > 0
    self.windows += masks.window == masks.index
    self.frames_lost.update(masks.lost)
    if masks.window != self.refound and any(face.verdict == REFOUND for face in masks.faces):
      self.windows_refound, self.refound = self.windows_refound + 1, masks.window
    for face in masks.faces:
      self.verdicts[face.verdict] += 1
      self.frames_of_face[face.id] += 1
      self.areas.update(face.areas)
      if face.confidence is not None:
        self.confidence += float(face.confidence)
        self.confident += 1

  def append(self, later: Totals, ids: int) -> None:
    """Adds what was counted in later shots, in which the ids began anew after so many."""
    for name in ('frames', 'frames_with_face', 'cuts', 'windows', 'windows_refound'):
      setattr(self, name, getattr(self, name) + getattr(later, name))
    for name in ('frames_of_face', 'frames_lost'):
      counts = getattr(later, name)
      getattr(self, name).update({face + ids: count for face, count in counts.items()})
    self.verdicts.update(later.verdicts)
    self.areas.update(later.areas)
    self.confidence += later.confidence
    self.confident += later.confident

  def result(self) -> dict[str, Any]:
    """The counts, and means over the faces of all frames (None without a face)."""
    faces = self.frames_of_face.total()
    return {
      'frames': self.frames,
      'frames_without_face': self.frames - self.frames_with_face,
      'cuts': self.cuts,
      'frames_by_face': {str(i): count for i, count in sorted(self.frames_of_face.items())},
      'frames_lost': {str(i): count for i, count in sorted(self.frames_lost.items())},
      'verdicts': {verdict: self.verdicts[verdict] for verdict in VERDICTS},
      'windows': self.windows,
      'windows_refound': self.windows_refound,
      'mean_areas': {
        name: round(self.areas[name] / faces, 2) if faces else None for name in CLASS_NAMES[1:]
      },
      'mean_confidence': round(self.confidence / self.confident, 4) if self.confident else None,
    }


class Stopwatch:
  """Adds up the seconds for which stages are at work, in whatever threads, and those that go by.

  A stage inside another one of its thread does not count for that.
  """

  def __init__(
    self,
    seconds: Mapping[str, float],
    elapsed: float = 0.0,
    clock: Callable[[], float] = time.perf_counter,
  ):
    """Adds to the seconds by stage that are given, of which there may be none, and to `elapsed`."""
    self._seconds, self._elapsed, self._clock = dict(seconds), elapsed, clock
    self._started: float | None = None
    self._lock, self._thread = threading.Lock(), _InThread()

  @property
  def seconds(self) -> dict[str, float]:
    """By stage, up to now; those of stages in different threads overlap."""
    with self._lock:
      return dict(self._seconds)

  @property
  def elapsed(self) -> float:
    """Seconds that went by since the start, and before."""
    return self._elapsed + (0.0 if self._started is None else self._clock() - self._started)

  def start(self) -> None:
    """Time counts as elapsed from now on."""
    self._started = self._clock()

  @contextlib.contextmanager
  def timed(self, name: str | None) -> Iterator[None]:
    """Times a stage; None stands for waiting, which is no work."""
    stages = self._thread.stages
    self._lap()
    stages.append(name)
    try:
      yield
    finally:
      self._lap()
      stages.pop()

  def _lap(self) -> None:
    now, here = self._clock(), self._thread
    if here.stages and (name := here.stages[-1]) is not None:
      with self._lock:
        self._seconds[name] = self._seconds.get(name, 0.0) + now - here.since
    here.since = now


class _InThread(threading.local):
  """The stages that one thread is in, the innermost last, and since when."""

  def __init__(self) -> None:
    self.stages: list[str | None] = []
    self.since = 0.0


def speed(seconds: Mapping[str, float], elapsed: float, frames: int) -> dict[str, Any]:
  """Frames a second of each stage and of all, and for which share of the time a stage is at work.

  Args:
    seconds: At work, by stage; they overlap. That of `START` is told but does not count: it does
      not grow with the video.
    elapsed: Seconds on the clock, after the start.
    frames: Of the video.
  """
  return {
    'frames_per_second': _per(frames, elapsed),
    'elapsed': round(elapsed, 3),
    'seconds': {name: round(s, 3) for name, s in seconds.items()},
    'stages': {
      name: {'frames_per_second': _per(frames, s), 'share': _per(s, elapsed, digits=4)}
      for name, s in seconds.items()
      if name != START
    },
  }


def write_summary(path: pathlib.Path, head: Mapping[str, Any], lines: Iterable[str]) -> None:
  """Writes a summary, one frame a line at its end.

  Args:
    path: Where to.
    head: What precedes the frames.
    lines: JSON of each frame.
  """
  text = json.dumps(finite({'version': VERSION, **head}), indent=2, allow_nan=False)
  with open(path, 'w') as file:
    file.write(text.removesuffix('\n}') + ',\n  "frames": [')
    for i, line in enumerate(lines):
      file.write(f'{"," if i else ""}\n    {line}')
    file.write('\n  ]\n}\n')


def finite(tree: Any) -> Any:
  """The same with plain numbers, and None for those that are not finite."""
  if isinstance(tree, Mapping):
    return {name: finite(value) for name, value in tree.items()}
  if isinstance(tree, list | tuple | np.ndarray):
    return [finite(value) for value in tree]
  if isinstance(tree, np.generic):
    tree = tree.item()
  return None if isinstance(tree, float) and not math.isfinite(tree) else tree


def _per(amount: float, of: float, digits: int = 2) -> float | None:
  return round(amount / of, digits) if of > 0 else None
