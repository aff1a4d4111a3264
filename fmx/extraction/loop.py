"""The frames of a source through an extractor and into parts, from wherever it was interrupted."""

import collections
import contextlib
import dataclasses
import pathlib
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any, Protocol, cast

import numpy as np

from fmx.evaluation.temporal import TemporalQuality
from fmx.extraction.outputs import Labelled, PartLayer, PartWriter, read_parts
from fmx.extraction.report import START, Stopwatch, Totals, frame_entry
from fmx.extraction.sources import Source
from fmx.labelling.frame_masks import FrameMasks
from fmx.stopping import Stopped
from tfds_300vw.video import Frame, VideoError

PART_FRAMES = 100  # What an interruption may cost; a whole number of windows may be a few more.
_Windows = Generator[tuple[list[FrameMasks], Any], None, None]


class Extractor(Protocol):
  """Whatever finds masks: by a network or by landmarks."""

  def windows(
    self, frames: Iterator[np.ndarray], state: Any = None
  ) -> Iterator[tuple[list[FrameMasks], Any]]:
    """Yields the masks of consecutive frames, and the state from which to go on after them."""


class Progress(Protocol):
  """Whoever is told how far it is; see `fmx.summary.Progress`."""

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
  seconds: dict[str, float] = dataclasses.field(default_factory=dict)
  damage: str | None = None  # Why the source ended too early.
  is_end: bool = False


def extract_parts(
  source: Source,
  extractor: Extractor,
  folder: pathlib.Path,
  layers: Mapping[str, PartLayer],
  *,
  asked: Callable[[], int],
  progress: Progress,
) -> Record:
  """Writes all parts that are not there yet.

  Args:
    source: Of the frames.
    extractor: Of the masks.
    folder: Of the parts.
    layers: See `PartWriter`.
    asked: Gives the signal that asks to stop; 0 for none.
    progress: Is told.

  Returns:
    The record of the end.

  Raises:
    VideoError: not one frame can be read.
    OSError: something cannot be written.
    Stopped: the process was asked to stop.
  """
  parts, record = read_parts(folder)
  record = record or Record()
  if record.is_end:
    return record
  first, number = record.next_index, len(parts) + 1
  watch = Stopwatch(seconds=record.seconds)
  reader = _Reader(source, first, watch)
  part = None
  with contextlib.closing(_windows(extractor, reader, record.state, watch)) as windows:
    try:
      for window, state, is_end in windows:
        if signal_number := asked():
          raise Stopped(
            f'Stopped at frame {record.next_index}; the same command goes on from frame {first}.',
            128 + signal_number,
          )
        part = part or PartWriter(folder, number, layers, watch.timed)
        for masks in window:
          _add(part, reader.waiting.popleft(), masks, source, record, watch)
        record.state, record.is_end = state, is_end
        record.damage = reader.damage if is_end else None
        if is_end or len(part) >= PART_FRAMES:
          part.finish(record)
          part, number, first = None, number + 1, record.next_index
        progress.update(record.next_index, len(window))
    finally:
      progress.close()
      if part is not None:
        part.abort()
  if not record.is_end:
    raise VideoError(reader.damage or f'{source.properties.path}: there is no frame in it.')
  return record


class _Reader:
  """Hands frames to the extractor, and keeps each until its masks are there."""

  def __init__(self, source: Source, start: int, watch: Stopwatch):
    self._source, self._start, self._watch = source, start, watch
    self.waiting: collections.deque[Frame] = collections.deque()
    self.damage: str | None = None

  def images(self) -> Iterator[np.ndarray]:
    """Yields images up to the end, or to the first one that cannot be read."""
    with contextlib.closing(self._source.frames(self._start)) as frames:
      while True:
        try:
          with self._watch.timed('decode'):
            frame = next(frames, None)
        except VideoError as error:
          self.damage = str(error)
          return
        if frame is None:
          return
        self.waiting.append(frame)
        yield frame.image


def _windows(
  extractor: Extractor, reader: _Reader, state: Any, watch: Stopwatch
) -> Generator[tuple[list[FrameMasks], Any, bool], None, None]:
  """Yields masks, the state after them, and whether they are the last: it is one window ahead."""
  stage, waiting = START, None
  # Extractors promise an iterator and are generators, which want to be closed.
  begun = cast(_Windows, extractor.windows(reader.images(), state))
  with contextlib.closing(begun) as windows:
    while True:
      try:
        with watch.timed(stage):
          found = next(windows, None)
      except ValueError as error:
        if reader.damage and stage == START:  # There was nothing to extract from.
          raise VideoError(reader.damage) from error
        raise
      if waiting is not None:
        yield *waiting, found is None
      if found is None:
        return
      stage, waiting = 'segment', found


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
