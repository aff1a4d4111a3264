"""What a worker does: with networks that stay loaded, one video, shot or joining after another."""

import contextlib
import dataclasses
import errno
import functools
import json
import pathlib
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from fmx.extraction import job
from fmx.extraction.loop import Extractor, extract_parts
from fmx.extraction.shots import Shot, Stretch, find_shots
from fmx.extraction.sources import Source, open_source
from fmx.extraction.together import put_together
from fmx.many import storage
from fmx.stopping import Stopped, stop_requests
from fmx.workdir import (
  CLAIM,
  PARTS,
  SHOTS,
  SUMMARY,
  UNFINISHED,
  HeldError,
  claim_extraction,
  held,
  is_extracted,
)

PATIENCE = 60.0  # Seconds, for a worker that is dead to everyone but itself.


class Video(NamedTuple):
  """A video to extract.

  Attributes:
    address: Where it is.
    folder: The address of the folder for its masks.
  """

  address: str
  folder: str


class Done(NamedTuple):
  """A video is done.

  Attributes:
    summary: Of its extraction, less the frames.
    frames: That were labelled just now.
    seconds: Of work just now.
  """

  summary: dict[str, Any]
  frames: int
  seconds: float


class Cut(NamedTuple):
  """A video is long and has these shots; nothing is labelled."""

  shots: list[Shot]
  seconds: float


class Piece(NamedTuple):
  """A shot is done: frames that were labelled, and seconds of work."""

  frames: int
  seconds: float


class Failed(NamedTuple):
  """A video cannot be extracted; the reason is a sentence."""

  reason: str


Answer = Done | Cut | Piece | Failed


class Worker:
  """Extracts videos; only the first waits for the networks."""

  def __init__(self, config: ConfigDict, shot_frames: int):
    """Loads nothing yet.

    Args:
      config: As of `fmx.extraction.job.run`; its `video` is not looked at.
      shot_frames: See `begin`.
    """
    self._config, self._shot_frames = config, shot_frames

  def begin(self, video: Video) -> Answer:
    """Extracts a video, or where it is long cuts it first.

    A video of more than two times `shot_frames` is cut at scene changes into shots of at least as
    many frames.
    """
    return self._answer(self._begin, video)

  def shot(self, video: Video, shot: Shot) -> Answer:
    """Extracts a shot."""
    return self._answer(self._shot, video, shot)

  def join(self, video: Video, shots: Sequence[Shot]) -> Answer:
    """Puts the shots of a video together; all are extracted."""
    return self._answer(self._join, video, shots)

  @functools.cached_property
  def _extractor(self) -> Extractor:
    return job.METHODS[self._config.extraction.method](self._config)

  def _answer(self, do: Any, video: Video, *arguments: Any) -> Answer:
    """What came out; whatever is wrong with the video is told, with the networks raised."""
    started = time.monotonic()
    _ = self._extractor
    try:
      answer = do(video, *arguments)
    except Stopped:
      raise
    except Exception as error:  # A decoder may raise anything.
      if getattr(error, 'errno', None) == errno.ENOSPC:
        raise  # Not the video's fault.
      is_told = isinstance(error, ValueError | OSError)
      return Failed(str(error) if is_told else f'{video.address}: {error!r}')
    return answer._replace(seconds=time.monotonic() - started)

  def _begin(self, video: Video) -> Done | Cut:
    # Whole where a plain extraction has begun, so that nothing is done twice.
    with (
      _opened(video) as source,
      storage.working_folder(video.folder, (CLAIM, SUMMARY)) as workdir,
    ):
      made_of = job.ingredients(self._config, storage.identity(video.address))
      if is_extracted(workdir, made_of):
        return Done(job.complete(self._config, workdir), 0, 0.0)
      if not storage.is_local(video.folder) and _claimed(workdir) != made_of:
        storage.remove(f'{video.folder}/{UNFINISHED}')  # Shots of other options.
      with _held(workdir):
        claim_extraction(workdir, made_of)
        if self._is_long(source) and not (workdir / UNFINISHED / PARTS).exists():
          shots = find_shots(source, self._shot_frames, self._config.extraction.max_faces)
          if len(shots) > 1:
            return Cut(shots, 0.0)
        return self._finished(source, workdir)

  def _shot(self, video: Video, shot: Shot) -> Piece:
    kept = f'{UNFINISHED}/{SHOTS}/{shot.name}'
    with (
      _opened(video) as source,
      storage.working_folder(video.folder, (kept,), keep=kept) as workdir,
      _held(shot.folder(workdir)),
      stop_requests() as asked,
    ):
      folder, counted = shot.folder(workdir), _Counted()
      extract_parts(
        Stretch(source, shot),
        self._extractor,
        folder / UNFINISHED / PARTS,
        job.layers_in(self._config, source, folder),
        asked=asked,
        progress=counted,
        begin=shot.begin(),
      )
    return Piece(counted.frames, 0.0)

  def _join(self, video: Video, shots: Sequence[Shot]) -> Done:
    needed = CLAIM, f'{UNFINISHED}/{SHOTS}'
    with (
      _opened(video) as source,
      storage.working_folder(video.folder, needed) as workdir,
      _held(workdir),
    ):
      put_together(workdir, shots, job.frame_rate(source))
      done = self._finished(source, workdir)
    storage.remove(f'{video.folder}/{UNFINISHED}')
    return done

  def _finished(self, source: Source, workdir: pathlib.Path) -> Done:
    """Extracts what is left of a video."""
    counted = _Counted()
    job.extract(self._config, source, self._extractor, workdir, counted)
    return Done(job.complete(self._config, workdir), counted.frames, 0.0)

  def _is_long(self, source: Source) -> bool:
    is_cuttable = self._config.extraction.method == 'network'  # The tracker's state is another.
    return is_cuttable and source.properties.num_frames > 2 * self._shot_frames


class _Counted:
  """Counts the frames that are extracted; see `fmx.extraction.loop.Listener`."""

  def __init__(self) -> None:
    self.frames = 0

  def update(self, step: int, frames: int) -> None:
    self.frames += frames

  def close(self) -> None:
    pass


@contextlib.contextmanager
def _opened(video: Video) -> Iterator[Source]:
  """The source, known by its address; so are the errors."""
  with storage.fetched(video.address) as path:
    try:
      source = open_source(path)
      source.properties = dataclasses.replace(source.properties, address=video.address)
      yield source
    except (ValueError, OSError) as error:
      is_full = getattr(error, 'errno', None) == errno.ENOSPC
      if is_full or str(path) == video.address or str(path) not in str(error):
        raise
      raise ValueError(str(error).replace(str(path), video.address)) from error


def _claimed(workdir: pathlib.Path) -> Any:
  """What an earlier extraction was made of; None if there was none."""
  path = workdir / CLAIM
  return json.loads(path.read_bytes()) if path.exists() else None


@contextlib.contextmanager
def _held(workdir: pathlib.Path) -> Iterator[None]:
  """As `held`, but waits a while for another worker, which may be about to end."""
  deadline = time.monotonic() + PATIENCE
  with contextlib.ExitStack() as stack:
    while True:
      try:
        stack.enter_context(held(workdir))
        break
      except HeldError:
        if time.monotonic() > deadline:
          raise
        time.sleep(0.5)
    yield
