"""From nothing to masks: draws faces, builds the dataset, trains, evaluates, shows the masks."""

import pathlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from ml_collections import ConfigDict
from PIL import Image

import tfds_300vw
from fmx import jobs
from fmx.data.prepared import open_dataset
from fmx.data.synthetic import write_dataset
from fmx.evaluation import protocol
from fmx.train import loop
from fmx.train.stages import TITLES, Stage, trained_variables
from fmx.train.step import Variables, replicate
from tfds_300vw import pictures
from tfds_300vw.options import ClipOptions
from tfds_300vw.video import VideoWriter

DATASET = 'drawn'
VIDEO_SIZE = 256  # Pixels of a side of one picture in the video.


class ShownFrame(NamedTuple):
  """One test frame, its labels and what each model makes of it; uint8 [H, W, 3] and [H, W]."""

  caption: str
  frame: np.ndarray
  labels: np.ndarray
  predictions: dict[str, np.ndarray]  # By title of the model.


def run(config: ConfigDict, folder: pathlib.Path) -> None:
  """Does all of it; a repeated command goes on where it was interrupted.

  Args:
    config: As `configs/demo.py`.
    folder: Where everything goes: `videos`, `data`, `run`, `masks.png` and `masks.mp4`.
  """
  config = config.copy_and_resolve_references()
  prepare(config, folder)
  jobs.train(config, folder / 'run')
  clips = list(shown_clips(config, folder / 'run'))
  write_picture(clips, folder / 'masks.png')
  write_video(clips, folder / 'masks.mp4')
  print(f'Look at {folder / "masks.png"} and {folder / "masks.mp4"}.')


def prepare(config: ConfigDict, folder: pathlib.Path) -> None:
  """Draws the videos, builds the dataset out of them and names it in the configuration."""
  faces = config.demo
  write_dataset(
    folder / 'videos',
    num_videos=faces.num_videos,
    num_frames=faces.num_frames,
    size=faces.size,
    seed=faces.seed,
    workers=max(config.data.workers, 1),
  )
  builder = tfds_300vw.Builder(
    config=tfds_300vw.MaskConfig(
      name=DATASET,
      description='Drawn faces.',
      options=ClipOptions(fraction=1.0, seed=faces.seed),
    ),
    data_dir=folder / 'data',
    file_format='array_record',
    num_workers=max(config.data.workers, 1),
  )
  builder.download_and_prepare(
    download_config=tfds.download.DownloadConfig(manual_dir=folder / 'videos')
  )
  config.data.data_dir = str(folder / 'data')
  config.data.dataset = f'the300vw_mask/{DATASET}'


def shown_clips(config: ConfigDict, workdir: pathlib.Path) -> Iterator[list[ShownFrame]]:
  """Yields the test clips, one of each video, with the predictions of every trained stage."""
  dataset = open_dataset(config.data.dataset, config.data.data_dir)
  by_model = {}
  for name in config.stages:
    stage = Stage(name, config, dataset, workdir / name)
    _, variables, _ = trained_variables(stage)
    by_model[TITLES[name]] = loop.eval_windows(
      stage,
      loop.eval_fn(stage),
      replicate(Variables(variables['params'], variables['batch_stats'])),
      config.evaluation.split,
      batch_size=config.evaluation.batch_size,
      keep_frames=True,
    )
  clips: dict[str, list[ShownFrame]] = {}
  chosen: dict[str, str] = {}  # Clip by video.
  for pairs in zip(*by_model.values(), strict=True):
    window = pairs[0][0]
    if chosen.setdefault(window.video_id, window.clip) != window.clip:
      continue
    for time, (frame, labels) in enumerate(zip(window.frames, window.labels)):
      predictions = {
        title: protocol.predict(logits[time], *labels.shape)
        for title, (_, logits) in zip(by_model, pairs)
      }
      caption = f'{window.video_id}  frame {window.frame_numbers[time]}'
      clips.setdefault(window.clip, []).append(ShownFrame(caption, frame, labels, predictions))
  yield from clips.values()


def write_picture(clips: list[list[ShownFrame]], path: pathlib.Path, num_frames: int = 8) -> None:
  """Draws the frames on which the models differ most, with labels and predictions below."""
  differing = sorted(
    (shown for clip in clips for shown in clip),
    key=lambda shown: -np.mean(np.ptp(list(shown.predictions.values()), axis=0) > 0),
  )[:num_frames]
  rows = [pictures.Row([s.frame for s in differing], [s.caption for s in differing])]
  rows.append(_painted('labels', differing, [s.labels for s in differing]))
  for title in differing[0].predictions:
    rows.append(_painted(title, differing, [s.predictions[title] for s in differing]))
  Image.fromarray(pictures.sheet(rows)).save(path)


def write_video(clips: list[list[ShownFrame]], path: pathlib.Path) -> None:
  """Writes frame, labels and predictions side by side, clip after clip."""
  with VideoWriter(path, 30) as writer:
    for shown in (shown for clip in clips for shown in clip):
      masks = [shown.labels, *shown.predictions.values()]
      views = [shown.frame, *(pictures.overlay(shown.frame, mask) for mask in masks)]
      scaled = [
        np.asarray(Image.fromarray(view).resize((VIDEO_SIZE, VIDEO_SIZE))) for view in views
      ]
      writer.write(np.concatenate(scaled, axis=1))


def _painted(title: str, shown: list[ShownFrame], masks: list[np.ndarray]) -> pictures.Row:
  painted = [pictures.overlay(one.frame, mask) for one, mask in zip(shown, masks)]
  return pictures.Row(painted, [title] * len(painted))
