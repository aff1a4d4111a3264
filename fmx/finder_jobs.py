"""The jobs 'train_finder' and 'evaluate_finder' of `run.py`."""

from __future__ import annotations

import functools
import json
import logging
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from fmx import weights, workdir
from fmx.data.finder_frames import backgrounds, choose, read_others
from fmx.data.finder_pictures import Painter, Scenes
from fmx.data.prepared import FrameExample, FrameExamples, open_dataset
from fmx.drawing.videos import draw_video
from fmx.evaluation import finders, tables
from fmx.finding.finder import Finder
from fmx.finding.peers import PEERS
from fmx.train import finder
from tfds_300vw import placing

_logger = logging.getLogger(__name__)


class Drawn(Sequence[FrameExample]):
  """Single frames of drawn faces."""

  def __init__(self, number: int, side: int):
    """Draws nothing yet.

    Args:
      number: Of frames, each of another person.
      side: Of a frame, pixels, roughly.
    """
    self._number, self._side = number, side

  def __len__(self) -> int:
    return self._number

  def __getitem__(self, index: int) -> FrameExample:  # type: ignore[override]  # No slices.
    ((image, landmarks),) = draw_video(1, index, 1, self._side)
    return FrameExample(
      image=image,
      landmarks=landmarks[None].astype(np.float32),
      others=np.zeros((0, 4), np.float32),
      video_id=f'drawn_{index}',
      frame_number=1,
      from_people=False,
    )


def train(config: ConfigDict, folder: pathlib.Path) -> None:
  """Trains the finder, puts its weights into the folder and says what it misses.

  The same command goes on where it was interrupted.

  Args:
    config: As `configs/finder.py`.
    folder: The workdir.

  Raises:
    ValueError: the configuration does not fit the data, the devices or the workdir.
    OSError: data or checkpoints cannot be read or written.
    Stopped: the process was asked to stop.
  """
  options = config.finder
  dataset = open_dataset(config.data.dataset, config.data.data_dir)
  others = read_others(options.others)
  photographs, videos = choose(FrameExamples(dataset, 'train'), others)
  room = int(options.memory * 2**20)
  drawn = Drawn(options.drawn_faces, options.side)
  shares = {'photographs': photographs, 'videos': videos, 'drawn': drawn}
  sources = tuple(
    (Scenes(frames, room=room // 2), options.shares[name])
    for name, frames in shares.items()
    if len(frames) and options.shares[name] > 0
  )
  if not sources:
    raise ValueError(f'{config.data.dataset} has nothing to train on: see finder.shares.')
  painter = Painter(options.side, sources, backgrounds())
  _logger.info(
    'Finder: %d photographs, %d frames of videos, %d pictures without a face.',
    len(photographs),
    len(videos),
    len(painter.backgrounds),
  )
  validation, _ = choose(FrameExamples(dataset, 'validation'), others)
  if not len(validation):
    validation = choose(FrameExamples(dataset, 'validation'), others)[1]

  faces = sum(len(frame.landmarks) for frame in validation)

  def validate(model: weights.FinderModel) -> dict[str, float]:
    found = finders.of(Finder(model))
    return {
      'found': 1 - finders.missed(found, validation) / faces,
      'found_45': 1 - finders.missed(found, validation, turn=45) / faces,
    }

  with workdir.held(folder):
    workdir.claim(folder, config)
    finder.train(
      training_options(config),
      painter,
      folder / 'finder',
      validate=validate,
      trained={'dataset': config.data.dataset},
    )


def evaluate(config: ConfigDict, folder: pathlib.Path) -> dict[str, Any]:
  """Says what a finder misses, and peers beside it.

  Args:
    config: As `configs/evaluate_finder.py`.
    folder: Where `results.json` and `results.md` go.

  Returns:
    The results by name.

  Raises:
    ValueError: the configuration does not fit the data, the weights have no finder, or a peer is
      not installed.
    OSError: data or weights cannot be read.
  """
  options = config.finder_evaluation
  models = weights.load(config.weights)
  if weights.FINDER not in models:
    raise ValueError(
      f'The weights {config.weights} have no finder: train one by configs/finder.py.'
    )
  ours = Finder(models[weights.FINDER])
  detectors = {'ours': finders.of(ours)}
  for name in options.peers:
    detectors[name] = finders.reduced(peer(name))
  dataset = open_dataset(config.data.dataset, config.data.data_dir)
  others = read_others(config.finder.others)
  photographs, videos = choose(FrameExamples(dataset, options.split), others)
  examples = photographs if len(photographs) else videos
  empty = finders.empty_parts(examples)
  results = {}
  for name, detect in detectors.items():
    _logger.info('Evaluating %s.', name)
    results[name] = finders.evaluate(detect, examples, empty)
    at_once = ours if name == 'ours' else functools.partial(_one_by_one, detect)
    results[name]['images_per_second'] = finders.images_per_second(at_once)
  placing.make_folder(folder)
  placing.write(folder / 'results.json', json.dumps(results, indent=2) + '\n')
  rows = finders.rows(results)
  placing.write(folder / 'results.md', tables.as_markdown(rows))
  print(tables.as_text(rows))
  return results


def peer(name: str) -> finders.Detector:
  """A detector of others.

  Raises:
    ValueError: there is none of that name, or it is not installed.
  """
  if name not in PEERS:
    raise ValueError(f'finder_evaluation.peers has {name!r}; there are {", ".join(PEERS)}.')
  try:
    return PEERS[name]()
  except ImportError as error:
    raise ValueError(f'{name} is not installed ({error}): pip install fmx[peers].') from error


def _one_by_one(detect: finders.Detector, frames: np.ndarray) -> list[np.ndarray]:
  return [detect(frame) for frame in frames]


def training_options(config: ConfigDict) -> finder.Options:
  """What `fmx.train.finder` needs of a configuration."""
  options = config.finder
  network = {name: options[name] for name in weights.FINDER_OPTIONS}
  return finder.Options(
    begin=variables_of(options.pretrained, network) if options.pretrained else None,
    network=network,
    steps=options.steps,
    batch_size=options.batch_size,
    learning_rate=options.learning_rate,
    warmup=options.warmup,
    weight_decay=options.weight_decay,
    average=options.average,
    save_every=options.save_every,
    log_every=config.log_every,
    workers=config.data.workers,
    seed=config.seed,
  )


def variables_of(folder: str, network: dict[str, Any]) -> Any:
  """The variables of the finder in a folder of weights.

  Raises:
    ValueError: there is none, or it is made of other things than `network` says.
    OSError: the weights are damaged or not there.
  """
  model = weights.load(folder).get(weights.FINDER)
  if model is None:
    raise ValueError(f'{folder} has no finder to begin with: leave finder.pretrained empty.')
  if model.options != network:
    described = ', '.join(f'{name} {value}' for name, value in model.options.items())
    raise ValueError(f'{folder} has a finder of {described}: set finder.… likewise.')
  return model.variables
