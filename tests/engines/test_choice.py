"""All engines say the same; which one is taken; graphs are kept."""

import dataclasses
import functools
import logging
import os
import subprocess
import sys
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_models
from tiny_programs import LENGTH, MEMORY, SHIPPED, SIZE, model

from fmx.engines import choice, graphs, runtimes
from fmx.engines.runtimes import RUNTIMES
from fmx.labelling.predictor import Predictor

onnx_writer = pytest.importorskip('fmx.engines.onnx_writer', reason='needs onnx (extra `onnx`)')
pytest.importorskip('onnxruntime', reason='needs ONNX Runtime (extra `onnx`)')
# Each runtime in float32.
EXACT = {'onnxruntime': runtimes.on_onnx_runtime}
if RUNTIMES['openvino'].is_installed():
  EXACT['openvino'] = functools.partial(runtimes.on_openvino, precision='f32')


def predictor(kind, start):
  """A network on a runtime."""
  run = Predictor(model(kind))
  run._network = graphs.Segmenter(start, model(kind), LENGTH)
  return run


def install(monkeypatch, *names):
  """Has the runtimes of these names be there, and no others."""
  libraries = {library for name in names for library in RUNTIMES[name].libraries}
  monkeypatch.setattr(runtimes.importlib.util, 'find_spec', lambda name: name in libraries)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
  graphs._session.cache_clear()
  return tmp_path / 'fmx/onnx'


def video(clips, length, seed=0):
  return np.random.default_rng(seed).integers(0, 256, (clips, length, SIZE, SIZE, 3), np.uint8)


@pytest.mark.parametrize('kind', [SHIPPED, MEMORY])
@pytest.mark.parametrize('runtime', EXACT)
def test_engines_give_the_same_logits_probabilities_and_states(kind, runtime):
  xla, onnx = Predictor(model(kind)), predictor(kind, EXACT[runtime])
  carries = [None, None]
  for seed in range(2):
    frames = video(3, LENGTH, seed)
    for give in ('__call__', 'probabilities'):
      found = [getattr(run, give)(frames, c) for run, c in zip((xla, onnx), carries)]
      np.testing.assert_allclose(found[1][0], found[0][0], rtol=1e-5, atol=1e-4)
    carries = [carry for _, carry in found]
  short = [run(video(2, 1)) for run in (xla, onnx)]
  np.testing.assert_allclose(short[1][0], short[0][0], rtol=1e-5, atol=1e-4)
  assert short[0][1] is short[1][1] is None
  if kind == MEMORY:
    np.testing.assert_allclose(carries[1].cell, carries[0].cell, rtol=1e-5, atol=1e-4)
    anew, _ = onnx.probabilities(frames)
    assert np.abs(anew - found[1][0]).max() > 1e-4  # The state counts.
  else:
    assert carries == [None, None]


def test_in_bfloat16_nearly_the_same_is_said():
  if not (RUNTIMES['openvino'].is_installed() and runtimes.has_bfloat16()):
    pytest.skip('needs OpenVINO and a processor that computes in bfloat16')
  frames = video(3, LENGTH)
  exact, rounded = (
    predictor(SHIPPED, start)(frames)[0] for start in (EXACT['openvino'], runtimes.on_openvino)
  )
  difference = np.abs(rounded - exact).mean() / np.abs(exact).mean()
  assert 1e-4 < difference < 0.05  # A number has 8 bits of 24.


def test_threads_may_share_a_session():
  session = graphs.session(list(EXACT.values())[-1], model(SHIPPED))
  frames = [video(1, length, length)[0] for length in (1, 2, 3, 4)]
  expected = [session.run(['logits'], {'frames': of})[0] for of in frames]
  found = {}

  def run(index):
    for _ in range(5):
      found[index] = session.run(['logits'], {'frames': frames[index]})[0]

  threads = [threading.Thread(target=run, args=[index]) for index in range(len(frames))]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  for index, logits in enumerate(expected):
    np.testing.assert_array_equal(found[index], logits)


def test_signals_are_served_after_sessions_have_come_and_gone(tmp_path):
  if not RUNTIMES['openvino'].is_installed():
    pytest.skip('needs OpenVINO (extra `cpu`)')
  path = tmp_path / 'finder.onnx'
  path.write_bytes(graphs.graph(model('finder'), 'finder'))
  code = (
    'import os, pathlib, signal, sys; from fmx.engines.runtimes import on_openvino\n'
    'seen = []; signal.signal(signal.SIGTERM, lambda *_: seen.append(1))\n'
    'graph = pathlib.Path(sys.argv[1]).read_bytes(); sessions = [on_openvino(graph)]\n'
    'sessions.append(on_openvino(graph)); del sessions[0]; sessions.clear()\n'
    'os.kill(os.getpid(), signal.SIGTERM); print(len(seen))'
  )
  found = subprocess.run([sys.executable, '-c', code, path], capture_output=True, text=True)
  assert (found.returncode, found.stdout) == (0, '1\n'), found.stderr


def test_networks_that_were_made_for_less_precision_have_all_of_it():
  of, frames = model(SHIPPED), video(1, 1)
  half = dataclasses.replace(of, network=of.network.clone(dtype=jnp.bfloat16))
  logits, rounded = (Predictor(one, engine='onnxruntime')(frames)[0] for one in (of, half))
  np.testing.assert_array_equal(rounded, logits)


@pytest.mark.parametrize('runtime', EXACT)
def test_engines_find_the_same_in_frames_of_any_number_and_size(runtime):
  of = model('finder')
  xla, onnx = choice.finder(of, 'xla'), graphs.Finder(EXACT[runtime], of)
  for number, height in ((1, 64), (9, 128)):
    frames = np.random.default_rng(0).integers(0, 256, (number, height, 64, 3), np.uint8)
    np.testing.assert_allclose(onnx(frames), xla(frames), rtol=1e-5, atol=1e-4)


def test_a_graph_is_written_once_and_equal_networks_share_a_session(cache, monkeypatch):
  first = graphs.session(runtimes.on_onnx_runtime, model('finder'))
  assert [path.suffix for path in cache.iterdir()] == ['.onnx']
  monkeypatch.setattr(onnx_writer, 'write', None)
  assert graphs.session(runtimes.on_onnx_runtime, model('finder')) is first
  for start in EXACT.values():  # The graph is the same for all.
    graphs._session.cache_clear()
    assert graphs.session(start, model('finder')) is not first


def test_other_weights_and_other_networks_are_other_graphs():
  of, other = model('finder'), model(MEMORY)
  changed = jax.tree.map(lambda x: x + (x.shape == (14,)), dict(of.variables))
  models = [of, type(of)(of.network, changed, of.options), other]
  found = [graphs.fingerprint(one) for one in models]
  assert len(set(found)) == 3
  assert graphs.fingerprint(model('finder')) == found[0]


def test_where_nothing_can_be_kept_a_graph_is_written_each_time(tmp_path, monkeypatch):
  (tmp_path / 'file').touch()
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'file'))
  assert graphs.session(runtimes.on_onnx_runtime, model('finder'))


def test_runtimes_take_the_cores_that_the_process_may_use(monkeypatch):
  monkeypatch.setattr(os, 'sched_getaffinity', lambda _: {3}, raising=False)
  options = graphs.session(EXACT['onnxruntime'], model('finder')).get_session_options()
  assert options.intra_op_num_threads == 1
  if 'openvino' in EXACT:
    session = graphs.session(EXACT['openvino'], model('finder'))
    assert session.compiled.get_property('INFERENCE_NUM_THREADS') == 1


@pytest.mark.parametrize(
  ('backend', 'installed', 'has_bfloat16', 'expected'),
  [
    ('cpu', ('onnxruntime', 'openvino'), True, 'openvino'),
    ('cpu', ('onnxruntime', 'openvino'), False, 'onnxruntime'),
    ('cpu', ('onnxruntime',), True, 'onnxruntime'),
    ('cpu', ('openvino',), False, 'openvino'),
    ('cpu', (), True, 'xla'),
    ('gpu', ('onnxruntime', 'openvino'), True, 'xla'),
    ('tpu', ('onnxruntime', 'openvino'), True, 'xla'),
  ],
)
def test_auto_is_what_is_quickest_on_the_machine(
  backend, installed, has_bfloat16, expected, monkeypatch
):
  monkeypatch.setattr(jax, 'default_backend', lambda: backend)
  monkeypatch.setattr(runtimes, 'has_bfloat16', lambda: has_bfloat16)
  install(monkeypatch, *installed)
  assert choice.chosen('auto') == expected
  assert choice.chosen('xla') == 'xla'
  computes_in = {'openvino': ', bfloat16' if has_bfloat16 else ', float32'}
  assert choice.described('auto') == expected + computes_in.get(expected, '')


ALONE = """
import os, sys, time
os.register_at_fork(before=lambda: print('fork'))
from fmx.engines import runtimes
runtimes.has_bfloat16()
time.sleep(0.5)  # It would do that in a thread.
print([name for name in sys.modules if 'telemetry' in name.partition('.')[0]])
print(os.listdir(os.environ['HOME']))
"""


@pytest.mark.skipif(not RUNTIMES['openvino'].is_installed(), reason='needs OpenVINO')
def test_openvino_tells_nobody_that_it_is_used(tmp_path):
  environment = os.environ | {'HOME': str(tmp_path)}
  command = [sys.executable, '-c', ALONE]
  found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
  assert found.stdout.split() == ['[]', '[]'], found.stdout


def test_whoever_has_no_engine_of_cpus_is_told_of_them_once(monkeypatch, caplog):
  monkeypatch.setattr(jax, 'default_backend', lambda: 'cpu')
  caplog.set_level(logging.INFO)
  choice._advise.cache_clear()
  install(monkeypatch)
  assert [choice.chosen('auto'), choice.chosen('auto'), choice.chosen('xla')] == ['xla'] * 3
  assert [record.message.count("pip install 'fmx[cpu]'") for record in caplog.records] == [1]


def test_an_engine_that_is_not_there_is_refused_in_a_sentence(monkeypatch):
  known = "'auto' or 'xla' or 'onnxruntime' or 'openvino'"
  with pytest.raises(ValueError, match=f"'tensorrt'; it must be {known}"):
    choice.chosen('tensorrt')
  install(monkeypatch)
  for engine, extra in (('onnxruntime', 'onnx'), ('openvino', 'cpu')):
    with pytest.raises(
      ValueError, match=rf"pip install 'fmx\[{extra}\]', or take the engine 'xla'"
    ):
      choice.chosen(engine)


def test_a_network_of_unknown_operations_runs_on_xla_or_is_refused(monkeypatch):
  def write(*_):
    raise NotImplementedError("'sort' is not among them")

  monkeypatch.setattr(onnx_writer, 'write', write)
  of = model('finder')
  frames = np.zeros((1, 64, 64, 3), np.uint8)
  expected = choice.finder(of, 'xla')(frames)
  np.testing.assert_array_equal(choice.finder(of, 'auto')(frames), expected)
  with pytest.raises(ValueError, match="The engine 'onnxruntime' cannot run this network: 'sort'"):
    choice.finder(of, 'onnxruntime')


def test_networks_of_other_makers_run_too():
  run = Predictor(tiny_models.model('fcn'), engine='auto')
  assert run(video(1, 1))[0].shape[-1] == 5
