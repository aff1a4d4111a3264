"""The folder of one extraction: it belongs to one video, weights and options.

What is not whole yet lies in its folder `unfinished`, which is removed at the end.
"""

import contextlib
import json
import os
import pathlib
import shutil
from collections.abc import Iterator
from typing import Any

UNFINISHED = 'unfinished'
PARTS = 'parts'  # In the folder of what is unfinished.
CLAIM = 'extraction.json'
OVERLAY = 'overlay.mp4'
SUMMARY = 'summary.json'  # Written last.
OUTPUTS = (SUMMARY, OVERLAY, 'masks', 'masks.mkv', 'faces', 'faces.mkv')


def is_finished(workdir: pathlib.Path, made_of: dict[str, Any]) -> bool:
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
  differing = _differences(made_of, _read(path))
  if differing and _has_begun(workdir):
    raise ValueError(
      f'{workdir} holds masks of another extraction: {"; ".join(differing)}. '
      'Give another --workdir, or the same options.'
    )
  return not differing and (workdir / SUMMARY).is_file()


def claim(workdir: pathlib.Path, made_of: dict[str, Any]) -> None:
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
    raise OSError(
      f'{workdir} cannot be written ({error.strerror}): give another --workdir, or make room there.'
    ) from error


@contextlib.contextmanager
def finishing(workdir: pathlib.Path, name: str) -> Iterator[pathlib.Path]:
  """Gives the path to write a file at; it gets its own name when it is whole."""
  path = workdir / UNFINISHED / name
  path.parent.mkdir(parents=True, exist_ok=True)
  yield path
  os.replace(path, workdir / name)


def _has_begun(workdir: pathlib.Path) -> bool:
  parts = workdir / UNFINISHED / PARTS
  return (workdir / SUMMARY).exists() or any(parts.glob('[0-9]' * 6))


def _differences(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
  """What differs between two extractions, one text for each value."""
  ours, theirs = (
    {f'{of}.{name}': value for of, values in tree.items() for name, value in (values or {}).items()}
    for tree in (ours, theirs)
  )
  return [
    f'{name} is {ours.get(name, "absent")!r}, there {theirs.get(name, "absent")!r}'
    for name in sorted(ours.keys() | theirs.keys())
    if ours.get(name, ...) != theirs.get(name, ...)
  ]


def _read(path: pathlib.Path) -> dict[str, Any]:
  try:
    content = json.loads(path.read_bytes())
    if not isinstance(content, dict):
      raise ValueError(f'it holds {content!r:.40}')
  except ValueError as error:
    raise ValueError(f'{path} cannot be read ({error}): give another --workdir.') from error
  return content
