import json
import re
import shutil
import socket

import numpy as np
import pytest
import tiny_runs
import tiny_weights
from flax.traverse_util import flatten_dict
from forked_commands import Commands

from fmx import tree_io, weights
from fmx.checkpoint import Checkpoints

STAGES = ('fcn', 'convlstm')


@pytest.fixture(scope='module')
def commands(tmp_path_factory):
  with Commands(tmp_path_factory.mktemp('commands')) as commands:
    yield commands


@pytest.fixture(scope='module')
def uninterrupted(commands, tmp_path_factory):
  """The workdir of a run that nothing disturbed."""
  workdir = tmp_path_factory.mktemp('uninterrupted')
  status, output = commands.run(*tiny_runs.flags(), f'--workdir={workdir}')
  assert status == 0, output
  return workdir


@pytest.fixture
def copied(uninterrupted, tmp_path):
  """A copy of that workdir, to be spoilt."""
  return shutil.copytree(uninterrupted, tmp_path / 'copied')


def steps(workdir, stage):
  return Checkpoints(workdir / stage / 'checkpoints', read_only=True).steps


def lines(workdir, stage):
  return [json.loads(line) for line in open(workdir / stage / 'metrics.jsonl')]


def results(workdir):
  return json.loads((workdir / 'results.json').read_text())


def states(workdir):
  """All values of the newest checkpoint of each stage, by name."""
  found = {}
  for stage in STAGES:
    newest = workdir / stage / 'checkpoints' / str(steps(workdir, stage)[-1])
    for leaf, array in tree_io.read(newest):
      found['/'.join([stage, *leaf['path']])] = array
  return found


def assert_same_bits(workdir, other):
  ours, theirs = states(workdir), states(other)
  assert ours.keys() == theirs.keys()
  for name, array in ours.items():
    np.testing.assert_array_equal(array, theirs[name], err_msg=name)
  assert results(workdir) == results(other)


def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bits(
  commands, uninterrupted, tmp_path
):
  # From one checkpoint to the next Python changes some 30 files. The first runs come no further
  # than the first epoch, and are killed everywhere in it and in its save; the later ones come an
  # epoch or two further each time.
  flags = [*tiny_runs.flags(), f'--workdir={tmp_path}']
  reached = set()
  for kill_at in range(2, 200, 6):
    status, output = commands.run(*flags, kill_at=kill_at)
    reached.update((stage, step) for stage in STAGES for step in steps(tmp_path, stage))
    if status != -9:
      break
  assert status == 0, output
  assert len(reached) >= 4  # Out of five epochs: so there were kills in both stages.
  assert_same_bits(tmp_path, uninterrupted)
  for stage in STAGES:
    assert lines(tmp_path, stage) == lines(uninterrupted, stage)


def test_a_run_that_is_asked_to_stop_saves_and_goes_on_to_the_same_bits(
  commands, uninterrupted, tmp_path
):
  flags = [*tiny_runs.flags(), f'--workdir={tmp_path}']
  status, output = commands.run(*flags, stop_at=('SIGTERM', 'fcn', 3))
  assert (status, steps(tmp_path, 'fcn')) == (143, [3])
  assert output.endswith('FCN: stopped and saved at step 3; the same command goes on.\n')
  status, output = commands.run(*flags, stop_at=('SIGINT', 'convlstm', 6))
  assert (status, steps(tmp_path, 'convlstm')[-1]) == (130, 6)
  assert 'Traceback' not in output
  assert 'going on from step 3' in output
  status, output = commands.run(*flags)
  assert status == 0, output
  assert 'ConvLSTM-FCN: already trained, 6 steps.' in output
  assert_same_bits(tmp_path, uninterrupted)
  for stage in STAGES:  # Also of the epoch in whose middle it stopped.
    assert lines(tmp_path, stage) == lines(uninterrupted, stage)


def test_a_damaged_newest_checkpoint_is_passed_over_with_a_warning(commands, uninterrupted, copied):
  (copied / 'results.json').unlink()
  for path in (copied / 'convlstm/checkpoints/6/state').rglob('*'):
    if path.is_file() and path.stat().st_size > 100:
      path.write_bytes(path.read_bytes()[:-50])
  status, output = commands.run(*tiny_runs.flags(), f'--workdir={copied}')
  assert status == 0, output
  assert 'checkpoints/6 (now damaged-6) is damaged and left out' in output
  assert 'ConvLSTM-FCN: going on from step 4.' in output
  assert_same_bits(copied, uninterrupted)


def test_a_loss_that_is_no_number_stops_the_run_and_is_not_saved(commands, uninterrupted, copied):
  shutil.rmtree(copied / 'convlstm')
  flags = [*tiny_runs.flags(), f'--workdir={copied}']
  status, output = commands.run(*flags, poison_at=('convlstm', 4))
  assert status == 1
  assert steps(copied, 'convlstm') == [2]
  sentence = output.splitlines()[-1]
  assert 'ConvLSTM-FCN, step 4: the loss is nan' in sentence
  assert 'on video 00' in sentence
  assert '--config.convlstm.learning_rate' in sentence
  assert 'Traceback' not in output
  assert commands.run(*flags)[0] == 0
  assert_same_bits(copied, uninterrupted)


def test_a_full_disk_is_one_sentence_and_the_run_goes_on_from_before(
  commands, uninterrupted, tmp_path
):
  flags = [*tiny_runs.flags(), f'--workdir={tmp_path / "run"}']
  sentences = []
  for full_at in (1, 12, 40):
    status, output = commands.run(*flags, full_at=full_at)
    assert (status, 'Traceback' in output) == (1, False), output
    sentences.append(output.splitlines()[-1])
  assert 'run cannot be written (No space left on device): give another' in sentences[0]
  assert 'the disk of' in sentences[1] or 'cannot be written' in sentences[1]
  assert all('No space left' in one or 'is full: make room' in one for one in sentences), sentences
  status, output = commands.run(*flags)
  assert status == 0, output
  assert 'going on from step' in output
  assert_same_bits(tmp_path / 'run', uninterrupted)


def run_two(commands, *flags, of_second):
  """Runs a command as two processes, the second with something special."""
  with socket.socket() as free:
    free.bind(('127.0.0.1', 0))
    port = free.getsockname()[1]
  flags = [*flags, f'--coordinator=127.0.0.1:{port}', '--process_count=2']
  first = commands.start(*flags, '--process_id=0', devices=2)
  second = commands.start(*flags, '--process_id=1', devices=2, **of_second)
  return [commands.wait(process) for process in (first, second)]


def test_four_devices_are_one_device_and_two_processes_are_one(commands, uninterrupted, tmp_path):
  # Sums over devices are in another order: parameters differ by rounding, which Adam's division by
  # the root of tiny second moments enlarges; over 16 steps of rate 0.001 it stays below 1e-4.
  flags = tiny_runs.flags(convlstm__batch_size=4)
  one, four, two = (tmp_path / name for name in ('one', 'four', 'two'))
  assert commands.run(*flags, f'--workdir={one}')[0] == 0
  assert commands.run(*flags, f'--workdir={four}', devices=4)[0] == 0
  for expected, of_second in ((143, {'stop_at': ('SIGTERM', 'fcn', 5)}), (0, {})):
    for status, output in run_two(commands, *flags, f'--workdir={two}', of_second=of_second):
      assert status == expected, output  # Both stop, at the same step, though one was asked.
  expected = states(one)
  for workdir in (four, two):
    for name, array in states(workdir).items():
      np.testing.assert_allclose(array, expected[name], atol=1e-4, err_msg=name)
    for stage in STAGES:
      for ours, theirs in zip(lines(workdir, stage), lines(one, stage), strict=True):
        assert ours == pytest.approx(theirs, abs=2e-3)
    assert list(results(workdir)) == list(results(one))  # Smoothing is among them.
    for title, theirs in results(one).items():
      ours = results(workdir)[title]
      assert ours['frames'] == theirs['frames']
      assert ours['miou'] == pytest.approx(theirs['miou'], abs=2e-3)


def test_the_job_evaluate_finds_what_training_found(commands, uninterrupted, tmp_path):
  for stage, titles in (
    ('fcn', ['FCN', 'FCN + temporal smoothing']),
    ('convlstm', ['ConvLSTM-FCN']),
  ):
    status, output = commands.run(
      *tiny_runs.flags(job='evaluate', checkpoint=uninterrupted / stage, data__image_size=64),
      f'--workdir={tmp_path}',
    )
    assert status == 0, output
    expected = results(uninterrupted)
    assert results(tmp_path) == {title: expected[title] for title in titles}


def test_a_baseline_of_table_2_is_trained_evaluated_and_handed_on(commands, tmp_path):
  options = {
    'model.trunk': 'vgg16',
    'model.head': 'aspp',
    'model.head_features': 4,
    'stages': "('fcn',)",
    'fcn.epochs': 1,
    'evaluation.dense_crf.apply': True,
  }
  flags = tiny_runs.flags(**options)
  status, output = commands.run(*flags, f'--workdir={tmp_path / "run"}', tiny=False)
  assert status == 0, output
  titles = ['FCN', 'FCN + temporal smoothing', 'FCN + dense CRF']
  assert list(results(tmp_path / 'run')) == titles
  flags = tiny_runs.flags(
    job='evaluate', weights=tmp_path / 'run', evaluation__dense_crf__apply=True
  )
  status, output = commands.run(*flags, f'--workdir={tmp_path / "again"}', tiny=False)
  assert status == 0, output
  assert list(results(tmp_path / 'again')) == titles


def test_the_second_stage_can_start_from_another_run(commands, uninterrupted, tmp_path):
  flags = tiny_runs.flags(stages="('convlstm',)", trained_fcn=uninterrupted)
  status, output = commands.run(*flags, f'--workdir={tmp_path}')
  assert status == 0, output
  assert f'Weights from {uninterrupted}/fcn, step ' in output
  newest = [
    tree_io.load_tree(workdir / 'convlstm/checkpoints/6') for workdir in (tmp_path, uninterrupted)
  ]
  for ours, theirs in zip(*map(_leaves, newest), strict=True):
    np.testing.assert_array_equal(ours, theirs)


def test_gates_can_be_put_behind_an_fcn_out_of_weights(commands, tmp_path):
  given = tmp_path / 'given'
  weights.save(given, {region: tiny_weights.model(region) for region in ('primary', 'mouth')})
  options = {f'model.{name}': value for name, value in tiny_weights.OPTIONS.items()}
  options |= {
    'trained_fcn': given,
    'model.memory': 'fine',
    'data.spoiled_frames': 0.5,
    'convlstm.epochs': 1,
    'convlstm.gamma': 0.0,
    'convlstm.loss': 'cross_entropy_iou',
  }
  flags = tiny_runs.flags(**options, stages="('convlstm',)")
  status, output = commands.run(*flags, f'--workdir={tmp_path / "run"}', tiny=False)
  assert status == 0, output
  assert f'Weights from {given}:' in output
  models, before = weights.load(tmp_path / 'run'), weights.load(given)
  trees = [flatten_dict(dict(of.variables)) for of in (models['primary'], before['primary'])]
  for path, value in trees[1].items():
    np.testing.assert_array_equal(trees[0][path], value)  # Only the gates learn.
    np.testing.assert_array_equal(flatten_dict(dict(models['fcn'].variables))[path], value)
  assert models.keys() == {'primary', 'fcn', 'mouth'}
  assert {path[2] for path in trees[0].keys() - trees[1].keys()} == {'memory4', 'memory8'}
  flags = tiny_runs.flags(
    job='evaluate', weights=tmp_path / 'run', evaluation__state='stream', evaluation__spoiled=True
  )
  status, output = commands.run(*flags, f'--workdir={tmp_path / "again"}', tiny=False)
  assert status == 0, output
  titles = ['FCN', 'FCN + temporal smoothing', 'Gated FCN', 'Gated FCN + zoomed-in models']
  assert list(results(tmp_path / 'again')) == titles


def _leaves(tree):
  for value in tree.values():
    if isinstance(value, dict):
      yield from _leaves(value)
    else:
      yield value


MISTAKES = {
  'an unknown option': (
    {'data.imagesize': 3},
    'there is no option \'imagesize\'. Did you mean "image_size" instead of "imagesize"?',
  ),
  'an option like no other': ({'zzz': 3}, "there is no option 'zzz'"),
  'a word for a number': ({'data.image_size': 'abc'}, '--config.data.image_size=abc: invalid'),
  'an unknown job': ({'job': 'dance'}, "job is 'dance'; it must be one of train, train_finder"),
  'no stage': ({'stages': '()'}, "stages is (); it must be ('fcn', 'convlstm')"),
  'no FCN to start from': ({'stages': "('convlstm',)"}, 'the workdir of a run that trained'),
  'an FCN too many': ({'trained_fcn': 'there'}, 'and only then'),
  'no run that trained the FCN': (
    {'stages': "('convlstm',)", 'trained_fcn': 'nowhere'},
    'nowhere is not the workdir of a run',
  ),
  'no dataset': ({'data.data_dir': 'nowhere'}, 'is not built in nowhere'),
  'an unknown split': ({'evaluation.split': 'tset'}, "has no split 'tset'; it has"),
  'an odd image size': ({'data.image_size': 40}, 'image size is 40; it must be a multiple of 16'),
  'an unknown head': ({'model.head': 'long'}, "model.head is 'long'; it must be one of coarse"),
  'a memory that a head has not': (
    {'model.head': 'fcn8'},
    "model.head is 'fcn8', which has no ConvLSTM",
  ),
  'a CRF that makes no sense': (
    {'evaluation.dense_crf.apply': True, 'evaluation.dense_crf.color_deviation': 0.0},
    'dense_crf.color_deviation is 0.0; it must be above 0',
  ),
  'an unknown loss': ({'fcn.loss': 'l1'}, "No loss is called 'l1'; choose one of"),
  'an unknown optimiser': ({'convlstm.optimizer': 'sdg'}, "No optimiser is called 'sdg'"),
  'a negative gamma': ({'convlstm.gamma': -1.0}, 'convlstm.gamma is -1.0; it must be 0'),
  'no epoch': ({'convlstm.epochs': 0}, 'convlstm.epochs is 0; it must be above 0'),
  'no learning': ({'fcn.learning_rate': 0.0}, 'fcn.learning_rate is 0.0; it must be above 0'),
  'no batch': ({'fcn.batch_size': 0}, 'fcn.batch_size is 0, which'),
  'too strong an augmentation': ({'data.augmentation.flip': 2.0}, 'flip is 2.0; it must be'),
  'no weights': ({'model.pretrained': 'nowhere.h5'}, 'nowhere.h5'),
  'nothing to evaluate': ({'job': 'evaluate'}, "checkpoint is ''; give the folder of a stage"),
  'a folder that is no run': (
    {'job': 'evaluate', 'checkpoint': 'nowhere/fcn'},
    'nowhere is not the workdir of a run',
  ),
}


@pytest.mark.parametrize('mistake', MISTAKES)
def test_a_mistake_is_one_sentence_and_leaves_nothing(commands, tmp_path, mistake):
  options, expected = MISTAKES[mistake]
  flags = [*tiny_runs.flags(), f'--workdir={tmp_path / "run"}']
  flags += [f'--config.{name}={value}' for name, value in options.items()]
  is_of_network = any(re.match(r'model\.|data\.image_size', name) for name in options)
  status, output = commands.run(*flags, tiny=not is_of_network)
  last = output.splitlines()[-1]
  assert (status, last[:7]) == (1, 'error: '), output
  assert expected in last
  assert 'Traceback' not in output
  if mistake != 'no weights':
    assert output.count('\n') == 1
    assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize(
  ('arguments', 'expected'),
  [
    (
      ['--config=configs/nothere.py', '--workdir=there'],
      "No such file or directory: 'configs/nothere.py'",
    ),
    (['--config=configs/primary.py'], 'give both --config=configs/FILE.py and --workdir=FOLDER'),
    (['--workdir=there'], 'give both --config'),
    (['--wrkdir=there'], "Unknown command line flag 'wrkdir'. Did you mean: workdir"),
    (['--config=configs/primary.py', '--workdir=there', 'more'], "unexpected 'more'"),
    (
      ['--config=configs/primary.py', '--workdir=there', '--process_count=2'],
      'need all of --coordinator, --process_count and --process_id',
    ),
  ],
)
def test_a_mistake_in_the_flags_is_one_sentence(commands, arguments, expected):
  status, output = commands.run(*arguments)
  assert (status, output.count('\n')) == (1, 1), output
  assert expected in output


def test_masks_need_no_workdir(commands, tmp_path):
  # They would go to nothere_masks, if there were such a video.
  weights = f'--config.weights={tmp_path}'
  flags = ['--config=configs/extract.py', '--config.video=nothere.mp4', weights]
  status, output = commands.run(*flags)
  assert (status, output.count('\n')) == (1, 1), output
  assert 'nothere.mp4: there is no such file' in output


def test_a_batch_must_divide_over_the_devices_before_anything_begins(commands, tmp_path):
  for option in ('fcn', 'convlstm', 'evaluation'):
    flags = tiny_runs.flags(fcn__batch_size=3, convlstm__batch_size=3, evaluation__batch_size=3)
    flags = [*flags, f'--config.{option}.batch_size=4', f'--workdir={tmp_path / "run"}']
    status, output = commands.run(*flags, devices=3)
    assert status == 1
    assert f'{option}.batch_size is 4, which does not divide over 3 devices: set a' in output
    assert not (tmp_path / 'run').exists()


def test_a_workdir_of_another_configuration_is_refused(commands, uninterrupted):
  flags = [*tiny_runs.flags(seed=1), f'--workdir={uninterrupted}']
  status, output = commands.run(*flags)
  assert status == 1
  assert 'holds a run of another configuration: seed is 1, there 0.' in output


def test_an_unfinished_run_cannot_be_evaluated(commands, copied, tmp_path):
  shutil.rmtree(copied / 'fcn/checkpoints')
  flags = tiny_runs.flags(job='evaluate', checkpoint=copied / 'fcn')
  status, output = commands.run(*flags, f'--workdir={tmp_path / "results"}')
  assert status == 1
  assert "error: No checkpoint with 'miou' in" in output


def test_one_command_trains_all_networks_into_one_folder_of_weights(commands, tmp_path):
  flags = [*tiny_runs.flags_of_all(fcn__epochs=1, convlstm__epochs=1), f'--workdir={tmp_path}']
  status, output = commands.run(*flags)
  assert status == 0, output
  names = ('eyes', 'fcn', 'finder', 'mouth', 'primary')
  weights = tmp_path / 'weights'
  assert sorted(path.name for path in weights.iterdir()) == sorted(
    [*(f'{name}.npz' for name in names), 'weights.json']
  )
  description = json.loads((weights / 'weights.json').read_text())
  assert {name: of.get('region') for name, of in description['models'].items()} == {
    'eyes': 'eyes', 'fcn': 'primary', 'finder': None, 'mouth': 'mouth', 'primary': 'primary'
  }  # fmt: skip
  for name, region, stage in (('fcn', 'primary', 'fcn'), ('eyes', 'eyes', 'convlstm')):
    best = Checkpoints(tmp_path / region / stage / 'checkpoints', best='miou', read_only=True)
    saved = tree_io.load_tree(tmp_path / region / stage / 'checkpoints' / str(best.best_step))
    with np.load(weights / f'{name}.npz') as kept:
      np.testing.assert_array_equal(kept['params/conv/kernel'], saved['params']['conv']['kernel'])

  moved = shutil.copytree(weights, tmp_path / 'elsewhere')
  evaluate = [
    '--config=configs/evaluate.py',
    f'--config.data.data_dir={tiny_runs.data_dir()}',
    f'--config.data.dataset={tiny_runs.DATASET}',
    f'--config.weights={moved}',
    f'--workdir={tmp_path / "results"}',
  ]
  status, output = commands.run(*evaluate)
  assert status == 0, output
  assert list(results(tmp_path / 'results')) == [
    'FCN', 'FCN + temporal smoothing', 'ConvLSTM-FCN', 'ConvLSTM-FCN + zoomed-in models'
  ]  # fmt: skip

  find = [
    '--config=configs/evaluate_finder.py',
    f'--config.data.data_dir={tiny_runs.data_dir()}',
    '--config.data.dataset=the300vw_mask/frames',
    f'--config.weights={moved}',
    f'--workdir={tmp_path / "found"}',
  ]
  status, output = commands.run(*find)
  assert status == 0, output
  ours = results(tmp_path / 'found')['ours']
  assert 0 <= ours['missed']['upright'] <= ours['faces'] > 0
  status, output = commands.run(*find, "--config.finder_evaluation.peers=('somebody',)")
  assert status == 1
  assert "finder_evaluation.peers has 'somebody'; there are libfacedetection, CenterFace" in output


def test_a_dataset_of_another_region_is_refused_before_any_training(commands, tmp_path):
  wrong = f'--config.models.eyes.data.dataset={tiny_runs.DATASET}'
  status, output = commands.run(*tiny_runs.flags_of_all(), wrong, f'--workdir={tmp_path / "run"}')
  assert status == 1
  assert (
    "models.eyes.data.dataset is the300vw_mask/released_primary, which is of 'primary'" in output
  )
  assert not (tmp_path / 'run').exists()
