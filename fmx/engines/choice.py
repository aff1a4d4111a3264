"""Which engine runs the networks."""

import functools
import logging
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from fmx.engines import graphs, runtimes, xla
from fmx.engines.runtimes import RUNTIMES
from fmx.models.heads import State
from fmx.weights import FinderModel, Model

AUTO = 'auto'
_logger = logging.getLogger(__name__)


class Segmenter(Protocol):
  """A network that labels windows, ready to run."""

  def __call__(
    self, video: np.ndarray, carry: State | None, output: str
  ) -> tuple[np.ndarray, State | None]:
    """Labels windows.

    Args:
      video: uint8 [B, T, S, S, 3], RGB; T is at most the length that the network was asked for.
      carry: The state after the windows before these; None to start from zeros.
      output: 'logits' or 'probabilities'.

    Returns:
      float32 [B, T, S, S, K], and the state after the last frame, which is worthless after windows
      that are shorter; None for networks without a memory.
    """


class Finder(Protocol):
  """A network that finds faces, ready to run."""

  def __call__(self, frames: np.ndarray) -> np.ndarray:
    """From uint8 [N, H, W, 3], RGB, to what the cells say, float32 [N, h, w, 14]."""


class Engine(NamedTuple):
  """How to make networks ready."""

  segmenter: Callable[[Model, int], Segmenter]
  finder: Callable[[FinderModel], Finder]


ENGINES = {'xla': Engine(xla.Segmenter, xla.Finder)} | {
  name: Engine(
    functools.partial(graphs.Segmenter, runtime.start),
    functools.partial(graphs.Finder, runtime.start),
  )
  for name, runtime in RUNTIMES.items()
}


def check(engine: str) -> None:
  """Raises ValueError where there is no such engine, or where it is not installed."""
  if engine != AUTO and engine not in ENGINES:
    known = ' or '.join(map(repr, (AUTO, *ENGINES)))
    raise ValueError(f'The engine is {engine!r}; it must be {known}.')
  if engine in RUNTIMES and not RUNTIMES[engine].is_installed():
    raise ValueError(
      f'The engine {engine!r} needs two libraries that are not here: pip install '
      f"'fmx[{RUNTIMES[engine].extra}]', or take the engine 'xla'."
    )


def chosen(engine: str) -> str:
  """The engine itself: a GPU takes XLA, a CPU the quickest that is installed.

  That is OpenVINO where the processor computes in bfloat16, else ONNX Runtime (docs/speed.md).

  Raises:
    ValueError: there is no such engine, or it is not installed.
  """
  check(engine)
  if engine != AUTO:
    return engine
  if jax.default_backend() != 'cpu':
    return 'xla'
  installed = [name for name, runtime in RUNTIMES.items() if runtime.is_installed()]
  if 'openvino' in installed and runtimes.has_bfloat16():
    return 'openvino'
  if not installed:
    _advise()
  return [*installed, 'xla'][0]


def described(engine: str) -> str:
  """The engine itself and, where processors decide on that, what it computes in; as `chosen`."""
  taken = chosen(engine)
  if taken != 'openvino':
    return taken
  return f'{taken}, {"bfloat16" if runtimes.has_bfloat16() else "float32"}'


@functools.cache
def _advise() -> None:
  _logger.info(
    "XLA runs the networks. On a CPU others take a third of its time: pip install 'fmx[cpu]'."
  )


def segmenter(model: Model, clip_length: int, engine: str) -> Segmenter:
  """Makes a network ready for windows of at most `clip_length` frames.

  Raises:
    ValueError: there is no such engine, it is not installed, or it cannot run this network.
  """
  return _made('segmenter', engine, model, clip_length)


def finder(model: FinderModel, engine: str) -> Finder:
  """Makes a finder ready; raises as `segmenter`."""
  return _made('finder', engine, model)


def _made(kind: str, engine: str, *arguments: Any) -> Any:
  taken = chosen(engine)
  try:
    return getattr(ENGINES[taken], kind)(*arguments)
  except NotImplementedError as error:
    if engine == AUTO:
      _logger.info('XLA runs what %s cannot: %s', taken, error)
      return getattr(ENGINES['xla'], kind)(*arguments)
    raise ValueError(f'The engine {taken!r} cannot run this network: {error}') from error
