"""The folder for what can be made again: programs and what was compiled."""

import functools
import hashlib
import logging
import os
import pathlib
import platform
import sys

import jax

from tfds_300vw import placing

_logger = logging.getLogger(__name__)


def folder() -> pathlib.Path:
  """fmx's folder in the user's cache directory, which need not be there yet."""
  home = pathlib.Path.home()
  usual = home / 'Library/Caches' if sys.platform == 'darwin' else home / '.cache'
  return pathlib.Path(os.environ.get('XDG_CACHE_HOME') or usual) / 'fmx'


def keep_compiled() -> None:
  """Has JAX keep what it compiles for the next time, unless it is told where to, or not to.

  JAX_COMPILATION_CACHE_DIR names another folder, JAX_ENABLE_COMPILATION_CACHE=0 turns it off. Call
  it before anything is compiled.
  """
  if jax.config.jax_compilation_cache_dir is None:  # type: ignore[attr-defined]
    jax.config.update('jax_compilation_cache_dir', str(folder() / 'compiled' / processor()))
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.5)


def keep(content: bytes, path: pathlib.Path, *, most: int) -> None:
  """Puts a file into a folder of the cache, whole or not at all, if it can be written.

  Args:
    content: Of the file.
    path: Of the file; those of its folder with the same ending are its like.
    most: Files of a kind; of those beyond, the ones that were not used for longest go.
  """
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    placing.write(path, content)
  except OSError as error:
    _logger.info('It is not kept: %s cannot be written (%s).', path.parent, error.strerror)
    return
  alike = path.parent.glob(f'*{path.suffix}')
  for old in sorted(alike, key=_last_used, reverse=True)[most:]:
    old.unlink(missing_ok=True)


def kept(path: pathlib.Path) -> bytes | None:
  """What a file of the cache holds; it counts as used. None if it is not there."""
  try:
    content = path.read_bytes()
    os.utime(path)
  except OSError:
    return None
  return content


@functools.cache
def code(*rooms: str) -> bytes:
  """What tells the version of fmx's rooms, folders of modules, from others, also while at work."""
  found = hashlib.sha256(jax.__version__.encode())
  for room in rooms:
    for source in sorted(pathlib.Path(__file__).with_name(room).glob('*.py')):
      found.update(source.read_bytes())
  return found.digest()


def processor() -> str:
  """What tells this processor from others that cannot run what was compiled for it, hexadecimal.

  JAX does not look, and a home directory may serve many machines.
  """
  told = [platform.machine(), platform.processor()]
  cpuinfo = pathlib.Path('/proc/cpuinfo')
  if cpuinfo.exists():
    lines = cpuinfo.read_text().splitlines()
    told += sorted({line for line in lines if line.startswith(('model name', 'flags', 'Features'))})
  return hashlib.sha256('\n'.join(told).encode()).hexdigest()[:16]


def _last_used(path: pathlib.Path) -> float:
  try:
    return path.stat().st_mtime
  except OSError:  # Another process has just removed it.
    return 0.0
