"""One tree of arrays in one file, with a checksum: for weights that are handed on.

A file is NumPy's `.npz`, compressed, without pickles: an array for each leaf, named by its path.
"""

import hashlib
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from flax import traverse_util

SUFFIX = '.npz'


def save(path: pathlib.Path, tree: Mapping[str, Any], *, half: bool = False) -> str:
  """Writes a tree; the same tree gives the same bytes with the same libraries.

  Args:
    path: Of the file, which is replaced if it is there.
    tree: Nested dicts of arrays.
    half: Whether what has two axes or more is rounded to float16. Biases and the numbers of batch
      norm stay as they are: they take no room, and a variance may be more than float16 can hold.

  Returns:
    The file's SHA-256, hexadecimal.

  Raises:
    ValueError: a value is beyond what float16 can hold.
    OSError: the file cannot be written.
  """
  flat = traverse_util.flatten_dict(dict(tree), sep='/')
  arrays: dict[str, Any] = {name: np.asarray(flat[name]) for name in sorted(flat)}
  if half:
    arrays = {name: _halved(name, array) for name, array in arrays.items()}
  with open(path, 'wb') as file:
    np.savez_compressed(file, **arrays)
    file.flush()
    os.fsync(file.fileno())
  return _sha256(path)


def load(path: pathlib.Path, checksum: str) -> dict[str, Any]:
  """Reads a tree; what was rounded to float16 is float32 again.

  Args:
    path: Of the file.
    checksum: What `save` returned.

  Raises:
    FileNotFoundError: there is no such file.
    OSError: it is not the one that was saved.
  """
  if not path.is_file():
    raise FileNotFoundError(f'{path} is missing: take another copy of the weights.')
  found = _sha256(path)
  if found != checksum:
    raise OSError(
      f'{path} is damaged (its SHA-256 begins with {found[:12]}, not {str(checksum)[:12]}): take '
      'another copy of the weights.'
    )
  with np.load(path, allow_pickle=False) as file:
    arrays = {name: file[name] for name in file.files}
  halves = {name: array for name, array in arrays.items() if array.dtype == np.float16}
  arrays |= {name: array.astype(np.float32) for name, array in halves.items()}
  return traverse_util.unflatten_dict(arrays, sep='/')


def _halved(name: str, array: np.ndarray) -> np.ndarray:
  if array.ndim < 2 or array.dtype.kind != 'f':
    return array
  largest = float(np.abs(array).max(initial=0))
  if not largest <= float(np.finfo(np.float16).max):
    raise ValueError(f'{name} has a value of {largest:g}, which float16 cannot hold.')
  return array.astype(np.float16)


def _sha256(path: pathlib.Path) -> str:
  with open(path, 'rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()
