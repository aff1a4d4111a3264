"""The frames of a source through an extractor and into parts, from wherever it was interrupted.

They are decoded in one thread and labelled in another; the thread of the command writes.
"""

import collections
import contextlib
import dataclasses
import itertools
import pathlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol, cast

import numpy as np

from fmx.evaluation.temporal import TemporalQuality
from fmx.extraction.ahead import ahead
from fmx.extraction.outputs import Labelled, PartLayer, PartWriter, read_parts
from fmx.extraction.report import START, Stopwatch, Totals, frame_entry
from fmx.extraction.sources import Source
from fmx.extraction.square_pixels import as_shown
from fmx.labelling.frame_masks import FrameMasks, resized
from fmx.stopping import Stopped
from tfds_300vw.video import Frame, VideoError

PART_FRAMES = 100  # What an interruption may cost; a whole number of windows may be a few more.
_FRAMES_AHEAD = 5  # Of the labelling: as many as it asks for at once.
_WINDOWS_AHEAD = 1  # Of the writing, beside the one that tells whether another is the last.


class Extractor(Protocol):
  """Whatever finds masks: by a network or by landmarks."""

  def windows(
    self, frames: Iterator[np.ndarray], state: Any = None
  ) -> Iterator[tuple[list[FrameMasks], Any]]:
    """Yields the masks of consecutive frames, and the state from which to go on after them."""


class Listener(Protocol):
  """Whoever is told how far an extraction is, as `fmx.summary.Progress`."""

  def update(self, step: int, frames: int) -> None:
    """So many frames are done, and so many of them since the last time."""

  def close(self) -> None:
    """Nothing more comes."""


@dataclasses.dataclass
class Record:
  """How far an extraction has come; it is saved with each part."""

  next_index: int = 0
  state: Any = None  # The extractor's.
  totals: Totals = dataclasses.field(default_factory=Totals)
  quality: TemporalQuality = dataclasses.field(default_factory=TemporalQuality)
  seconds: dict[str, float] = dataclasses.field(default_factory=dict)  # By stage; they overlap.
  elapsed: float = 0.0  # Seconds on the clock.
  damage: str | None = None  # Why the source ended too early.
  is_end: bool = False


class Window(NamedTuple):
  """Consecutive frames with their masks.

  Attributes:
    frames: Each with its masks.
    state: The extractor's, after them.
  """

  frames: list[tuple[Frame, FrameMasks]]
  state: Any


def extract_parts(
  source: Source,
  extractor: Extractor,
  folder: pathlib.Path,
  layers: Mapping[str, PartLayer],
  *,
  asked: Callable[[], int],
  progress: Listener,
  begin: Record | None = None,
) -> Record:
  """Writes all parts that are not there yet.

  Args:
    source: Of the frames.
    extractor: Of the masks.
    folder: Of the parts.
    layers: See `PartWriter`.
    asked: Gives the signal that asks to stop; 0 for none.
    progress: Is told.
    begin: Of the source's first frame, where that is not the video's.

  Returns:
    The record of the end.

  Raises:
    VideoError: not one frame can be read.
    OSError: something cannot be written.
    Stopped: the process was asked to stop.
  """
  parts, record = read_parts(folder)
  record = record or begin or Record()
  if record.is_end:
    return record
  first, number = record.next_index, len(parts) + 1
  watch = Stopwatch(record.seconds, record.elapsed)
  frames = _Frames(source, first, watch)
  part = None
  windows = ahead(_labelled(extractor, frames, record.state, watch), _WINDOWS_AHEAD, 'label')
  with contextlib.closing(windows):
    try:
      for window, is_end in _with_end(windows):
        part = part or PartWriter(folder, number, layers, watch.timed)
        for frame, masks in window.frames:
          if signal_number := asked():
            raise Stopped(
              f'Stopped at frame {record.next_index}; the same command goes on from frame {first}.',
              128 + signal_number,
            )
          _add(part, frame, masks, source, record, watch)
        record.state, record.is_end = window.state, is_end
        record.damage = frames.damage if is_end else None
        record.seconds, record.elapsed = watch.seconds, watch.elapsed
        if is_end or len(part) >= PART_FRAMES:
          part.finish(record)
          part, number, first = None, number + 1, record.next_index
        progress.update(record.next_index, len(window.frames))
    finally:
      progress.close()
      if part is not None:
        part.abort()
  if not record.is_end:
    raise VideoError(frames.damage or f'{source.properties.path}: there is no frame in it.')
  record.seconds, record.elapsed = watch.seconds, watch.elapsed
  return record


class _Frames:
  """Hands frames to the extractor, and keeps each until its masks are there."""

  def __init__(self, source: Source, start: int, watch: Stopwatch):
    self._source, self._start, self._watch = source, start, watch
    self._waiting: collections.deque[Frame] = collections.deque()
    self.damage: str | None = None

  def images(self) -> Iterator[np.ndarray]:
    """Yields images as they are shown, up to the end or to the first one that cannot be read."""
    with contextlib.closing(ahead(self._decoded(), _FRAMES_AHEAD, 'decode')) as frames:
      while True:
        try:
          with self._watch.timed(None):
            frame = next(frames, None)
        except VideoError as error:
          self.damage = str(error)
          return
        if frame is None:
          return
        self._waiting.append(frame)
        yield as_shown(frame.image, self._source.properties.pixel_aspect)

  def stored(self, masks: FrameMasks) -> tuple[Frame, FrameMasks]:
    """The frame that has waited longest, and its masks in its own pixels."""
    frame = self._waiting.popleft()
    return frame, resized(masks, *frame.image.shape[:2])

  def _decoded(self) -> Generator[Frame, None, None]:
    with contextlib.closing(self._source.frames(self._start)) as frames:
      while True:
        with self._watch.timed('decode'):
          frame = next(frames, None)
        if frame is None:
          return
        yield frame


def _labelled(
  extractor: Extractor, frames: _Frames, state: Any, watch: Stopwatch
) -> Generator[Window, None, None]:
  """Yields the windows of all frames."""
  stage = START
  # Extractors promise an iterator and are generators, which want to be closed.
  begun = extractor.windows(frames.images(), state)
  with contextlib.closing(cast(Generator[tuple[list[FrameMasks], Any], None, None], begun)):
    while True:
      try:
        with watch.timed(stage):
          found = next(begun, None)
      except ValueError as error:
        if frames.damage and stage == START:  # There was nothing to extract from.
          raise VideoError(frames.damage) from error
        raise
      if found is None:
        return
      if stage == START:
        watch.start()
        stage = 'segment'
      masks, after = found
      yield Window([frames.stored(of_frame) for of_frame in masks], after)


def _with_end(windows: Iterable[Window]) -> Iterator[tuple[Window, bool]]:
  """Yields each window, and whether it is the last."""
  for window, following in itertools.pairwise(itertools.chain(windows, [None])):
    assert window is not None  # Only what follows is.
    yield window, following is None


def _add(
  part: PartWriter,
  frame: Frame,
  masks: FrameMasks,
  source: Source,
  record: Record,
  watch: Stopwatch,
) -> None:
  """Writes and counts one frame."""
  name = source.name(frame.index)
  part.add(Labelled(name, frame, masks), frame_entry(name, frame.time, masks))
  with watch.timed('summary'):
    record.totals.add(masks)
    record.quality.add(masks.labels, is_cut=masks.is_cut)
  record.next_index = frame.index + 1
