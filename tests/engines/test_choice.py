"""Both engines say the same; which one is taken; graphs are kept."""

import dataclasses
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_models
from tiny_programs import LENGTH, MEMORY, SHIPPED, SIZE, model

from fmx.engines import choice, onnx_engine
from fmx.labelling.predictor import Predictor

onnx_writer = pytest.importorskip('fmx.engines.onnx_writer', reason='needs onnx (extra `onnx`)')
pytest.importorskip('onnxruntime', reason='needs ONNX Runtime (extra `onnx`)')


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
  onnx_engine._session.cache_clear()
  return tmp_path / 'fmx/onnx'


def video(clips, length, seed=0):
  return np.random.default_rng(seed).integers(0, 256, (clips, length, SIZE, SIZE, 3), np.uint8)


@pytest.mark.parametrize('kind', [SHIPPED, MEMORY])
def test_engines_give_the_same_logits_probabilities_and_states(kind):
  of = model(kind)
  xla, onnx = (Predictor(of, engine=engine) for engine in choice.ENGINES)
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


def test_networks_that_were_made_for_less_precision_have_all_of_it():
  of, frames = model(SHIPPED), video(1, 1)
  half = dataclasses.replace(of, network=of.network.clone(dtype=jnp.bfloat16))
  logits, rounded = (Predictor(one, engine='onnxruntime')(frames)[0] for one in (of, half))
  np.testing.assert_array_equal(rounded, logits)


def test_engines_find_the_same_in_frames_of_any_number_and_size():
  of = model('finder')
  xla, onnx = (choice.finder(of, engine) for engine in choice.ENGINES)
  for number, height in ((1, 64), (9, 128)):
    frames = np.random.default_rng(0).integers(0, 256, (number, height, 64, 3), np.uint8)
    np.testing.assert_allclose(onnx(frames), xla(frames), rtol=1e-5, atol=1e-4)


def test_a_graph_is_written_once_and_equal_networks_share_a_session(cache, monkeypatch):
  first = onnx_engine.session(model('finder'))
  assert [path.suffix for path in cache.iterdir()] == ['.onnx']
  monkeypatch.setattr(onnx_writer, 'write', None)
  assert onnx_engine.session(model('finder')) is first
  onnx_engine._session.cache_clear()
  assert onnx_engine.session(model('finder')) is not first


def test_other_weights_and_other_networks_are_other_graphs():
  of, other = model('finder'), model(MEMORY)
  changed = jax.tree.map(lambda x: x + (x.shape == (14,)), dict(of.variables))
  models = [of, type(of)(of.network, changed, of.options), other]
  found = [onnx_engine.fingerprint(one) for one in models]
  assert len(set(found)) == 3
  assert onnx_engine.fingerprint(model('finder')) == found[0]


def test_where_nothing_can_be_kept_a_graph_is_written_each_time(tmp_path, monkeypatch):
  (tmp_path / 'file').touch()
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'file'))
  assert onnx_engine.session(model('finder'))


def test_onnx_runtime_takes_the_cores_that_the_process_may_use(monkeypatch):
  monkeypatch.setattr(os, 'sched_getaffinity', lambda _: {3}, raising=False)
  options = onnx_engine.session(model('finder')).get_session_options()
  assert options.intra_op_num_threads == 1


@pytest.mark.parametrize(
  ('backend', 'is_installed', 'expected'),
  [('cpu', True, 'onnxruntime'), ('cpu', False, 'xla'), ('gpu', True, 'xla'), ('tpu', True, 'xla')],
)
def test_auto_is_onnx_runtime_on_machines_without_a_gpu_that_have_it(
  backend, is_installed, expected, monkeypatch
):
  monkeypatch.setattr(jax, 'default_backend', lambda: backend)
  monkeypatch.setattr(onnx_engine, 'is_installed', lambda: is_installed)
  assert choice.chosen('auto') == expected
  assert choice.chosen('xla') == 'xla'


def test_an_engine_that_is_not_there_is_refused_in_a_sentence(monkeypatch):
  with pytest.raises(ValueError, match="'tensorrt'; it must be 'auto' or 'xla' or 'onnxruntime'"):
    choice.chosen('tensorrt')
  monkeypatch.setattr(onnx_engine, 'is_installed', lambda: False)
  with pytest.raises(ValueError, match=r"pip install 'fmx\[onnx\]', or take the engine 'xla'"):
    choice.chosen('onnxruntime')


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
