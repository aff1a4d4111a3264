"""Training on windows out of whole frames, from the configuration to weights."""

import json
import shutil

import jax
import numpy as np
import pytest
import small_onnx
import tiny_runs

from configs import upright
from fmx import jobs, weights
from fmx.data.prepared import open_dataset
from fmx.models import pretrained, segmenter
from fmx.models.resnet import normalize
from fmx.train import handover, stages

OPTIONS = {
  'log_every': 1,
  'data.image_size': 32,
  'model.head_features': 4,
  'model.width': 2,
  'model.stem': 4,
  'model.blocks': (1, 1, 1),
  'fcn.epochs': 2,
  'fcn.batch_size': 8,
  'fcn.learning_rate': 0.01,
  'fcn.average': 0.2,
}


def configuration(*regions, **overrides):
  """The upright networks of those regions, tiny; in the names of options, __ stands for a dot."""
  config = upright.get_config()
  for region in set(config.models) - set(regions):
    del config.models[region]
  config.data_dir = str(tiny_runs.frames_dir())
  overrides = {name.replace('__', '.'): value for name, value in overrides.items()}
  for model in config.models.values():
    model.update_from_flattened_dict(OPTIONS | overrides)
  return config.lock()


def stage_of(region, folder='nowhere', **overrides):
  config = configuration(region, **overrides).copy_and_resolve_references().models[region]
  return stages.Stage(
    'fcn', config, open_dataset(config.data.dataset, config.data.data_dir), folder
  )


REAL = segmenter.build


@pytest.fixture
def real_network(monkeypatch):
  monkeypatch.setattr(segmenter, 'build', REAL)


@pytest.fixture(scope='module')
def tiny_network():
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(segmenter, 'build', tiny_runs.build)
    yield


@pytest.fixture(scope='module')
def trained(tiny_network, tmp_path_factory):
  """The workdir of a training of eyes and mouths."""
  folder = tmp_path_factory.mktemp('upright')
  jobs.train_all(configuration('eye', 'mouth'), folder)
  return folder


def newest(folder, region):
  stage = stage_of(region, folder / region / 'fcn')
  return stage.checkpoints(read_only=True).restore_latest(stage.state_like())


def test_the_weights_say_which_crop_they_take(trained):
  models = weights.load(trained)
  assert set(models) == {'eye', 'mouth'}
  for region, margin in (('eye', 2.4), ('mouth', 1.75)):
    model = models[region]
    assert (model.region, model.margin, model.image_size, model.clip_length) == (
      region, margin, 32, 1
    )  # fmt: skip
    assert model.options['pool_margin'] == (0, 1)
    assert model.trained['loss'] == 'cross_entropy_iou'


def test_what_is_handed_on_is_the_average_of_the_last_epoch(trained):
  stage = stage_of('eye', trained / 'eye/fcn')
  step, state = stage.checkpoints(read_only=True).restore_latest(stage.state_like())
  model = weights.load(trained)['eye']
  assert model.trained['step'] == step
  jax.tree.map(np.testing.assert_array_equal, model.variables['params'], state.average.params)
  jax.tree.map(
    np.testing.assert_array_equal, model.variables['batch_stats'], state.average.batch_stats
  )
  kernels = state.params['conv']['kernel'], state.average.params['conv']['kernel']
  assert np.abs(kernels[0] - kernels[1]).max() > 0


def test_each_epoch_is_validated_and_the_end_is_tested(trained):
  for region, names in (('eye', ('eyes',)), ('mouth', ('outer_mouth', 'inner_mouth'))):
    text = (trained / region / 'fcn/metrics.jsonl').read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    epochs = [line for line in lines if 'epoch' in line]
    assert [line['epoch'] for line in epochs] == [1, 2]
    for line in epochs:
      ious = [line[f'validation/iou_{name}'] for name in names]
      assert line['validation/miou'] == pytest.approx(np.mean(ious))
    results = json.loads((trained / region / 'results.json').read_text())
    assert set(results['FCN']['iou']) == {'background', *names}
    assert (trained / region / 'fcn/pictures/validation').is_dir()


@pytest.mark.usefixtures('tiny_network')
def test_a_run_goes_on_from_its_first_epoch_to_the_same_bits(trained, tmp_path):
  again = shutil.copytree(trained / 'eye', tmp_path / 'eye')
  last, expected = newest(trained, 'eye')
  shutil.rmtree(again / f'fcn/checkpoints/{last}')
  config = configuration('eye').copy_and_resolve_references().models.eye
  jobs.train(config, again)
  step, state = newest(tmp_path, 'eye')
  assert step == last
  leaves = jax.tree_util.tree_leaves_with_path
  for (path, ours), (_, theirs) in zip(leaves(state), leaves(expected), strict=True):
    if jax.numpy.issubdtype(ours.dtype, jax.dtypes.prng_key):
      ours, theirs = jax.random.key_data(ours), jax.random.key_data(theirs)
    np.testing.assert_array_equal(ours, theirs, err_msg=jax.tree_util.keystr(path))


@pytest.mark.usefixtures('real_network')
def test_a_stage_of_whole_frames_is_that_of_its_view():
  stage = stage_of('mouth')
  assert stage.sees_frames
  assert (stage.region, stage.class_names[1:]) == ('mouth', ('outer_mouth', 'inner_mouth'))
  assert stage.view().margin == 1.75
  assert stage.model().num_classes == 3
  stage.check()


@pytest.mark.usefixtures('real_network')
@pytest.mark.parametrize(
  ('overrides', 'message'),
  [
    ({'data__clip_length': 5}, r"set data.clip_length = 1 and stages = \('fcn',\)"),
    ({'data__view__margin': 0.0}, 'margin 0.0'),
    ({'data__view__region': 'eyes'}, "view.region is 'eyes'"),
    ({'data__image_size': 40}, 'must be a multiple of 16'),
    ({'fcn__schedule': 'cosin'}, "No schedule is called 'cosin'"),
    ({'data__spoiling__jpeg': 2.0}, 'spoiling.jpeg is 2.0'),
    ({'fcn__average': 1.0}, 'fcn.average is 1.0; it must be at least 0 and below 1'),
    ({'fcn__result': 'first'}, "fcn.result is 'first'; it must be 'best' or 'last'"),
    ({'fcn__decay': -0.1}, 'fcn.decay is -0.1; it must be 0 or more'),
  ],
)
def test_what_cannot_be_trained_is_found_before_anything_is_written(overrides, message):
  with pytest.raises(ValueError, match=message):
    stage_of('eye', **overrides).check()


def test_a_model_of_another_region_is_refused_before_any_training(tmp_path):
  config = configuration('eye', data__view__region='mouth')
  with pytest.raises(ValueError, match="models.eye.data.dataset is .* which is of 'mouth'"):
    jobs.train_all(config, tmp_path / 'run')
  assert not (tmp_path / 'run').exists()


@pytest.mark.usefixtures('real_network')
def test_a_trunk_begins_with_what_the_file_makes_of_training_frames(tmp_path):
  pytest.importorskip('onnx', reason='onnx is not installed')
  path = small_onnx.resnet(width=2, stem=4, blocks=(1, 1, 1, 1)).save(tmp_path / 'folded.onnx')
  stage = stage_of('eye', model__pretrained=str(path))
  variables, origin = handover.initial_variables(stage, None)
  assert origin.startswith(f'Weights from {path}:\n')
  assert 'variables dropped: stage3_block0' in origin
  kernel, bias = pretrained.read_onnx(path)['1']
  trunk, averages = variables['params']['trunk'], variables['batch_stats']['trunk']
  np.testing.assert_array_equal(trunk['conv1']['kernel'], kernel)
  # The averages are those of the first training batch.
  batches = stage.batches(0)
  frames = normalize(next(batches)['video'][0][:, 0])
  batches.close()
  outputs = jax.lax.conv_general_dilated(
    frames, kernel, (2, 2), [(3, 3)] * 2, dimension_numbers=('NHWC', 'HWIO', 'NHWC')
  )
  mean = np.mean(outputs, axis=(0, 1, 2))
  np.testing.assert_allclose(averages['bn1']['mean'], mean, rtol=1e-4, atol=1e-3)
  np.testing.assert_allclose(trunk['bn1']['bias'], bias + mean, rtol=1e-4, atol=1e-3)


@pytest.mark.usefixtures('tiny_network')
def test_a_network_begins_with_weights_that_were_handed_on(trained):
  stage = stage_of('eye', model__pretrained=str(trained))
  variables, origin = handover.initial_variables(stage, None)
  assert origin == f'Weights from {trained}.'
  jax.tree.map(
    np.testing.assert_array_equal, variables, dict(weights.load(trained)['eye'].variables)
  )


@pytest.mark.usefixtures('tiny_network')
def test_weights_of_another_region_or_network_are_no_beginning(trained, monkeypatch):
  with pytest.raises(ValueError, match="the network of 'eye' is missing: it has mouth"):
    handover.initial_variables(stage_of('eye', model__pretrained=str(trained / 'mouth')), None)
  stage = stage_of('eye', model__pretrained=str(trained))
  other = jax.tree.map(
    lambda leaf: jax.ShapeDtypeStruct((2, *leaf.shape), leaf.dtype), stage.shapes
  )
  monkeypatch.setitem(vars(stage), 'shapes', other)
  with pytest.raises(ValueError, match="the network of 'eye' is of another network: see model"):
    handover.initial_variables(stage, None)


@pytest.mark.usefixtures('tiny_network')
def test_several_processes_begin_alike(monkeypatch):
  videos = []
  monkeypatch.setattr(segmenter, 'conv_outputs', lambda network, variables, video: video)
  monkeypatch.setattr(
    pretrained, 'load', lambda path, variables, look: videos.append(look(variables)) or ({}, '')
  )
  monkeypatch.setattr(jax, 'process_count', lambda: 2)
  for process in range(2):
    monkeypatch.setattr(jax, 'process_index', lambda process=process: process)
    handover.initial_variables(stage_of('eye', model__pretrained='there.onnx'), None)
  np.testing.assert_array_equal(*videos)


def test_the_windows_of_a_split_are_listed_once():
  stage = stage_of('eye')
  assert stage.windows('validation') is stage.windows('validation')
  assert stage.train_windows is stage.windows('train')
