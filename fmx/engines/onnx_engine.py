"""Networks on ONNX Runtime, on the CPU. Graphs are written once and kept in the user's cache."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.util
import logging
import os
from typing import Any

import jax
import numpy as np

from fmx import caching
from fmx.engines.programs import NEXT, program
from fmx.engines.xla import filled_windows
from fmx.models.heads import State
from fmx.weights import FinderModel, Model

LIBRARIES = ('onnxruntime', 'onnx')  # What the extra `onnx` installs.
_SESSIONS = 8  # At once.
KEPT = 32  # Graphs in the cache.
_logger = logging.getLogger(__name__)


def is_installed() -> bool:
  """Whether networks can run here."""
  return all(importlib.util.find_spec(library) for library in LIBRARIES)


class Segmenter:
  """A network that labels windows."""

  def __init__(self, model: Model, clip_length: int):
    """Starts a session.

    Raises:
      NotImplementedError: the network has an operation that graphs cannot be written of.
    """
    self._session, self._model = session(model), model
    self._length = clip_length

  def __call__(
    self, video: np.ndarray, carry: State | None, output: str
  ) -> tuple[np.ndarray, State | None]:
    """See `choice.Segmenter`."""
    clips, length, *size, _ = video.shape
    if not self._model.network.temporal:
      (scores,) = self._session.run([output], {'frames': video.reshape(-1, *size, 3)})
      return scores.reshape(clips, length, *scores.shape[1:]), None
    video = filled_windows(video, self._length)
    if carry is None:
      carry = jax.tree.map(np.asarray, self._model.network.initial_carry(clips, size))
    names = [NEXT + name for name in carry._fields]
    scores, *after = self._session.run([output, *names], {'video': video} | carry._asdict())
    return scores[:, :length], type(carry)(*after)


class Finder:
  """A network that finds faces."""

  def __init__(self, model: FinderModel):
    """Starts a session."""
    self._session = session(model)

  def __call__(self, frames: np.ndarray) -> np.ndarray:
    """See `choice.Finder`."""
    (cells,) = self._session.run(['cells'], {'frames': frames})
    return cells


def session(model: Model | FinderModel) -> Any:
  """A network in ONNX Runtime; equal networks share one session.

  Raises:
    NotImplementedError: it has an operation that graphs cannot be written of.
  """
  return _session(_Known(fingerprint(model), model))


@dataclasses.dataclass(frozen=True)
class _Known:
  """A network that is the same as others of its fingerprint."""

  fingerprint: str
  model: Model | FinderModel = dataclasses.field(compare=False)


@functools.lru_cache(maxsize=_SESSIONS)
def _session(known: _Known) -> Any:
  import onnxruntime

  options = onnxruntime.SessionOptions()
  options.intra_op_num_threads = _cores()
  # Waiting threads sleep: the sessions take turns with each other and with the rest of the program.
  options.add_session_config_entry('session.intra_op.allow_spinning', '0')
  content = graph(known.model, known.fingerprint)
  return onnxruntime.InferenceSession(content, options, providers=['CPUExecutionProvider'])


def graph(model: Model | FinderModel, fingerprint: str) -> bytes:
  """The ONNX graph of a network: that of the cache, or a new one, which is put there."""
  path = caching.folder() / 'onnx' / f'{fingerprint}.onnx'
  content = caching.kept(path)
  if content is not None:
    return content
  from fmx.engines import onnx_writer  # Only now: it needs a library that reading does not.

  _logger.info('Writing a network for ONNX Runtime, once.')
  written = onnx_writer.write(*program(model))
  caching.keep(written, path, most=KEPT)
  return written


def fingerprint(model: Model | FinderModel) -> str:
  """What tells a network and how it is written from all others, hexadecimal."""
  found = hashlib.sha256(caching.code('models', 'engines'))
  sizes = (model.image_size, model.clip_length) if isinstance(model, Model) else ()
  found.update(repr((model.network, sizes)).encode())
  for path, leaf in jax.tree_util.tree_leaves_with_path(dict(model.variables)):
    array = np.ascontiguousarray(leaf)
    found.update(repr((jax.tree_util.keystr(path), array.shape, array.dtype)).encode())
    found.update(array.view(np.uint8).data)
  return found.hexdigest()


def _cores() -> int:
  """How many this process may use."""
  own = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
  told = os.environ.get('OMP_NUM_THREADS', '')  # As the libraries below numpy take it too.
  return min(own, int(told)) if told.isdecimal() and int(told) else own
