"""The job 'study' of `run.py`: one training after another, each with one change, and a table."""

from __future__ import annotations

import json
import logging
import pathlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ml_collections import ConfigDict

from fmx import jobs, weights, workdir
from fmx.data.prepared import Dataset, open_dataset
from fmx.evaluation import tables, whole_frames
from fmx.train.stages import TITLES
from tfds_300vw import placing

RESULTS = 'study.json'  # Of one run.
SEEN, HIDDEN = 'seen', 'hidden'
_logger = logging.getLogger(__name__)


def run(config: ConfigDict, folder: pathlib.Path) -> dict[str, Any]:
  """Trains and evaluates every run that is not done, and writes the table of those that are.

  The same command goes on where it was interrupted.

  Args:
    config: As `configs/ablations.py`: `base` is the configuration of a training of whole faces,
      `runs` has pairs (name, changes), the changes as pairs (option, value); `photographs` names
      the dataset of whole frames that the networks are tried on.
    folder: The workdir; each run has a folder of its own in it.

  Returns:
    By name of the run the results on whole frames, as they are and with a quarter of each face
    hidden, and those of its own test split.

  Raises:
    ValueError: a change or two names make no sense, or the data do not fit.
    OSError: data or checkpoints cannot be read or written.
    Stopped: the process was asked to stop.
  """
  trainings = configurations(config)
  photographs = open_dataset(config.photographs, config.base.data.data_dir)
  results: dict[str, Any] = {}
  for name, training in trainings.items():
    at = folder / slug(name)
    _logger.info('%s (%d of %d)', name, len(results) + 1, len(trainings))
    if not (at / RESULTS).is_file():
      trained = jobs.train(training, at)
      measured = try_out(at, photographs) | {'test': trained[TITLES[training.stages[-1]]]}
      jobs.write_json(at / RESULTS, measured)
    else:
      workdir.claim(at, training)
    results[name] = json.loads((at / RESULTS).read_bytes())
    table = rows(results)
    jobs.write_json(folder / 'results.json', results)
    placing.write(folder / 'results.md', tables.as_markdown(table))
  print(tables.as_text(table))
  return results


def configurations(config: ConfigDict) -> dict[str, ConfigDict]:
  """The configuration of each run by its name.

  Raises:
    ValueError: two runs have one folder, or there is no such option.
  """
  trainings: dict[str, ConfigDict] = {}
  for name, changes in config.runs:
    training = changed(config.base, name, changes)
    if slug(name) in map(slug, trainings):
      raise ValueError(f'runs: two have the folder {slug(name)!r}: give them other names.')
    trainings[name] = training
  if not trainings:
    raise ValueError('runs is empty: name at least one.')
  return trainings


def changed(base: ConfigDict, name: str, changes: Iterable[tuple[str, Any]]) -> ConfigDict:
  """A copy of a configuration with other values of a few options.

  Args:
    base: What is copied.
    name: Of the run, for the message.
    changes: Pairs (option, value), the groups of an option joined by dots.

  Raises:
    ValueError: there is no such option, or the value is of another type.
  """
  config = base.copy_and_resolve_references().lock()  # A misspelt option would be a new one.
  try:
    config.update_from_flattened_dict(dict(changes))
  except (KeyError, TypeError) as error:
    raise ValueError(f'runs: {name!r} cannot be set: {error}') from error
  return config


def try_out(folder: pathlib.Path, photographs: Dataset) -> dict[str, Any]:
  """What a trained network makes of whole frames whose faces are given, seen and hidden."""
  label = whole_frames.systems(weights.load(folder))[whole_frames.GIVEN]
  results: dict[str, Any] = {}
  for name in (SEEN, HIDDEN):
    scores = whole_frames.evaluate(
      {whole_frames.GIVEN: label}, photographs, 'test', hidden=name == HIDDEN
    )
    results[name] = scores[whole_frames.GIVEN].result()
  return results


def rows(results: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
  """The table, in %: mIoU, the IoU of each class, and what hiding a quarter of each face leaves."""
  first = next(iter(results.values()))
  classes = [name for name in first[SEEN]['iou'] if name != 'background']
  table = [['run', 'mIoU', 'change', *classes, 'hidden', 'change']]
  for name, result in results.items():
    cells = [tables.percent(result[SEEN]['iou'][label]) for label in classes]
    seen, hidden = (
      (tables.percent(result[kind]['miou']), _change(result, first, kind))
      for kind in (SEEN, HIDDEN)
    )
    table.append([name, *seen, *cells, *hidden])
  return table


def slug(name: str) -> str:
  """A name as that of a folder."""
  return re.sub(r'[^a-z0-9]+', '_', name.lower()).strip('_')


def _change(result: Mapping[str, Any], first: Mapping[str, Any], kind: str) -> str:
  if result is first:
    return tables.ABSENT
  return f'{100 * (result[kind]["miou"] - first[kind]["miou"]):+.2f}'
