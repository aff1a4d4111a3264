"""The same network in other libraries, in turns with ours: what they say, and how fast they are."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from fmx.benchmark import meter, rows
from fmx.engines import graphs, runtimes
from fmx.train.stages import FCN, TITLES, Stage
from fmx.train.step import Variables, create_state
from fmx.weights import Model

OURS = 'XLA'
# Of the largest logit, or of the loss, in float32; a GPU multiplies with the ten bits of TF32.
TOLERANCE = {'cpu': 1e-4, 'cuda': 2e-2}

Call = Callable[[], Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compared:
  """One library at one task.

  Attributes:
    what: The task, for people.
    library: For people.
    frames: Of a step.
    seconds: Of a step, the median.
    spread: Its quartiles.
    ratio: How many times as fast as OURS, by the medians.
    shortest: Likewise, by the shortest steps.
    differs: The largest difference from what OURS says, as a share of the largest logit; in
      training that of the first step's loss, as a share of it.
  """

  what: str
  library: str
  frames: int
  seconds: float
  spread: tuple[float, float]
  ratio: float
  shortest: float
  differs: float


def check(config: ConfigDict) -> None:
  """Raises ValueError if there is nothing to compare, or if a library is missing."""
  where = place()
  others = (('onnxruntime', 'onnx'), ('onnx', 'onnx')) if where == 'cpu' else ()
  for library, extra in (('torch', 'torch'), *others):
    if importlib.util.find_spec(library) is None:
      raise ValueError(f"benchmark.peers needs {library}: pip install 'fmx[{extra}]'.")
  import torch

  if where == 'cuda' and not torch.cuda.is_available():
    raise ValueError(
      'benchmark.peers: JAX has a GPU, but this PyTorch sees none: install it with CUDA.'
    )
  from fmx.benchmark.torch_network import LOSSES

  if FCN not in config.stages:
    raise ValueError("benchmark.peers compares the FCN alone: put 'fcn' into stages.")
  if config.fcn.loss not in LOSSES:
    raise ValueError(
      f'benchmark.peers trains by {" or ".join(LOSSES)}, not by {config.fcn.loss}: set fcn.loss.'
    )


def place() -> str:
  """Where both libraries compute, in PyTorch's words: 'cpu' or 'cuda'."""
  return 'cuda' if jax.local_devices()[0].platform == 'gpu' else 'cpu'


def measure(config: ConfigDict) -> Iterator[Compared]:
  """Compares prediction and training of the FCN on one device, from frames in the host's memory.

  In float32 and, where the library computes in it there, in bfloat16.

  Args:
    config: As `configs/benchmark.py`.

  Raises:
    ValueError: PyTorch or ONNX Runtime says other than XLA, so that there is nothing to compare.
  """
  where = place()
  stages = {OURS: _stage(config, 'float32')}
  if where == 'cuda':  # XLA's bfloat16 of a CPU is float32 with more work.
    stages[f'{OURS}, bfloat16'] = _stage(config, 'bfloat16')
  batch = rows.random_batch(config, 1, 1)
  for task, calls, answers in (predictions(stages, batch, where), trainings(stages, batch, where)):
    what = f'{TITLES[FCN]}, {config.data.image_size} px: {task}'
    differs = {name: _difference(answer, answers[OURS]) for name, answer in answers.items()}
    for name, value in differs.items():
      if 'bfloat16' not in name and not value <= TOLERANCE[where]:
        raise ValueError(f'{what}: {name} differs by {value:.1e} from {OURS}; compare no times.')
    timings = meter.time_in_turns(calls, config.benchmark.steps)
    yield from compared(what, batch['labels'][..., 0, 0].size, timings, differs)


def compared(
  what: str, frames: int, timings: Mapping[str, meter.Timing], differs: Mapping[str, float]
) -> Iterator[Compared]:
  """Yields a row for each library."""
  ours = timings[OURS]
  for name, timing in timings.items():
    yield Compared(
      what=what,
      library=name,
      frames=frames,
      seconds=timing.median,
      spread=timing.spread,
      ratio=ours.median / timing.median,
      shortest=min(ours.seconds) / min(timing.seconds),
      differs=differs[name],
    )


def predictions(
  stages: Mapping[str, Stage], batch: Mapping[str, np.ndarray], where: str
) -> tuple[str, dict[str, Call], dict[str, np.ndarray]]:
  """Each library's prediction, and its logits [N, S, S, K]."""
  import torch

  from fmx.benchmark import torch_network

  stage = stages[OURS]
  variables, network = stage.fresh_variables(), stage.model(axis_name=None)
  frames = batch['video'].reshape(-1, *batch['video'].shape[-3:])
  theirs = torch_network.with_weights(network, variables).eval().to(where)
  tensor = torch.from_numpy(frames)

  def in_torch(dtype: Any) -> torch.Tensor:
    with torch.inference_mode(), torch.autocast(where, dtype, enabled=dtype != torch.float32):
      logits = theirs(tensor.to(where))
    if where == 'cuda':
      torch.cuda.synchronize()
    return logits

  weights = Variables(variables['params'], variables['batch_stats'])
  calls: dict[str, Call] = {
    name: _predicting(stage, weights, batch) for name, stage in stages.items()
  }
  if where == 'cpu':
    model = Model(network, variables, stage.region, stage.class_names, frames.shape[1], 1)
    calls |= {name: _in_graph(graphs.session(start, model), frames) for name, start in _starts()}
  calls |= {
    'PyTorch': lambda: in_torch(torch.float32),
    'PyTorch, bfloat16': lambda: in_torch(torch.bfloat16),
  }
  answers = {}
  for name, call in calls.items():
    logits = np.asarray(call().permute(0, 2, 3, 1).cpu() if 'PyTorch' in name else call())
    answers[name] = logits.reshape(len(frames), *logits.shape[-3:])
  return 'prediction', calls, answers


def trainings(
  stages: Mapping[str, Stage], batch: Mapping[str, np.ndarray], where: str
) -> tuple[str, dict[str, Call], dict[str, np.ndarray]]:
  """Each library's training step, by the same loss and Adam, and the loss of the first one."""
  import torch

  from fmx.benchmark import torch_network

  stage = stages[OURS]
  variables, network = stage.fresh_variables(), stage.model(axis_name=None)
  frames = torch.from_numpy(batch['video'].reshape(-1, *batch['video'].shape[-3:]))
  labels = torch.from_numpy(batch['labels'].reshape(-1, *batch['labels'].shape[-2:]).astype(int))
  loss_of = torch_network.LOSSES[stage.options.loss]

  def torch_step(dtype: Any) -> Call:
    theirs = torch_network.with_weights(network, variables).train().to(where)
    adam = torch.optim.Adam(theirs.parameters(), lr=stage.options.learning_rate)

    def take() -> torch.Tensor:
      adam.zero_grad()
      with torch.autocast(where, dtype, enabled=dtype != torch.float32):
        logits = theirs(frames.to(where))
      loss = loss_of(logits, labels.to(where))
      loss.backward()
      adam.step()
      return loss.detach().cpu()

    return take

  calls: dict[str, Call] = {
    **{name: _training(stage, variables, batch) for name, stage in stages.items()},
    'PyTorch': torch_step(torch.float32),
    'PyTorch, bfloat16': torch_step(torch.bfloat16),
  }
  return 'training', calls, {name: np.asarray(call()) for name, call in calls.items()}


def table(compared: Sequence[Compared]) -> list[list[str]]:
  """The rows for people, the header first."""
  header = ['what', 'library', 'ms/step', 'quartiles', 'frames/s']
  found = [[*header, f'times as fast as {OURS}', 'by the shortest', 'differs by']]
  for row in compared:
    low, high = row.spread
    cells = [row.what, row.library, f'{1e3 * row.seconds:.1f}', f'{1e3 * low:.1f}–{1e3 * high:.1f}']
    cells += [f'{row.frames / row.seconds:.2f}', f'{row.ratio:.2f}', f'{row.shortest:.2f}']
    found.append([*cells, f'{row.differs:.1e}'])
  return found


def _stage(config: ConfigDict, dtype: str) -> Stage:
  with config.copy_and_resolve_references().unlocked() as of_dtype:
    of_dtype.model.dtype = dtype
  return Stage(FCN, of_dtype, rows.no_data(), pathlib.Path())


def _predicting(stage: Stage, weights: Variables, batch: Mapping[str, np.ndarray]) -> Call:
  predict: Any = stage.logits_of
  compiled = predict.lower(weights, {'video': batch['video']}).compile()
  return lambda: compiled(weights, {'video': batch['video']})


def _training(stage: Stage, variables: Mapping[str, Any], batch: Mapping[str, np.ndarray]) -> Call:
  device = jax.local_devices()[:1]
  step: Any
  tx, step = stage.step_fn(total_steps=1000, devices=device)
  state = create_state(variables, tx, jax.random.key(0), devices=device)
  compiled = step.lower(state, batch).compile()

  def train() -> Any:
    nonlocal state
    state, metrics = compiled(state, batch)
    return metrics.loss

  return train


def _starts() -> Iterator[tuple[str, graphs.Start]]:
  """What runs graphs on this CPU, by its name for people."""
  yield 'ONNX Runtime', runtimes.on_onnx_runtime
  if runtimes.RUNTIMES['openvino'].is_installed():
    yield 'OpenVINO', functools.partial(runtimes.on_openvino, precision='f32')
    if runtimes.has_bfloat16():
      yield 'OpenVINO, bfloat16', functools.partial(runtimes.on_openvino, precision='bf16')


def _in_graph(session: graphs.Session, frames: np.ndarray) -> Call:
  return lambda: session.run(['logits'], {'frames': frames})[0]


def _difference(answer: np.ndarray, ours: np.ndarray) -> float:
  return float(np.abs(answer - ours).max() / np.abs(ours).max())
