import json

import jax
import numpy as np
import pytest
import tiny_runs

from fmx import losses
from fmx.benchmark import job, meter, peers
from fmx.engines import runtimes
from fmx.models.fcn import Segmenter

NEEDS_TORCH = 'PyTorch is what networks are compared with: pip install torch'


def network(**changes):
  """A small network without a memory."""
  options = {'num_classes': 5, 'temporal': False, 'width': 4, 'stem': 4, 'head_features': 4}
  return Segmenter(**options | {'blocks': (2, 1, 1, 1)} | changes)


def usual_variables(network, side):
  """Random variables with which batch norm has something to do."""
  rng = np.random.default_rng(0)
  variables = network.init(jax.random.key(0), np.zeros((1, 1, side, side, 3), np.uint8))
  return jax.tree.map(
    lambda array: (
      array + rng.uniform(0.1, 0.5, array.shape).astype(np.float32) if array.ndim == 1 else array
    ),
    variables,
  )


@pytest.mark.parametrize(
  'changes',
  [
    {'head': 'fine', 'dilate': False, 'pool_margin': (0, 1)},
    {'head': 'fine', 'dilate': True},
    {'head': 'fine', 'dilate': False, 'blocks': (1, 1, 2)},
    {'head': 'coarse', 'dilate': True, 'kernel_size': (3, 3)},
  ],
)
def test_pytorch_says_what_our_network_says(changes):
  torch = pytest.importorskip('torch', reason=NEEDS_TORCH)
  from fmx.benchmark import torch_network

  ours = network(**changes)
  variables = usual_variables(ours, 64)
  frames = np.random.default_rng(1).integers(0, 256, (2, 64, 64, 3), np.uint8)
  expected, _ = ours.apply(variables, frames[:, None])
  theirs = torch_network.with_weights(ours, variables).eval()
  with torch.inference_mode():
    found = theirs(torch.from_numpy(frames)).permute(0, 2, 3, 1).numpy()
  expected = np.asarray(expected[:, 0])
  assert found.shape == expected.shape == (2, 64, 64, 5)
  np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
  assert np.ptp(expected) > 0.1


@pytest.mark.parametrize('name', ['cross_entropy', 'cross_entropy_iou'])
@pytest.mark.parametrize('classes', [(0, 1, 2, 3, 4), (0, 2), (0,)])
def test_losses_are_ours(name, classes):
  torch = pytest.importorskip('torch', reason=NEEDS_TORCH)
  from fmx.benchmark import torch_network

  rng = np.random.default_rng(0)
  logits = rng.normal(0, 2, (2, 6, 7, 5)).astype(np.float32)
  labels = rng.choice(classes, (2, 6, 7))
  found = torch_network.LOSSES[name](
    torch.from_numpy(logits).permute(0, 3, 1, 2), torch.from_numpy(labels)
  )
  assert float(found) == pytest.approx(float(losses.LOSSES[name](logits, labels)), rel=1e-5)


def test_a_network_with_a_memory_is_not_compared():
  pytest.importorskip('torch', reason=NEEDS_TORCH)
  from fmx.benchmark import torch_network

  with pytest.raises(ValueError, match='without a memory'):
    torch_network.Network(network(temporal=True))


def test_calls_are_timed_in_turns():
  called, now = [], [0.0]

  def taking(name, seconds):
    def call():
      called.append(name)
      now[0] += seconds

    return call

  calls = {'a': taking('a', 1.0), 'b': taking('b', 3.0)}
  timings = meter.time_in_turns(calls, 3, clock=lambda: now[0])
  assert called == ['a', 'b'] * 4  # Once without the clock.
  assert timings['a'].seconds == (1.0,) * 3
  assert timings['b'].seconds == (3.0,) * 3


def test_ratios_are_of_medians_and_of_the_shortest():
  timings = {
    peers.OURS: meter.Timing((4.0, 2.0, 3.0)),
    'other': meter.Timing((1.0, 1.0, 10.0)),
  }
  ours, other = peers.compared('it', 5, timings, {peers.OURS: 0.0, 'other': 1e-6})
  assert (ours.ratio, ours.shortest) == (1.0, 1.0)
  assert (other.ratio, other.shortest) == (3.0, 2.0)
  header, _, row = peers.table([ours, other])
  assert dict(zip(header, row)) == {
    'what': 'it', 'library': 'other', 'ms/step': '1000.0', 'quartiles': '1000.0–5500.0',
    'frames/s': '5.00', 'times as fast as XLA': '3.00', 'by the shortest': '2.00',
    'differs by': '1.0e-06',
  }  # fmt: skip


def test_what_cannot_be_compared_is_one_sentence(monkeypatch):
  monkeypatch.setattr(peers.importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(ValueError, match=r"benchmark.peers needs torch: pip install 'fmx\[torch\]'"):
    peers.check(tiny_runs.config(benchmark__peers=True))


def test_a_loss_that_pytorch_does_not_have_here_is_named():
  pytest.importorskip('torch', reason=NEEDS_TORCH)
  with pytest.raises(ValueError, match='not by soft_iou: set fcn.loss'):
    peers.check(tiny_runs.config(fcn__loss='soft_iou'))
  with pytest.raises(ValueError, match="put 'fcn' into stages"):
    peers.check(tiny_runs.config(stages=('convlstm',)))


def test_the_benchmark_compares_libraries(tmp_path, capsys):
  pytest.importorskip('torch', reason=NEEDS_TORCH)
  config = tiny_runs.config(
    benchmark__peers=True,
    benchmark__steps=2,
    benchmark__batch_size=4,
    stages=('fcn',),
    data__data_dir=str(tmp_path / 'none'),
  )
  with config.unlocked():
    config.model.update(head='fine', dilate=False)
    config.fcn.loss = 'cross_entropy_iou'
  job.run(config, tmp_path)
  found = json.loads((tmp_path / 'benchmark.json').read_bytes())['peers']
  graphs = ['ONNX Runtime']
  if runtimes.RUNTIMES['openvino'].is_installed():
    graphs += ['OpenVINO', *['OpenVINO, bfloat16'] * runtimes.has_bfloat16()]
  libraries = [
    'XLA',
    *graphs,
    'PyTorch',
    'PyTorch, bfloat16',
    'XLA',
    'PyTorch',
    'PyTorch, bfloat16',
  ]
  assert [row['library'] for row in found] == libraries
  assert all(row['frames'] == 4 for row in found)
  exact = [row['differs'] for row in found if 'bfloat16' not in row['library']]
  assert max(exact) < 1e-4
  assert 'times as fast as XLA' in capsys.readouterr().out


def test_answers_that_differ_are_not_timed(monkeypatch):
  pytest.importorskip('torch', reason=NEEDS_TORCH)
  from fmx.benchmark import torch_network

  config = tiny_runs.config(benchmark__steps=1, benchmark__batch_size=1)
  monkeypatch.setattr(torch_network, 'EPSILON', 0.5)
  with pytest.raises(ValueError, match='prediction: PyTorch differs by .* from XLA'):
    list(peers.measure(config))
