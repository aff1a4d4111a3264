"""The folder for what can be made again: programs and what was compiled."""

import hashlib
import os
import pathlib
import platform
import sys

import jax


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
