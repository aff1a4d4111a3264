"""One tree of arrays in one folder: written whole or not at all, and checked when it is read."""

import contextlib
import os
import re
import shutil
import textwrap
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import absl.logging
import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from flax import traverse_util

from tfds_300vw import placing

TEMPORARY = '.orbax-checkpoint-tmp'  # In the names of folders that Orbax has not finished.

Tree = Any
Content = list[tuple[dict[str, Any], np.ndarray]]  # A description and the values, for each leaf.

_ADVICE = 'use the config that it was made with, or another directory.'


def save_tree(path: str | os.PathLike, tree: Tree) -> None:
  """Saves one tree, such as final weights, in a new folder; only the first process writes.

  Args:
    path: The folder, which must not exist.
    tree: As in `to_orbax`.

  Raises:
    FileExistsError: there is something at that path.
    TypeError: a leaf is no array or number.
    OSError: the disk is full or cannot be written; then nothing is there.
  """
  path = Path(path).absolute()
  if jax.process_index() != 0:
    return
  if path.exists():
    raise FileExistsError(f'{path} exists; delete it or choose another name.')
  args = to_orbax(tree)
  with writing(path, args):
    try:
      placing.make_folder(path.parent)
      with _checkpointer() as checkpointer:
        checkpointer.save(path, args=args)
      placing.settle(path)
    finally:
      for rest in path.parent.glob(f'{path.name}{TEMPORARY}*'):
        shutil.rmtree(rest, ignore_errors=True)


def load_tree(path: str | os.PathLike) -> Tree:
  """Loads what `save_tree` saved, or one step's folder of `fmx.checkpoint.Checkpoints`.

  Args:
    path: The folder.

  Returns:
    Nested dicts of numpy arrays, whatever containers were saved: a sequence has the keys '0',
    '1' …, and a typed key is its data.

  Raises:
    FileNotFoundError: there is no checkpoint at that path.
    OSError: it is damaged.
  """
  path = Path(path).absolute()
  if not (path / 'leaves').is_dir():
    raise FileNotFoundError(f'{path} is no checkpoint; give the folder of one, such as 1000.')
  try:
    content = read(path)
  except Exception as error:
    raise OSError(f'{path} is damaged: {brief(error)}; take another one.') from error
  arrays = {tuple(leaf['path']): array for leaf, array in content}
  return arrays[()] if () in arrays else traverse_util.unflatten_dict(arrays)


def to_orbax(tree: Tree) -> ocp.args.Composite:
  """What Orbax is to write for a tree.

  Args:
    tree: Arrays that each process holds whole, typed keys, numpy arrays and Python numbers.

  Returns:
    The arguments to save: 'state', arrays under numbers (Orbax mixes up names with dots), and
    'leaves', which describes each and has its checksum.

  Raises:
    TypeError: a leaf is no array or number.
    ValueError: there is not one value.
  """
  leaves: list[dict[str, Any]] = []
  arrays: dict[str, np.ndarray] = {}
  for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
    described = _describe(path, leaf)
    if jax.dtypes.issubdtype(getattr(leaf, 'dtype', None), jax.dtypes.prng_key):
      described['key'] = str(jax.random.key_impl(leaf))
      leaf = jax.random.key_data(leaf)
    array = np.asarray(jax.device_get(leaf))
    described['crc32'] = _checksum(array)
    if array.size:  # Orbax refuses empty arrays.
      arrays[str(len(leaves))] = array
    leaves.append(described)
  if not arrays:
    raise ValueError('The tree holds no values; there is nothing to save.')
  return ocp.args.Composite(
    state=ocp.args.PyTreeSave(arrays), leaves=ocp.args.JsonSave({'leaves': leaves})
  )


def read(path: Path) -> Content:
  """Reads and checks a folder; whatever it raises means that the folder is damaged."""
  with _checkpointer() as checkpointer:
    saved = checkpointer.restore(
      path,
      args=ocp.args.Composite(state=ocp.args.PyTreeRestore(), leaves=ocp.args.JsonRestore()),
    )
  content = []
  for i, leaf in enumerate(saved.leaves['leaves']):
    if str(i) in saved.state:
      array = np.asarray(saved.state[str(i)])
    else:
      array = np.zeros(leaf['shape'], leaf['dtype'])  # An empty one.
    if _checksum(array) != leaf['crc32']:
      raise ValueError(f'the values of {_name(leaf)} are not those that were saved')
    content.append((leaf, array))
  return content


def rebuild(like: Tree, content: Content, path: Path) -> Tree:
  """Puts values into the structure of an example.

  Args:
    like: A tree of the same names, shapes and dtypes; `jax.ShapeDtypeStruct`s will do.
    content: From `read`.
    path: Where it was read, for messages.

  Returns:
    A tree like `like`: numpy arrays and Python numbers where it has them, else arrays on the
    default device.

  Raises:
    ValueError: names, shapes or dtypes differ.
  """
  examples, structure = jax.tree_util.tree_flatten_with_path(like)
  saved = {tuple(leaf['path']): (leaf, array) for leaf, array in content}
  values = []
  for names, example in examples:
    wanted = _describe(names, example)
    if tuple(wanted['path']) not in saved:
      raise ValueError(f'Checkpoint {path} has no {_name(wanted)}: {_ADVICE}')
    leaf, array = saved.pop(tuple(wanted['path']))
    if (wanted['shape'], wanted['dtype']) != (leaf['shape'], leaf['dtype']):
      raise ValueError(
        f'{_name(leaf)} is {leaf["dtype"]} {tuple(leaf["shape"])} in checkpoint {path} and '
        f'{wanted["dtype"]} {tuple(wanted["shape"])} in this run: {_ADVICE}'
      )
    values.append(_like_example(example, array, leaf))
  for leaf, _ in saved.values():
    raise ValueError(f'Checkpoint {path} has {_name(leaf)}, which this run lacks: {_ADVICE}')
  return jax.tree_util.tree_unflatten(structure, values)


def handlers() -> dict[str, ocp.CheckpointHandler]:
  """How Orbax writes and reads the items of `to_orbax`."""
  processes = this_process()
  return {
    # Trained floats hardly compress; trying takes as long as writing them.
    'state': ocp.PyTreeCheckpointHandler(use_compression=False, multiprocessing_options=processes),
    'leaves': ocp.JsonCheckpointHandler(multiprocessing_options=processes),
  }


def this_process() -> ocp.options.MultiprocessingOptions:
  """Makes Orbax wait for no other process."""
  process = jax.process_index()
  return ocp.options.MultiprocessingOptions(
    primary_host=process, active_processes={process}, barrier_sync_key_prefix=f'process{process}'
  )


@contextlib.contextmanager
def writing(path: Path, args: ocp.args.Composite) -> Iterator[None]:
  """Answers a failing write with one sentence in place of Orbax's many lines.

  Args:
    path: The folder that is written inside the context.
    args: From `to_orbax`.

  Raises:
    OSError: there is too little space, or writing fails.
  """
  verbosity = absl.logging.get_verbosity()
  absl.logging.set_verbosity(absl.logging.FATAL)
  try:
    needed = sum(array.nbytes for array in args.state.item.values())
    free = shutil.disk_usage(next(parent for parent in path.parents if parent.exists())).free
    if free < needed:
      raise OSError(f'it needs {needed / 2**20:.1f} MiB, {free / 2**20:.1f} MiB are free')
    yield
  except Exception as error:
    raise OSError(
      f'Checkpoint {path} cannot be written ({brief(error)}); earlier ones are untouched: see that '
      'the disk has space and can be written, then run the same command again.'
    ) from error
  finally:
    absl.logging.set_verbosity(verbosity)


def brief(error: Exception) -> str:
  """The reason in an error, without what the storage writes around it."""
  text = str(error) or type(error).__name__
  system = re.search(r"os_error_code='(\d+)'|OS error (\d+)", text)
  if system:
    return os.strerror(int(system[1] or system[2]))
  return textwrap.shorten(text.split(' [')[0] or text, 200)


def _checkpointer() -> ocp.Checkpointer:
  alone = this_process()
  options = ocp.CompositeOptions(multiprocessing_options=alone)
  handler = ocp.CompositeCheckpointHandler(composite_options=options, **handlers())
  return ocp.Checkpointer(handler, multiprocessing_options=alone)


def _describe(path: tuple, leaf: Any) -> dict[str, Any]:
  """The name, shape and dtype of a leaf, which may be abstract, as they stand in a folder."""
  described = {'path': [jax.tree_util.keystr((entry,), simple=True) for entry in path]}
  if isinstance(leaf, bool | int | float):
    leaf = np.asarray(leaf)
  if not hasattr(leaf, 'dtype') or getattr(leaf.dtype, 'kind', '') in tuple('OSUMm'):
    raise TypeError(
      f'{_name(described)} is {leaf!r:.40}; a checkpoint holds arrays of numbers, and numbers.'
    )
  return {**described, 'shape': list(leaf.shape), 'dtype': str(leaf.dtype)}


def _name(leaf: Mapping[str, Any]) -> str:
  return '/'.join(leaf['path']) or 'the tree'


def _like_example(example: Any, array: np.ndarray, leaf: Mapping[str, Any]) -> Any:
  if 'key' in leaf:
    return jax.random.wrap_key_data(jnp.array(array), impl=leaf['key'])
  if isinstance(example, np.ndarray):
    return array
  if isinstance(example, np.generic):
    return array[()]
  if isinstance(example, bool | int | float):
    return type(example)(array.item())
  return jnp.array(array)


def _checksum(array: np.ndarray) -> int:
  return zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
