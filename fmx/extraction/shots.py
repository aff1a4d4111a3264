"""A long video in shots that can be extracted side by side, each into a folder of its own."""

import contextlib
import itertools
import pathlib
from collections.abc import Generator, Iterator
from typing import NamedTuple

import numpy as np

from fmx.extraction.loop import Record
from fmx.extraction.sources import Source
from fmx.extraction.square_pixels import as_shown
from fmx.labelling.extractor import ExtractionState, states_at_cuts
from fmx.workdir import SHOTS, UNFINISHED
from tfds_300vw.video import Frame, VideoError


class Shot(NamedTuple):
  """Consecutive frames that need none of those before.

  Attributes:
    start: Index of the first.
    stop: Index of the frame that follows; None for all that there are.
    state: The extractor's, before the first; None at the beginning of the video.
  """

  start: int = 0
  stop: int | None = None
  state: ExtractionState | None = None

  @property
  def name(self) -> str:
    """Of its folder."""
    return f'{self.start:09d}-{"end" if self.stop is None else f"{self.stop:09d}"}'

  def begin(self) -> Record:
    """What an extraction of it begins with."""
    return Record(next_index=self.start, state=self.state)

  def folder(self, workdir: pathlib.Path) -> pathlib.Path:
    """Where its outputs lie until they are put together."""
    return workdir / UNFINISHED / SHOTS / self.name


class Stretch:
  """A source that ends where a shot does; see `Source`."""

  def __init__(self, source: Source, shot: Shot):
    """Says which shot."""
    self.properties, self.files, self.name = source.properties, source.files, source.name
    self._source, self._stop = source, shot.stop

  def frames(self, start: int = 0) -> Generator[Frame, None, None]:
    """As `Source.frames`; what is damaged behind the shot is not seen."""
    with contextlib.closing(self._source.frames(start)) as frames:
      yield from frames if self._stop is None else itertools.islice(frames, self._stop - start)


def find_shots(source: Source, least: int, max_faces: int) -> list[Shot]:
  """Cuts a video at some of its scene changes; goes through all frames without labelling them.

  Args:
    source: The video.
    least: Frames that every shot but the last has.
    max_faces: Of the extractor.

  Returns:
    The shots in order; one alone where no scene changes.
  """
  states: list[ExtractionState | None] = [None]
  starts = [0]
  for state in states_at_cuts(_readable(source), max_faces):
    if state.next_index - starts[-1] >= least:
      states.append(state)
      starts.append(state.next_index)
  return [Shot(*of) for of in zip(starts, [*starts[1:], None], states)]


def _readable(source: Source) -> Iterator[np.ndarray]:
  """The images up to the first that cannot be read, which the last shot finds out by itself."""
  with contextlib.closing(source.frames()) as frames, contextlib.suppress(VideoError):
    for frame in frames:
      yield as_shown(frame.image, source.properties.pixel_aspect)
