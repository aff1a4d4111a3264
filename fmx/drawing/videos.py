"""Videos of drawn faces with exact landmarks, in the layout of 300VW, for those who have no data.

A parametric 3-D head turns, looks, blinks, talks and smiles before a backdrop; `Difficulty` says
what goes wrong. All is drawn by numpy and OpenCV from a seed: the same arguments give the same
frames, and a video does not depend on how many others are made.
"""

import concurrent.futures
import dataclasses
import json
import multiprocessing
import os
import pathlib
import shutil
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from tqdm import tqdm

from fmx.drawing.backdrop import Backdrop
from fmx.drawing.disturbances import Difficulty, Disturbances
from fmx.drawing.motion import Motion
from fmx.drawing.painter import Painter
from tfds_300vw import placing
from tfds_300vw.annotations import write_pts
from tfds_300vw.video_writer import VideoWriter

__all__ = ['Difficulty', 'draw_video', 'write_dataset']

_VERSION = 1  # Of the drawing: another one draws other pictures from the same seed.
_SETTINGS = 'drawn.json'
_UNFINISHED = '.unfinished'

_Job = tuple[pathlib.Path, int, dict]  # A video's folder, its index, and the settings.


def draw_video(
  seed: int,
  video_index: int,
  num_frames: int,
  size: int = 256,
  *,
  frame_rate: float = 30.0,
  difficulty: Difficulty | None = None,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
  """Draws one video.

  Args:
    seed: Of the collection, at least 0.
    video_index: Of the video in it, from 0; each shows another person.
    num_frames: Frames to draw.
    size: Pixels; the height lies within 15 % of it and the width within 0.9 to 1.35 times.
    frame_rate: Frames per second.
    difficulty: What disturbs the picture; None for the default. Landmarks do not depend on it.

  Yields:
    Each frame, uint8 [H, W, 3] RGB, and its landmarks, float64 [68, 2] (0-based pixels, x then y),
    exact also where something hides them.

  Raises:
    ValueError: a number is out of range.
  """
  _check(num_frames, size, frame_rate)
  return _draw(seed, video_index, num_frames, size, frame_rate, difficulty or Difficulty())


def write_dataset(
  directory: str | os.PathLike[str],
  *,
  num_videos: int,
  num_frames: int = 90,
  size: int = 256,
  frame_rate: float = 30.0,
  seed: int = 0,
  difficulty: Difficulty | None = None,
  workers: int = 1,
  progress: bool = True,
) -> list[pathlib.Path]:
  """Draws videos in 300VW's layout: `001/vid.avi` with `001/annot/000001.pts` and so on.

  A video appears under its name only when it is complete. Complete videos of the same settings are
  kept, so that an
  interrupted call can be repeated.

  Args:
    directory: Where to write; made if it does not exist.
    num_videos: Videos, named `001`, `002` and so on.
    num_frames: Frames of each.
    size: Pixels of a frame's side, roughly (see `draw_video`).
    frame_rate: Frames per second.
    seed: Of all videos, at least 0.
    difficulty: What disturbs the picture; None for the default.
    workers: Processes that draw at once; 1 draws in this process.
    progress: Shows a progress bar.

  Returns:
    The videos' folders.

  Raises:
    ValueError: a number is out of range, or a folder of that name holds something else.
  """
  _check(num_frames, size, frame_rate)
  if num_videos < 1 or workers < 1:
    raise ValueError(f'num_videos is {num_videos} and workers {workers}; both must be at least 1.')
  settings = {
    'version': _VERSION,
    'seed': seed,
    'num_frames': num_frames,
    'size': size,
    'frame_rate': frame_rate,
    'difficulty': dataclasses.asdict(difficulty or Difficulty()),
  }
  settings = json.loads(json.dumps(settings))  # Tuples become lists, as they will be read back.
  root = pathlib.Path(directory)
  folders = [root / f'{index + 1:03d}' for index in range(num_videos)]
  missing = [index for index, folder in enumerate(folders) if not _is_drawn(folder, settings)]
  root.mkdir(parents=True, exist_ok=True)
  jobs = [(folders[index], index, settings) for index in missing]
  for _ in tqdm(_run(jobs, workers), total=len(jobs), desc='drawing', disable=not progress):
    pass
  shutil.rmtree(root / _UNFINISHED, ignore_errors=True)
  return folders


def _draw(
  seed: int,
  video_index: int,
  num_frames: int,
  size: int,
  frame_rate: float,
  difficulty: Difficulty,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
  # A stream of its own for each part: what disturbs the picture moves no landmark.
  person, backdrop, motion, shape, disturbances = (
    np.random.default_rng([seed, video_index, stream]) for stream in range(5)
  )
  # Even, as most video players want it.
  height, width = (2 * round(size * f / 2) for f in shape.uniform([0.85, 0.9], [1.15, 1.35]))
  painter = Painter(person)
  scenery = Backdrop(backdrop, height, width)
  course = Motion(motion, num_frames, frame_rate, height, width)
  look = painter.person.look
  trouble = Disturbances(difficulty, disturbances, num_frames, frame_rate, look.skin, look.hair)
  for t in range(num_frames):
    moment, light = course.moments[t], course.lights[t]
    tone = light.on(np.array([0, 0, 1.0]))
    image = scenery.frame(course.camera[t], tone.mean())
    landmarks = painter.draw(image, moment, light)
    eyes = landmarks[36:48].mean(0)
    trouble.hide(image, t, (eyes, moment.scale), tone)
    yield trouble.film(image, t), landmarks


def _check(num_frames: int, size: int, frame_rate: float) -> None:
  if num_frames < 1:
    raise ValueError(f'num_frames is {num_frames}; it must be at least 1.')
  if size < 32:
    raise ValueError(f'size is {size} pixels; a face needs at least 32.')
  if not 0 < frame_rate < 1000:
    raise ValueError(f'frame_rate is {frame_rate}; give frames per second, more than 0.')


def _is_drawn(folder: pathlib.Path, settings: dict) -> bool:
  """Whether the folder holds this video already.

  Raises:
    ValueError: it holds something else, which must not be lost.
  """
  if not folder.exists():
    return False
  note = folder / _SETTINGS
  if not note.exists():
    raise ValueError(f'{folder} exists and was not drawn by this; give another directory.')
  if json.loads(note.read_text()) != settings:
    raise ValueError(
      f'{folder} was drawn with other settings (see {note}); give another directory or delete it.'
    )
  return True


def _run(jobs: Sequence[_Job], workers: int) -> Iterator[None]:
  if workers == 1 or len(jobs) < 2:
    yield from map(_write, jobs)
    return
  context = multiprocessing.get_context('spawn')
  with concurrent.futures.ProcessPoolExecutor(workers, mp_context=context) as executor:
    try:
      yield from executor.map(_write, jobs)
    finally:
      executor.shutdown(cancel_futures=True)


def _write(job: _Job) -> None:
  """Writes one video beside its place, then moves it there."""
  folder, index, settings = job
  cv2.setNumThreads(1)
  part = folder.parent / _UNFINISHED / f'{folder.name}-{os.getpid()}'
  shutil.rmtree(part, ignore_errors=True)
  (part / 'annot').mkdir(parents=True)
  options = settings['difficulty']
  options = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
  frames = draw_video(
    settings['seed'],
    index,
    settings['num_frames'],
    settings['size'],
    frame_rate=settings['frame_rate'],
    difficulty=Difficulty(**options),
  )
  with VideoWriter(part / 'vid.avi', settings['frame_rate'], preset='superfast') as writer:
    for number, (frame, landmarks) in enumerate(frames, start=1):
      writer.write(frame)
      write_pts(part / 'annot' / f'{number:06d}.pts', landmarks)
  (part / _SETTINGS).write_text(json.dumps(settings))
  placing.place(part, folder)
