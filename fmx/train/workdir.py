"""The folder of one run: it belongs to one configuration, and a repeated command goes on in it."""

import json
import os
import pathlib
from typing import Any

from ml_collections import ConfigDict

CONFIG_FILE = 'config.json'
# What may differ when a run goes on: how it is computed, not what.
FREE = frozenset({'data.workers', 'data.data_dir', 'log_every'})


def claim(workdir: pathlib.Path, config: ConfigDict) -> None:
  """Writes the configuration into a new workdir, or checks that it is the one there.

  Args:
    workdir: Created if it is not there.
    config: Of the run.

  Raises:
    ValueError: the workdir is another configuration's; the message lists what differs.
    OSError: the folder cannot be written.
  """
  path = workdir / CONFIG_FILE
  if not path.exists():
    workdir.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix('.partial')
    partial.write_text(json.dumps(config.to_dict(), indent=2) + '\n')
    os.replace(partial, path)
    return
  ours, theirs = _flat(json.loads(json.dumps(config.to_dict()))), _flat(_read(path))
  differing = [
    f'{name} is {ours.get(name, "absent")!r}, there {theirs.get(name, "absent")!r}'
    for name in sorted(ours.keys() | theirs.keys())
    if name not in FREE and ours.get(name, ...) != theirs.get(name, ...)
  ]
  if differing:
    raise ValueError(
      f'{workdir} holds a run of another configuration: {"; ".join(differing)}. '
      'Give another --workdir, or the same options.'
    )


def load_config(workdir: pathlib.Path) -> ConfigDict:
  """The configuration of a run.

  Raises:
    FileNotFoundError: the folder is not a workdir.
    ValueError: its configuration cannot be read.
  """
  path = workdir / CONFIG_FILE
  if not path.is_file():
    raise FileNotFoundError(f'{workdir} is not the workdir of a run: it has no {CONFIG_FILE}.')
  return ConfigDict(_read(path), convert_dict=True)


def _read(path: pathlib.Path) -> dict[str, Any]:
  try:
    return json.loads(path.read_text())
  except ValueError as error:
    raise ValueError(f'{path} is not JSON ({error}): restore it or delete the run.') from error


def _flat(tree: dict[str, Any], prefix: str = '') -> dict[str, Any]:
  """Values by dotted path."""
  flat = {}
  for name, value in tree.items():
    if isinstance(value, dict):
      flat |= _flat(value, f'{prefix}{name}.')
    else:
      flat[f'{prefix}{name}'] = value
  return flat
