"""What runs ONNX graphs on a CPU: ONNX Runtime and OpenVINO."""

from __future__ import annotations

import functools
import importlib.util
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fmx.engines.graphs import Session, Start

_TELEMETRY = 'openvino_telemetry'


class Runtime(NamedTuple):
  """A library that runs graphs.

  Attributes:
    start: Makes a graph ready.
    libraries: That it needs, by the names of their modules; `onnx` is what graphs are written with.
    extra: Of fmx, which installs them.
  """

  start: Start
  libraries: tuple[str, ...]
  extra: str

  def is_installed(self) -> bool:
    """Whether networks can run on it here."""
    return all(importlib.util.find_spec(library) for library in self.libraries)


def on_onnx_runtime(graph: bytes) -> Session:
  """A graph on ONNX Runtime, in float32."""
  import onnxruntime

  options = onnxruntime.SessionOptions()
  options.intra_op_num_threads = _cores()
  # Waiting threads sleep: the sessions take turns with each other and with the rest of the program.
  options.add_session_config_entry('session.intra_op.allow_spinning', '0')
  session: Session = onnxruntime.InferenceSession(
    graph, options, providers=['CPUExecutionProvider']
  )
  return session


def on_openvino(graph: bytes, precision: str | None = None) -> Session:
  """A graph on OpenVINO.

  Args:
    graph: The ONNX model.
    precision: Of what it computes in, 'f32' or 'bf16'; None for bfloat16 where the processor has
      instructions for it, else float32.
  """
  return _OpenVINO(graph, precision or ('bf16' if has_bfloat16() else 'f32'))


def has_bfloat16() -> bool:
  """Whether this processor computes in bfloat16, as OpenVINO sees it."""
  return 'BF16' in _openvino().get_property('CPU', 'OPTIMIZATION_CAPABILITIES')


class _OpenVINO:
  """A graph on OpenVINO, as a session."""

  def __init__(self, graph: bytes, precision: str):
    core = _openvino()
    options = {
      'INFERENCE_PRECISION_HINT': precision,
      'INFERENCE_NUM_THREADS': _cores(),
      'NUM_STREAMS': 1,
      'ENABLE_CPU_PINNING': False,  # Other processes would pin theirs to the same cores.
    }
    self.compiled = core.compile_model(core.read_model(graph), 'CPU', options)
    self._request = self.compiled.create_infer_request()
    self._is_free = threading.Lock()  # A request cannot be used twice at a time.

  def run(self, outputs: Sequence[str], inputs: Mapping[str, Any]) -> list[Any]:
    """See `graphs.Session`."""
    ready = {name: np.ascontiguousarray(array) for name, array in inputs.items()}
    with self._is_free:
      self._request.infer(ready, share_inputs=True, share_outputs=True)
      return [self._request.get_tensor(name).data.copy() for name in outputs]


@functools.cache
def _openvino() -> Any:
  """OpenVINO, once in a process.

  Where there is AMX each gives its thread a stack for signals, and two that end in another order
  than the reverse of their beginning leave one behind that is gone: the next signal kills.
  """
  return _imported_openvino().Core()


def _imported_openvino() -> Any:
  """OpenVINO, which would tell its makers that it is used, out of a fork of this process.

  Where its library for that cannot be imported, it does not.
  """
  is_hidden = _TELEMETRY not in sys.modules
  if is_hidden:
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
  try:
    import openvino
  finally:
    if is_hidden:
      del sys.modules[_TELEMETRY]
  return openvino


def _cores() -> int:
  """How many this process may use."""
  own = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
  told = os.environ.get('OMP_NUM_THREADS', '')  # As the libraries below numpy take it too.
  return min(own, int(told)) if told.isdecimal() and int(told) else own


RUNTIMES = {
  'onnxruntime': Runtime(on_onnx_runtime, ('onnxruntime', 'onnx'), 'onnx'),
  'openvino': Runtime(on_openvino, ('openvino', 'onnx'), 'cpu'),
}
