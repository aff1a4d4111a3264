"""Clips out of videos, in worker processes, with memory that does not grow with the video."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import multiprocessing
import os
import pathlib
import pickle
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Protocol

from tqdm import tqdm

from tfds_300vw.encoding import Example


class Video(Protocol):
  """Something that clips are taken from; it must be picklable."""

  video_id: str
  path: pathlib.Path

  @property
  def files(self) -> tuple[pathlib.Path, ...]:
    """The files whose names and sizes tell it from another."""

  def check_files(self) -> None:
    """Raises FileNotFoundError or ValueError where files are missing; reads none of them."""

  def examples(self) -> Iterator[tuple[str, Example]]:
    """Yields each clip with its key."""


@dataclasses.dataclass(frozen=True)
class LeftOut:
  """A video that was left out, and why."""

  video_id: str
  reason: str


def produce(
  videos: Sequence[Video],
  spool: pathlib.Path,
  *,
  num_workers: int = 1,
  left_out: list[LeftOut] | None = None,
  description: str = 'videos',
) -> Iterator[tuple[str, Example]]:
  """Yields the clips of all videos in the order of the videos, whatever the number of workers.

  A worker writes its clips to files, and this process reads one at a time: neither ever holds more
  than a clip.

  Args:
    videos: What to take clips from.
    spool: An existing folder for the files in between; they are deleted as they are read.
    num_workers: Processes that work at once; 1 works in this process.
    left_out: Receives the videos that fail. None stops at the first failure instead.
    description: Stands before the progress bar.

  Raises:
    ValueError: a video is unusable; the message names the file.
    OSError: a file is missing or cannot be read or written.
  """
  spools = [spool / f'{number:06d}' for number in range(len(videos))]
  with (
    _results(videos, spools, num_workers) as results,
    tqdm(total=len(videos), desc=description, unit='video', smoothing=0.1) as progress,
  ):
    for video, result in zip(videos, results):
      if isinstance(result, Exception):
        if left_out is None:
          raise result
        left_out.append(LeftOut(video.video_id, str(result)))
      else:
        for path in result:
          yield path.stem, pickle.loads(path.read_bytes())
          path.unlink()
      progress.update()


def spool_clips(video: Video, folder: pathlib.Path) -> list[pathlib.Path] | Exception:
  """Writes a video's clips to files named after their keys.

  Returns:
    The files in the order of the clips; or the error, with no file left behind.
  """
  folder.mkdir()
  paths = []
  try:
    for key, example in video.examples():
      paths.append(folder / f'{key}.pickle')
      paths[-1].write_bytes(pickle.dumps(example))
  except (ValueError, FileNotFoundError) as error:
    for path in paths:
      path.unlink(missing_ok=True)
    return error
  return paths


def end_with(process_id: int) -> None:
  """Makes this worker end when the process that asked for it is gone, killed for instance."""

  def watch() -> None:
    while _exists(process_id):
      time.sleep(1)
    os._exit(1)

  threading.Thread(target=watch, daemon=True).start()


def _exists(process_id: int) -> bool:
  try:
    os.kill(process_id, 0)
  except ProcessLookupError:
    return False
  return True


@contextlib.contextmanager
def _results(
  videos: Sequence[Video], spools: Sequence[pathlib.Path], num_workers: int
) -> Iterator[Iterator[list[pathlib.Path] | Exception]]:
  """Gives what `spool_clips` returns for each video, in their order."""
  if num_workers < 1:
    raise ValueError(f'The number of workers is {num_workers}; it must be at least 1.')
  if num_workers == 1:
    yield map(spool_clips, videos, spools)
    return
  context = multiprocessing.get_context('forkserver')  # Safe beside threads; imports only once.
  context.set_forkserver_preload(['tfds_300vw'])
  executor = concurrent.futures.ProcessPoolExecutor(
    num_workers, mp_context=context, initializer=end_with, initargs=(os.getpid(),)
  )
  try:
    yield executor.map(spool_clips, videos, spools)
  except concurrent.futures.process.BrokenProcessPool as error:
    raise RuntimeError(
      'A worker process was killed, perhaps for want of memory: try again with fewer workers.'
    ) from error
  finally:
    executor.shutdown(cancel_futures=True)
