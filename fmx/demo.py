"""From nothing to masks: draws faces, builds the dataset, trains, evaluates, shows the masks."""

import json
import logging
import os
import pathlib
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from ml_collections import ConfigDict
from PIL import Image

import tfds_300vw
from fmx import jobs, workdir
from fmx.data.prepared import open_dataset
from fmx.drawing.videos import Difficulty, write_dataset
from fmx.labelling.classes import predict
from fmx.train import loop
from fmx.train.handover import trained_variables
from fmx.train.stages import Stage
from fmx.train.step import Variables, replicate
from tfds_300vw import pictures, placing
from tfds_300vw.clips import CLIP_LENGTH
from tfds_300vw.options import ClipOptions
from tfds_300vw.video import VideoWriter

DATASET = 'drawn'
SETTINGS = 'drawn.json'  # What is drawn in this folder.
FACE_MARGIN = 1.4  # Of the crop, which stays where it is for a clip.
FACE_SHIFT = 0.25  # By up to this share of its side the crop misses the face's centre.
FRAME_RATE = 10  # Of the video with masks: a third of the speed, so that eyes can follow.
_logger = logging.getLogger(__name__)


class ShownFrame(NamedTuple):
  """One test frame, its labels and what each model makes of it; uint8 [H, W, 3] and [H, W]."""

  caption: str
  start: int  # Position of its window's first frame in the clip.
  frame: np.ndarray
  labels: np.ndarray
  predictions: dict[str, np.ndarray]  # By title of the model.

  @property
  def disagreement(self) -> float:
    """The share of the pixels that the models label differently."""
    return float(np.mean(np.ptp(list(self.predictions.values()), axis=0) > 0))


def run(config: ConfigDict, folder: pathlib.Path) -> None:
  """Does all of it; a repeated command goes on where it was interrupted.

  Args:
    config: As `configs/demo.py`.
    folder: Where everything goes: `videos`, `data`, `run`, `masks.png` and `masks.mp4`.

  Raises:
    ValueError: the folder holds a demo of other settings, or an option is out of its range.
    OSError: something cannot be written.
    Stopped: the process was asked to stop.
  """
  started = time.monotonic()
  config = config.copy_and_resolve_references()
  with config.unlocked():
    config.data.data_dir = str(folder / 'data')
    config.data.dataset = f'the300vw_mask/{DATASET}'
  claim(config, folder)
  prepare(config, folder)
  jobs.train(config, folder / 'run')
  clips = shown_clips(config, folder / 'run')
  write_picture(clips, folder / 'masks.png')
  write_video(clips, folder / 'masks.mp4')
  minutes = (time.monotonic() - started) / 60
  print(f'Done in {minutes:.1f} minutes. The table above is in {folder / "run" / "results.md"}.')
  print(f'Look at {folder / "masks.png"} and {folder / "masks.mp4"}.')


def claim(config: ConfigDict, folder: pathlib.Path) -> None:
  """Takes the folder for this configuration, before anything is drawn.

  Raises:
    ValueError: it is another configuration's; the message lists what differs.
    OSError: it cannot be written.
  """
  workdir.claim(folder / 'run', config)
  ours = json.loads(json.dumps(config.demo.to_dict()))  # JSON has no tuples.
  path = folder / SETTINGS
  if not path.exists():
    placing.write(path, json.dumps(ours, indent=2) + '\n')
  differing = workdir.differences({'demo': ours}, {'demo': json.loads(path.read_text())})
  if differing:
    raise ValueError(
      f'{folder} holds other drawn faces: {"; ".join(differing)}. '
      'Give another --workdir, or the same options.'
    )


def prepare(config: ConfigDict, folder: pathlib.Path) -> None:
  """Draws the videos and builds the dataset out of them, what of it is not there yet.

  A crop that followed each frame's landmarks would give the face's place away where nothing of the
  face is to be seen.
  """
  faces, workers = config.demo, os.cpu_count() or 1
  _logger.info('Drawing %d videos of %d frames.', faces.num_videos, faces.num_frames)
  write_dataset(
    folder / 'videos',
    num_videos=faces.num_videos,
    num_frames=faces.num_frames,
    size=faces.size,
    seed=faces.seed,
    difficulty=Difficulty(**faces.difficulty),
    workers=workers,
  )
  clip_length = min(faces.num_frames, CLIP_LENGTH)
  builder = tfds_300vw.Builder(
    config=tfds_300vw.MaskConfig(
      name=DATASET,
      description='Drawn faces.',
      options=ClipOptions(
        clip_length=clip_length,
        fraction=1.0,
        seed=faces.seed,
        face_margin=FACE_MARGIN,
        face_window=clip_length,
        face_shift=FACE_SHIFT,
      ),
    ),
    data_dir=config.data.data_dir,
    file_format='array_record',
    num_workers=workers,
  )
  builder.download_and_prepare(
    download_config=tfds.download.DownloadConfig(manual_dir=folder / 'videos')
  )
  placing.settle(pathlib.Path(builder.data_dir))


def shown_clips(config: ConfigDict, folder: pathlib.Path) -> list[list[ShownFrame]]:
  """The first test clip of each video, with the predictions of every trained stage.

  Args:
    config: Of the run.
    folder: The run's workdir.
  """
  dataset = open_dataset(config.data.dataset, config.data.data_dir)
  by_model = {}
  for name in config.stages:
    stage = Stage(name, config, dataset, folder / name)
    _, variables, _ = trained_variables(stage)
    by_model[stage.title] = loop.eval_windows(
      stage,
      replicate(Variables(variables['params'], variables['batch_stats'])),
      config.evaluation.split,
      batch_size=config.evaluation.batch_size,
      keep_frames=True,
    )
  clips: dict[str, list[ShownFrame]] = {}
  chosen: dict[str, str] = {}  # Clip by video.
  for pairs in zip(*by_model.values(), strict=True):
    window = pairs[0][0]
    if chosen.setdefault(window.video_id, window.clip) == window.clip:
      logits = {title: of_model for title, (_, of_model) in zip(by_model, pairs)}
      clips.setdefault(window.clip, []).extend(_shown_frames(window, logits))
  return list(clips.values())


def write_picture(clips: Sequence[Sequence[ShownFrame]], path: pathlib.Path) -> None:
  """Draws an ordinary window, and the one on which the models differ most.

  Args:
    clips: One of each video.
    path: Of the picture: columns are frames, rows the frames, the labels and each model's masks.
  """
  windows = sorted((window for clip in clips for window in _windows(clip)), key=_disagreement)
  middle = (len(windows) - 1) // 2
  columns = [_views(shown) for window in (windows[middle], windows[-1]) for shown in window]
  rows = [
    pictures.Row([column[row][1] for column in columns], [column[row][0] for column in columns])
    for row in range(len(columns[0]))
  ]
  Image.fromarray(pictures.sheet(rows)).save(path)


def write_video(clips: Sequence[Sequence[ShownFrame]], path: pathlib.Path) -> None:
  """Writes frame, labels and each model's masks side by side, clip after clip.

  Args:
    clips: Their order is the video's.
    path: Of the video.
  """
  with VideoWriter(path, FRAME_RATE) as writer:
    for shown in (shown for clip in clips for shown in clip):
      captions, views = zip(*_views(shown))
      writer.write(pictures.sheet([pictures.Row(views, captions)], size=240))


def _shown_frames(window: Any, logits: dict[str, np.ndarray]) -> list[ShownFrame]:
  """The frames of one window; logits [t, S, S, K] by title of the model."""
  return [
    ShownFrame(
      f'{window.video_id}  frame {window.frame_numbers[time]}',
      window.start,
      frame,
      labels,
      {title: predict(of[time], *labels.shape) for title, of in logits.items()},
    )
    for time, (frame, labels) in enumerate(zip(window.frames, window.labels))
  ]


def _windows(clip: Sequence[ShownFrame]) -> list[list[ShownFrame]]:
  return [[s for s in clip if s.start == start] for start in sorted({s.start for s in clip})]


def _disagreement(window: Sequence[ShownFrame]) -> float:
  return float(np.mean([shown.disagreement for shown in window]))


def _views(shown: ShownFrame) -> list[tuple[str, np.ndarray]]:
  """Captions and pictures: the frame, then the labels and every model's mask over it."""
  masks = {'labels': shown.labels} | shown.predictions
  painted = [(title, pictures.overlay(shown.frame, mask)) for title, mask in masks.items()]
  return [(shown.caption, shown.frame), *painted]
