"""Where videos are and masks go: local paths, and whatever fsspec knows by its address."""

import contextlib
import json
import pathlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

from fmx.extraction import sources
from fmx.workdir import SUMMARY

SUFFIXES = ('.avi', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.ts', '.webm', '.wmv')
_LIST = '.txt'
_VERSIONS = ('ETag', 'etag', 'LastModified', 'updated', 'mtime', 'created')  # As fsspec has them.


def is_local(address: str) -> bool:
  """Whether it is a path, and no address such as s3://bucket/clip.mp4."""
  return '://' not in address


def absolute(address: str) -> str:
  """The same address, whatever folder it is read in."""
  return str(pathlib.Path(address).expanduser().absolute()) if is_local(address) else address


def listed(videos: str) -> list[str]:
  """The addresses of videos, each once.

  Args:
    videos: A folder (its videos, by suffix), a glob, a text file (.txt) with an address a line, or
      one video; paths, or addresses that fsspec knows.

  Raises:
    ValueError: nothing is given, there is no video, or fsspec cannot open the address.
    OSError: a folder or a list cannot be read.
  """
  if not videos:
    raise ValueError(
      "videos is '': give a folder, a glob or a text file of paths, for instance "
      "--config.videos='in/*.mp4'."
    )
  if videos.endswith(_LIST):
    lines = (line.strip() for line in _read(videos).splitlines())
    found = [line for line in lines if line and not line.startswith('#')]
  else:
    found = _found(videos)
  found = list(dict.fromkeys(absolute(address) for address in found))
  if not found:
    raise ValueError(f'{videos}: there is no video; check the path.')
  return found


def identity(address: str) -> dict[str, Any]:
  """What tells a video from another, or from itself after a change; see `sources.identity`.

  Raises:
    OSError: it is not there.
    ValueError: fsspec cannot open the address.
  """
  if is_local(address):
    path = pathlib.Path(address)
    if path.is_dir():
      return sources.identity(path, sources.open_source(path).files)
    return sources.identity(path, [path])
  fs, name = _opened(address)
  info = _asked(address, fs.info, name)
  version = next((info[kind] for kind in _VERSIONS if info.get(kind)), 0)
  return {'path': address, 'files': 1, 'bytes': info.get('size'), 'modified': str(version)}


@contextlib.contextmanager
def fetched(address: str) -> Iterator[pathlib.Path]:
  """Gives the path of a video: its own, or that of a copy, which is removed."""
  if is_local(address):
    yield pathlib.Path(address)
    return
  fs, path = _opened(address)
  with tempfile.TemporaryDirectory(prefix='fmx-') as folder:
    copy = pathlib.Path(folder) / path.rpartition('/')[2]
    _asked(address, fs.get_file, path, str(copy))
    yield copy


@contextlib.contextmanager
def working_folder(
  address: str, needed: Sequence[str], keep: str | None = None
) -> Iterator[pathlib.Path]:
  """Gives a local folder for what is to lie at an address: the folder there, or a copy of it.

  What a copy has got goes to the address when the context ends without an error, the summary last:
  where that is, all is.

  Args:
    address: Of the folder.
    needed: Files and folders in it that a copy has to have.
    keep: A folder in it, which alone goes there; None for all.
  """
  if is_local(address):
    yield pathlib.Path(address)
    return
  fs, there = _opened(address)
  with tempfile.TemporaryDirectory(prefix='fmx-') as folder:
    here = pathlib.Path(folder)
    for name in needed:
      if fs.exists(f'{there}/{name}'):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        _asked(address, fs.get, f'{there}/{name}', str(here / name), recursive=True)
    yield here
    files = [file for file in (here / (keep or '')).rglob('[!.]*') if file.is_file()]
    for file in sorted(files, key=lambda file: (file.name == SUMMARY, file)):
      name = file.relative_to(here).as_posix()
      fs.makedirs(f'{there}/{name}'.rpartition('/')[0], exist_ok=True)
      _asked(address, fs.put_file, str(file), f'{there}/{name}')


def remove(address: str) -> None:
  """Removes a folder, if it is there."""
  if is_local(address):
    shutil.rmtree(address, ignore_errors=True)
    return
  fs, path = _opened(address)
  if fs.exists(path):
    fs.rm(path, recursive=True)


def _found(videos: str) -> list[str]:
  if is_local(videos):
    path = pathlib.Path(videos).expanduser()
    if path.is_dir():
      return sorted(str(file) for file in path.iterdir() if _is_video(file.name))
    if path.exists():
      return [str(path)]
    anchor = path.anchor or '.'
    return sorted(map(str, pathlib.Path(anchor).glob(str(path.relative_to(path.anchor)))))
  fs, pattern = _opened(videos)
  if fs.isdir(pattern):
    names = [name for name in fs.ls(pattern, detail=False) if _is_video(name)]
  else:
    names = fs.glob(pattern)
  return sorted(fs.unstrip_protocol(name) for name in names)


def _is_video(name: str) -> bool:
  path = pathlib.PurePath(name)
  return path.suffix.lower() in SUFFIXES and not path.name.startswith('.')


def _read(address: str) -> str:
  if is_local(address):
    return pathlib.Path(address).expanduser().read_text()
  fs, path = _opened(address)
  return _asked(address, fs.cat_file, path).decode()


def _opened(address: str) -> tuple[Any, str]:
  """fsspec's file system for an address, and the path in it."""
  try:
    import fsspec

    return fsspec.core.url_to_fs(address)
  except ImportError as error:  # Of fsspec itself, or of its plug-in for this kind.
    kind = address.partition('://')[0]
    plugin = {'s3': 's3fs', 'gs': 'gcsfs', 'gcs': 'gcsfs', 'abfs': 'adlfs'}.get(kind, 'fsspec')
    raise ValueError(
      f'{address}: {kind}:// needs a library that is not here ({error}): pip install {plugin}, on '
      'every machine.'
    ) from error
  except ValueError as error:
    raise ValueError(f'{address}: fsspec cannot open that ({error}).') from error


def _asked(address: str, ask: Any, *arguments: Any, **options: Any) -> Any:
  """What a file system answers; where it fails, the error names the address."""
  try:
    return ask(*arguments, **options)
  except FileNotFoundError as error:
    raise FileNotFoundError(f'{address}: there is no such file; check the address.') from error
  except Exception as error:  # Each plug-in has errors of its own.
    said = json.dumps(str(error) or type(error).__name__)
    raise OSError(f'{address} cannot be reached: {said}.') from error
