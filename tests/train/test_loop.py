import contextlib
import json
import logging
import os
import shutil
import signal
import threading

import jax
import numpy as np
import pytest
import tiny_runs
from PIL import Image

from fmx import jobs, stopping
from fmx.data.prepared import Windows, open_dataset
from fmx.models import segmenter
from fmx.summary import Summary
from fmx.train import epoch, handover, loop, stages
from fmx.train.step import StepMetrics

EPOCH_STEPS = {'fcn': 5, 'convlstm': 1}  # 23 frames in batches of 4; 4 windows of 5 in one of 4.


@pytest.fixture(scope='module')
def tiny_network():
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(segmenter, 'build', tiny_runs.build)
    yield


@pytest.fixture(scope='module')
def trained(tiny_network, tmp_path_factory):
  """The workdir of a run on four devices, and what was compiled for it."""
  workdir = tmp_path_factory.mktemp('trained')
  with compilations() as compiled:
    jobs.train(tiny_runs.config(), workdir)
  return workdir, compiled


@pytest.fixture
def copied(trained, tmp_path):
  return shutil.copytree(trained[0], tmp_path / 'copied')


@contextlib.contextmanager
def compilations():
  """Collects what jax says of each function of frames that it compiles."""
  found, logger = [], logging.getLogger('jax._src.interpreters.pxla')

  class Collect(logging.Handler):
    def emit(self, record):
      message = record.getMessage()
      if message.startswith('Compiling ') and 'uint8[4,' in message:
        found.append(message)

  handler, level = Collect(), logger.level
  logger.addHandler(handler)
  logger.setLevel(logging.DEBUG)
  logger.propagate = False
  try:
    yield found
  finally:
    logger.removeHandler(handler)
    logger.setLevel(level)
    logger.propagate = True


def stage_of(workdir, name, **overrides):
  config = tiny_runs.config(**overrides)
  dataset = open_dataset(config.data.dataset, config.data.data_dir)
  return stages.Stage(name, config, dataset, workdir / name)


def newest(workdir, name, **overrides):
  stage = stage_of(workdir, name, **overrides)
  return stage.checkpoints(read_only=True).restore_latest(stage.state_like())


def lines(workdir, name):
  return [json.loads(line) for line in open(workdir / name / 'metrics.jsonl')]


def assert_same(tree, other):
  paths = jax.tree_util.tree_leaves_with_path
  for (path, ours), (_, theirs) in zip(paths(tree), paths(other), strict=True):
    np.testing.assert_array_equal(ours, theirs, err_msg=jax.tree_util.keystr(path))


def test_steps_and_evaluation_are_compiled_once_a_stage(trained):
  _, compiled = trained
  assert len(compiled) == 4, compiled  # Two stages; tests, validations and epochs share them.


def test_a_run_that_goes_on_compiles_no_step_twice(copied):
  shutil.rmtree(copied / 'fcn/checkpoints/10')
  with compilations() as compiled:
    loop.train_stage(stage_of(copied, 'fcn'), None)
  assert len(lines(copied, 'fcn')) == 12  # Five steps and their epoch, twice.
  assert len(compiled) == 2, compiled


def test_each_epoch_has_one_line_and_each_step_one_loss(trained):
  workdir, _ = trained
  for name, epochs in (('fcn', 2), ('convlstm', 3)):
    found = lines(workdir, name)
    of_epochs = [line for line in found if 'epoch' in line]
    assert [line['epoch'] for line in of_epochs] == list(range(1, epochs + 1))
    per_epoch = EPOCH_STEPS[name]
    losses = [line['train/step_loss'] for line in found if 'train/step_loss' in line]
    assert len(losses) == epochs * per_epoch
    for number, line in enumerate(of_epochs):
      assert line['step'] == (number + 1) * per_epoch
      of_epoch = losses[number * per_epoch : (number + 1) * per_epoch]
      assert line['train/loss'] == pytest.approx(np.mean(of_epoch), rel=1e-6)
      ious = [
        line[f'validation/iou_{label}']
        for label in ('facial_skin', 'eyes', 'outer_mouth', 'inner_mouth')
      ]
      assert line['validation/miou'] == pytest.approx(np.mean(ious))
    pictures = sorted(path.name for path in (workdir / name / 'pictures/validation').iterdir())
    assert pictures == [f'{line["step"]:08d}.png' for line in of_epochs]
    assert np.ptp(np.asarray(Image.open(workdir / name / 'pictures/validation' / pictures[0]))) > 99


def test_the_best_epoch_by_validation_goes_on_and_frozen_layers_stay(copied, caplog):
  fcn = stage_of(copied, 'fcn')
  assert fcn.checkpoints().steps == [5, 10]
  # Their metrics are all that tells which epoch is the best.
  (copied / 'fcn/checkpoints/5/metrics/metrics').write_text(json.dumps({'miou': 0.9}))
  step, best, metrics = handover.trained_variables(fcn)
  assert (step, metrics) == (5, {'miou': 0.9})
  shutil.rmtree(copied / 'convlstm')
  (copied / 'config.json').unlink()
  before = json.loads((copied / 'results.json').read_text())
  caplog.set_level(logging.INFO, 'fmx')
  results = jobs.train(tiny_runs.config(convlstm__epochs=1, convlstm__gamma=0.0), copied)
  assert f'Weights from {copied}/fcn, step 5, validation mIoU 90.00 %' in caplog.text
  assert results['FCN']['counts'] != before['FCN']['counts']
  _, state = newest(copied, 'convlstm', convlstm__gamma=0.0)
  assert_same(state.batch_stats, best['batch_stats'])
  for name in ('conv', 'norm'):
    assert_same(state.params[name], best['params'][name])


def test_with_gamma_everything_but_the_running_averages_learns(trained):
  _, best, _ = handover.trained_variables(stage_of(trained[0], 'fcn'))
  _, state = newest(trained[0], 'convlstm')
  assert_same(state.batch_stats, best['batch_stats'])
  moved = np.abs(state.params['conv']['kernel'] - best['params']['conv']['kernel']).max()
  # Three steps of Adam at 0.05 times rates of 0.001, 0.00067 and 0.00033 move 1e-4 at most.
  assert 1e-6 < moved < 1.1e-4


@pytest.mark.usefixtures('tiny_network')
def test_a_learning_rate_beyond_all_bounds_stops_at_once_and_saves_nothing(tmp_path):
  stage = stage_of(tmp_path, 'fcn', fcn__learning_rate=1e30)
  with pytest.raises(epoch.Diverged, match=r'FCN, step 1: .* that of the update inf, on video 00'):
    loop.train_stage(stage, None)
  assert stage.checkpoints().steps == []


def counted(loss, pixels=1):
  """The metrics of a step: of two classes seen, the second has `pixels` wrong and one right."""
  counts = np.zeros((5, 5), np.int32)
  counts[:2, :2] = [[1, 0], [pixels, 1]]
  return StepMetrics(counts, loss, 1.0, 1.0, bool(np.isfinite(loss)))


@contextlib.contextmanager
def epoch_metrics(tmp_path, log_every=1, before=None):
  stage = stage_of(tmp_path, 'fcn', log_every=log_every)
  windows = Windows(stage.dataset, 'train', 1, keep_rest=False)
  with Summary(tmp_path / 'fcn') as summary:
    yield epoch.EpochMetrics(stage, windows, summary, before or {})


FIRST_AND_13TH = np.array([[0], [12]])


def test_the_loss_of_a_step_is_known_when_the_next_is_under_way(tmp_path):
  with epoch_metrics(tmp_path) as metrics:
    for step, known in ((1, None), (2, 4.0), (3, 3.0)):
      metrics.add(step, counted(5.0 - step, step), FIRST_AND_13TH)
      assert metrics.loss == known
    metrics.settle()
    metrics.settle()
    assert metrics.loss == 2.0
    # Counts add up to [[3, 0], [6, 3]]: the class besides the background has 3 of 9 pixels.
    assert metrics.scalars() == pytest.approx({'train/loss': 3.0, 'train/miou': 3 / 9})
    metrics.add(4, counted(1.0, 3), FIRST_AND_13TH)
    metrics.settle()
    assert metrics.scalars() == {'train/loss': 1.0, 'train/miou': 1 / 4}
  assert [line['train/step_loss'] for line in lines(tmp_path, 'fcn')] == [4, 3, 2, 1]


def test_an_interrupted_epoch_counts_as_a_whole(tmp_path):
  with epoch_metrics(tmp_path) as metrics:
    for step in (1, 2):
      metrics.add(step, counted(5.0 - step, step), FIRST_AND_13TH)
    metrics.settle()
    unfinished = json.loads(json.dumps(metrics.unfinished()))
  with epoch_metrics(tmp_path, before=unfinished) as metrics:
    metrics.add(3, counted(2.0, 3), FIRST_AND_13TH)
    metrics.settle()
    assert metrics.scalars() == pytest.approx({'train/loss': 3.0, 'train/miou': 3 / 9})
    assert set(metrics.unfinished().values()) == {0.0}


def test_the_summary_has_every_so_many_losses(tmp_path):
  with epoch_metrics(tmp_path, log_every=2) as metrics:
    for step in range(1, 6):
      metrics.add(step, counted(1.0), FIRST_AND_13TH)
    metrics.settle()
  assert [line['step'] for line in lines(tmp_path, 'fcn')] == [2, 4]


def test_a_step_that_is_no_number_is_named_with_its_clips(tmp_path):
  with epoch_metrics(tmp_path) as metrics:
    metrics.add(1, counted(2.0), np.array([[5]]))
    metrics.add(2, counted(float('inf')), FIRST_AND_13TH)
    with pytest.raises(epoch.Diverged) as stop:
      metrics.add(3, counted(1.0), np.array([[5]]))
  text = str(stop.value)
  assert text.startswith('FCN, step 2: the loss is inf, ')
  assert 'on video 001, frame 31, video 002, frame 3.' in text
  assert '--config.fcn.learning_rate' in text
  assert [line['step'] for line in lines(tmp_path, 'fcn')] == [1]


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_a_request_once_and_handlers_come_back(number):
  calls = []
  before = signal.signal(number, lambda *_: calls.append(1))
  try:
    handler = signal.getsignal(number)
    with stopping.stop_requests() as asked:
      assert asked() == 0
      os.kill(os.getpid(), number)
      assert (asked(), calls) == (number, [])
      os.kill(os.getpid(), number)  # The second time it does what it did before.
      assert (asked(), calls) == (number, [1])
    assert signal.getsignal(number) is handler
  finally:
    signal.signal(number, before)


def test_outside_the_main_thread_nobody_asks():
  found = []

  def ask():
    with stopping.stop_requests() as asked:
      found.append(asked())

  thread = threading.Thread(target=ask)
  thread.start()
  thread.join()
  assert found == [0]
