"""Networks as ONNX graphs, on a runtime of the CPU.

Graphs are written once and kept in the user's cache.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import jax
import numpy as np

from fmx import caching
from fmx.engines.programs import NEXT, program
from fmx.engines.xla import filled_windows
from fmx.models.heads import State
from fmx.weights import FinderModel, Model

_SESSIONS = 8  # At once.
KEPT = 32  # Graphs in the cache.
_logger = logging.getLogger(__name__)


class Session(Protocol):
  """A graph that is ready to run; calls from several threads take turns."""

  def run(self, outputs: Sequence[str], inputs: Mapping[str, Any]) -> list[Any]:
    """Computes the outputs of these names from inputs by name, of any batch."""


Start = Callable[[bytes], Session]  # How a runtime makes a graph ready.


class Segmenter:
  """A network that labels windows."""

  def __init__(self, start: Start, model: Model, clip_length: int):
    """Starts a session on a runtime.

    Raises:
      NotImplementedError: the network has an operation that graphs cannot be written of.
    """
    self._session, self._model = session(start, model), model
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

  def __init__(self, start: Start, model: FinderModel):
    """Starts a session on a runtime."""
    self._session = session(start, model)

  def __call__(self, frames: np.ndarray) -> np.ndarray:
    """See `choice.Finder`."""
    (cells,) = self._session.run(['cells'], {'frames': frames})
    return cells


def session(start: Start, model: Model | FinderModel) -> Session:
  """A network on a runtime; equal networks share one session.

  Raises:
    NotImplementedError: it has an operation that graphs cannot be written of.
  """
  return _session(start, _Known(fingerprint(model), model))


@dataclasses.dataclass(frozen=True)
class _Known:
  """A network that is the same as others of its fingerprint."""

  fingerprint: str
  model: Model | FinderModel = dataclasses.field(compare=False)


@functools.lru_cache(maxsize=_SESSIONS)
def _session(start: Start, known: _Known) -> Session:
  return start(graph(known.model, known.fingerprint))


def graph(model: Model | FinderModel, fingerprint: str) -> bytes:
  """The ONNX graph of a network: that of the cache, or a new one, which is put there."""
  path = caching.folder() / 'onnx' / f'{fingerprint}.onnx'
  content = caching.kept(path)
  if content is not None:
    return content
  from fmx.engines import onnx_writer  # Only now: it needs a library that reading does not.

  _logger.info('Writing a network as an ONNX graph, once.')
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
