"""The folder of one run: it belongs to one configuration, and a repeated command goes on in it.

A training writes its configuration there, an extraction what its masks are made of. What an
extraction has not finished lies in the folder `unfinished`, which is removed at the end.
"""

import contextlib
import fcntl
import json
import pathlib
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

import jax
from ml_collections import ConfigDict

from tfds_300vw import placing

LOCK_FILE = '.lock'
# Of a training.
CONFIG_FILE = 'config.json'
# What runs were before there was a choice: of configurations that do not say it.
ABSENT = {
  'model.trunk': 'resnet50',
  'model.memory': 'top',
  'data.spoiled_frames': 0.0,
  'fcn.stillness': 0.0,
  'convlstm.stillness': 0.0,
}
# What may differ when a run goes on: how it is computed, not what.
FREE = frozenset({'data.workers', 'data.data_dir', 'log_every', 'evaluation.batch_size'})
# What training has nothing to do with.
OTHER_JOBS = (
  'evaluation.dense_crf.',
  'weights',
  'checkpoint',
  'video',
  'cluster',
  'many.',
  'contact_sheet',
  'plot',
  'extraction.',
  'format',
  'benchmark.',
  'app.',
)
# Of an extraction.
CLAIM = 'extraction.json'
CLAIM_MANY = 'extractions.json'  # Of many.
UNFINISHED = 'unfinished'
PARTS = 'parts'  # In the folder of what is unfinished.
SHOTS = 'shots'  # Likewise: a folder for each, as of an extraction of its own.
OVERLAY = 'overlay.mp4'
MEASUREMENTS, MEASUREMENTS_CSV = 'measurements.parquet', 'measurements.csv'
PLOT = 'measurements.png'
CUTOUT = 'cutout.webm'
COCO, COCO_LINES = 'coco.json', 'coco.jsonl'  # The lines are those of a part.
SUMMARY = 'summary.json'  # Written last.
OUTPUTS = (
  SUMMARY,
  OVERLAY,
  'masks',
  'masks.mkv',
  'faces',
  'faces.mkv',
  MEASUREMENTS,
  MEASUREMENTS_CSV,
  PLOT,
  CUTOUT,
  COCO,
)


class HeldError(ValueError):
  """Another run is at work in a folder."""


def folder_of(video: str) -> pathlib.Path:
  """Where the masks of a video go if nobody says: clip.mp4's to clip_masks in the current folder.

  Args:
    video: The path of a file or a folder, which need not be there.
  """
  path = pathlib.Path(video).expanduser().absolute()
  name = path.resolve().name if path.is_dir() else path.stem
  return pathlib.Path(f'{name or "video"}_masks')


@contextlib.contextmanager
def held(workdir: pathlib.Path) -> Iterator[None]:
  """Keeps other runs out of a workdir, until the context or the process ends.

  Of several processes of one run the first does.

  Args:
    workdir: Created if it is not there.

  Raises:
    HeldError: another run holds it.
    OSError: the folder cannot be written.
  """
  if jax.process_index() != 0:
    yield
    return
  try:
    placing.make_folder(workdir)
    file = open(workdir / LOCK_FILE, 'a')  # noqa: SIM115 (closed below)
  except OSError as error:
    raise _unwritable(workdir, error) from error
  with file:  # The lock ends with the process, however that ends.
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
      raise HeldError(
        f'Another run is at work in {workdir}: wait for its end, or give another --workdir.'
      ) from error
    yield


def claim(workdir: pathlib.Path, config: ConfigDict) -> None:
  """Writes the configuration of a training into the workdir, or checks that it is the one there.

  While nothing was saved in the workdir, the configuration there may be replaced by another.

  Args:
    workdir: Created if it is not there.
    config: Of the run.

  Raises:
    ValueError: the workdir is another configuration's; the message lists what differs.
    OSError: the folder cannot be written.
  """
  ours = json.loads(json.dumps(config.to_dict()))  # JSON has no tuples.
  path = workdir / CONFIG_FILE
  if path.exists() and any(workdir.glob('*/checkpoints/*/')):
    differing = differences(ours, _read_config(path))
    if differing:
      raise ValueError(
        f'{workdir} holds a run of another configuration: {"; ".join(differing)}. '
        'Give another --workdir, or the same options.'
      )
    return
  try:
    placing.make_folder(workdir)
    placing.write(path, json.dumps(ours, indent=2) + '\n')
  except OSError as error:
    raise _unwritable(workdir, error) from error


def load_config(workdir: pathlib.Path) -> ConfigDict:
  """The configuration of a training.

  Raises:
    FileNotFoundError: the folder is not a workdir.
    ValueError: its configuration cannot be read.
  """
  path = workdir / CONFIG_FILE
  if not path.is_file():
    raise FileNotFoundError(f'{workdir} is not the workdir of a run: it has no {CONFIG_FILE}.')
  config = ConfigDict(_read_config(path), convert_dict=True)
  for option, value in ABSENT.items():
    group, _, name = option.partition('.')
    if group in config and name not in config[group]:
      config[group][name] = value
  return config


def differences(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
  """What differs between two configurations and must not, one text an option."""
  ours, theirs = (
    {name: value for name, value in deciding(tree).items() if not name.startswith(OTHER_JOBS)}
    for tree in (ours, theirs)
  )
  return _differing(ours, theirs)


def deciding(tree: dict[str, Any]) -> dict[str, Any]:
  """The options of a configuration that decide what is computed, by their whole names."""
  return {name: value for name, value in (ABSENT | _flat(tree)).items() if name not in FREE}


def is_extracted(workdir: pathlib.Path, made_of: dict[str, Any]) -> bool:
  """Whether this very extraction is done in the workdir.

  Args:
    workdir: It need not exist.
    made_of: What decides the masks, as JSON has it.

  Raises:
    ValueError: the workdir holds another extraction (the message says what differs), or files that
      no extraction left there.
  """
  path = workdir / CLAIM
  if not path.is_file():
    foreign = [name for name in OUTPUTS if (workdir / name).exists()]
    if foreign:
      raise ValueError(
        f'{workdir} holds {foreign[0]}, but no {CLAIM} that says of what: give another --workdir.'
      )
    return False
  try:
    theirs = _read_json(path)
  except ValueError as error:
    raise ValueError(f'{path} cannot be read ({error}): give another --workdir.') from error
  # A part that one of the two has not, such as weights, has no values to compare.
  differing = _differing(
    *(_flat({of: values or {} for of, values in tree.items()}) for tree in (made_of, theirs))
  )
  if differing and _has_begun(workdir):
    raise ValueError(
      f'{workdir} holds masks of another extraction: {"; ".join(differing)}. '
      'Give another --workdir, or the same options.'
    )
  return not differing and (workdir / SUMMARY).is_file()


def claim_extraction(workdir: pathlib.Path, made_of: dict[str, Any]) -> None:
  """Takes a workdir in which another extraction has not begun.

  Raises:
    OSError: the folder cannot be written.
  """
  try:
    if not _has_begun(workdir):
      shutil.rmtree(workdir / UNFINISHED, ignore_errors=True)
    with finishing(workdir, CLAIM) as path:
      path.write_text(json.dumps(made_of, indent=2) + '\n')
  except OSError as error:
    raise _unwritable(workdir, error) from error


def claim_many(workdir: pathlib.Path, made_of: dict[str, Any]) -> None:
  """Takes a workdir for extractions of many videos, all with the same weights and options.

  Raises:
    ValueError: it holds those with others; the message says what differs.
    OSError: the folder cannot be written.
  """
  path = workdir / CLAIM_MANY
  try:
    if not path.is_file():
      placing.write(path, json.dumps(made_of, indent=2) + '\n')
  except OSError as error:
    raise _unwritable(workdir, error) from error
  try:
    differing = _differing(_flat(made_of), _flat(_read_json(path)))
  except ValueError as error:
    raise ValueError(f'{path} cannot be read ({error}): give another --workdir.') from error
  if differing:
    raise ValueError(
      f'{workdir} holds masks with other options: {"; ".join(differing)}. '
      'Give another --workdir, or the same options.'
    )


@contextlib.contextmanager
def finishing(workdir: pathlib.Path, name: str) -> Iterator[pathlib.Path]:
  """Gives the path to write a file at; it gets its own name when the disk has all of it."""
  path = workdir / UNFINISHED / name
  placing.make_folder(path.parent)
  yield path
  placing.place(path, workdir / name)


def _has_begun(workdir: pathlib.Path) -> bool:
  number, unfinished = '[0-9]' * 6, workdir / UNFINISHED
  return (
    (workdir / SUMMARY).exists()
    or any(unfinished.glob(f'{PARTS}/{number}'))
    or any(unfinished.glob(f'{SHOTS}/*/{UNFINISHED}/{PARTS}/{number}'))
  )


def _unwritable(workdir: pathlib.Path, error: OSError) -> OSError:
  return OSError(
    f'{workdir} cannot be written ({error.strerror}): give another --workdir, or make room there.'
  )


def _read_config(path: pathlib.Path) -> dict[str, Any]:
  try:
    return _read_json(path)
  except ValueError as error:
    raise ValueError(
      f'{path} is no configuration ({error}): restore it from a copy, or take another --workdir.'
    ) from error


def _read_json(path: pathlib.Path) -> dict[str, Any]:
  content = json.loads(path.read_bytes())
  if not isinstance(content, dict):
    raise ValueError(f'it holds {content!r:.40}')
  return content


def _flat(tree: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
  """Values by dotted path."""
  flat: dict[str, Any] = {}
  for name, value in tree.items():
    if isinstance(value, dict):
      flat |= _flat(value, f'{prefix}{name}.')
    else:
      flat[f'{prefix}{name}'] = value
  return flat


def _differing(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
  """One text for each value that is not the same."""
  return [
    f'{name} is {ours.get(name, "absent")!r}, there {theirs.get(name, "absent")!r}'
    for name in sorted(ours.keys() | theirs.keys())
    if ours.get(name, ...) != theirs.get(name, ...)
  ]
