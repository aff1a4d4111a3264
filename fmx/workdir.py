"""The folder of one run: it belongs to one configuration, and a repeated command goes on in it."""

import contextlib
import fcntl
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import jax
from ml_collections import ConfigDict

CONFIG_FILE = 'config.json'
LOCK_FILE = '.lock'
# What may differ when a run goes on: how it is computed, not what.
FREE = frozenset({'data.workers', 'data.data_dir', 'log_every', 'evaluation.batch_size'})
OTHER_JOBS = ('weights', 'checkpoint', 'video', 'contact_sheet', 'extraction.', 'benchmark.')


def claim(workdir: pathlib.Path, config: ConfigDict) -> None:
  """Writes the configuration into the workdir, or checks that it is the one there.

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
    theirs = _read(path)
    differing = differences(ours, theirs)
    if differing:
      raise ValueError(
        f'{workdir} holds a run of another configuration: {"; ".join(differing)}. '
        'Give another --workdir, or the same options.'
      )
    return
  partial = workdir / f'{CONFIG_FILE}.{os.getpid()}.partial'  # Not that of another process.
  try:
    workdir.mkdir(parents=True, exist_ok=True)
    partial.write_text(json.dumps(ours, indent=2) + '\n')
    os.replace(partial, path)
  except OSError as error:
    with contextlib.suppress(OSError):
      partial.unlink()
    raise _unwritable(workdir, error) from error


@contextlib.contextmanager
def held(workdir: pathlib.Path) -> Iterator[None]:
  """Keeps other runs out of a workdir, until the context or the process ends.

  Of several processes of one run the first does.

  Args:
    workdir: Created if it is not there.

  Raises:
    ValueError: another run holds it.
    OSError: the folder cannot be written.
  """
  if jax.process_index() != 0:
    yield
    return
  try:
    workdir.mkdir(parents=True, exist_ok=True)
    file = open(workdir / LOCK_FILE, 'a')  # noqa: SIM115 (closed below)
  except OSError as error:
    raise _unwritable(workdir, error) from error
  with file:  # The lock ends with the process, however that ends.
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
      raise ValueError(
        f'Another run is at work in {workdir}: wait for its end, or give another --workdir.'
      ) from error
    yield


def differences(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
  """What differs between two configurations and must not, one text an option."""
  ours, theirs = _flat(ours), _flat(theirs)
  return [
    f'{name} is {ours.get(name, "absent")!r}, there {theirs.get(name, "absent")!r}'
    for name in sorted(ours.keys() | theirs.keys())
    if name not in FREE
    and not name.startswith(OTHER_JOBS)
    and ours.get(name, ...) != theirs.get(name, ...)
  ]


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


def _unwritable(workdir: pathlib.Path, error: OSError) -> OSError:
  return OSError(
    f'{workdir} cannot be written ({error.strerror}): give another --workdir, or make room there.'
  )


def _read(path: pathlib.Path) -> dict[str, Any]:
  try:
    content = json.loads(path.read_bytes())
    if not isinstance(content, dict):
      raise ValueError(f'it holds {content!r:.40}')
  except ValueError as error:
    raise ValueError(
      f'{path} is no configuration ({error}): restore it from a copy, or take another --workdir.'
    ) from error
  return content


def _flat(tree: dict[str, Any], prefix: str = '') -> dict[str, Any]:
  """Values by dotted path."""
  flat = {}
  for name, value in tree.items():
    if isinstance(value, dict):
      flat |= _flat(value, f'{prefix}{name}.')
    else:
      flat[f'{prefix}{name}'] = value
  return flat
