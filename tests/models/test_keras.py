"""Outside truths: our layers give Keras's numbers from Keras's weights. Needs `keras`."""

import os

os.environ['KERAS_BACKEND'] = 'jax'

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from fmx.models import pretrained, resnet, vgg
from fmx.models.conv_lstm import ConvLSTM
from fmx.models.convolution import Conv
from fmx.models.fcn import Segmenter
from fmx.models.upsampling import upsample

keras = pytest.importorskip('keras', reason='keras is not installed')
# Keras 3.15 has not caught up with numpy 2.4.
pytestmark = pytest.mark.filterwarnings('ignore:__array__ implementation:DeprecationWarning')


@pytest.fixture(scope='module')
def keras_resnet():
  """keras.applications.ResNet50 with random weights, biases and batch-norm statistics."""
  model = keras.applications.ResNet50(weights=None, include_top=False, input_shape=(64, 64, 3))
  rng = np.random.default_rng(0)
  for weight in model.weights:
    if weight.name in ('gamma', 'moving_variance'):
      weight.assign(rng.uniform(0.7, 1.3, weight.shape))
    elif weight.name != 'kernel':
      weight.assign(rng.normal(0, 0.1, weight.shape))
  return model


@pytest.fixture(scope='module')
def trunk_variables():
  """The shapes that a segmenter with the whole ResNet-50 for its trunk expects, filled with NaN."""
  module = resnet.ResNet(dilate=False)
  shapes = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 64, 64, 3)))
  return {
    kind: {'trunk': jax.tree.map(lambda x: np.full(x.shape, np.nan, np.float32), tree)}
    for kind, tree in shapes.items()
  }


@pytest.fixture(scope='module')
def loaded(tmp_path_factory, keras_resnet, trunk_variables):
  """The trunk's variables out of the file in which Keras saved the model, and what was taken."""
  path = tmp_path_factory.mktemp('keras') / 'resnet50.h5'
  keras_resnet.save(path)
  return pretrained.load(path, trunk_variables)


def test_the_file_that_keras_3_writes_holds_the_same(
  tmp_path, keras_resnet, trunk_variables, loaded
):
  path = tmp_path / 'resnet50.weights.h5'
  keras_resnet.save_weights(path)
  variables, transfer = pretrained.load(path, trunk_variables)
  assert transfer == loaded[1]
  jax.tree.map(np.testing.assert_array_equal, variables, loaded[0])


def test_the_undilated_trunk_is_keras_s_resnet50_loaded_from_its_file(keras_resnet, loaded):
  variables, transfer = loaded
  assert len(transfer.kept) == len(keras_resnet.weights)
  assert (transfer.new, transfer.dropped) == ((), ())
  variables = {kind: tree['trunk'] for kind, tree in variables.items()}
  frames = np.random.default_rng(1).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)
  expected = keras_resnet.predict_on_batch(
    keras.applications.resnet50.preprocess_input(frames.copy())
  )
  actual = jax.jit(resnet.ResNet(dilate=False).apply)(variables, resnet.normalize(frames)).stage5
  scale = np.abs(expected).max()
  assert scale > 0.1
  np.testing.assert_allclose(actual, expected, atol=1e-5 * scale)


@pytest.fixture(scope='module')
def keras_vgg():
  """keras.applications.VGG16 with random weights, and what its five maxima put out."""
  model = keras.applications.VGG16(weights=None, include_top=False, input_shape=(64, 64, 3))
  rng = np.random.default_rng(0)
  for weight in model.weights:
    if weight.name == 'bias':
      weight.assign(rng.normal(0, 0.1, weight.shape))
  maxima = [model.get_layer(f'block{number}_pool').output for number in range(2, 6)]
  return model, keras.Model(model.input, maxima)


@pytest.mark.parametrize('suffix', ['.h5', '.weights.h5'])
def test_the_plain_vgg_is_keras_s_vgg16_loaded_from_its_file(tmp_path, keras_vgg, suffix):
  model, maxima = keras_vgg
  path = tmp_path / f'vgg16{suffix}'
  (model.save if suffix == '.h5' else model.save_weights)(path)
  module = vgg.VGG(dilate=False)
  shapes = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 64, 64, 3)))
  empty = jax.tree.map(lambda x: np.full(x.shape, np.nan, np.float32), shapes['params'])
  variables, transfer = pretrained.load(path, {'params': {'trunk': empty}, 'batch_stats': {}})
  assert len(transfer.kept) == len(model.weights) == 26
  assert (transfer.new, transfer.dropped) == ((), ())
  frames = np.random.default_rng(1).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)
  expected = maxima.predict_on_batch(keras.applications.vgg16.preprocess_input(frames.copy()))
  run = jax.jit(module.apply)
  found = run({'params': variables['params']['trunk']}, resnet.normalize(frames))
  for ours, theirs in zip(found, expected, strict=True):
    scale = np.abs(theirs).max()
    assert scale > 0.1
    np.testing.assert_allclose(ours, theirs, atol=1e-5 * scale)


def test_fc6_and_fc7_are_keras_s_dense_layers_in_the_middle_of_a_map(tmp_path, draw_variables):
  module = Segmenter(
    3, False, trunk='vgg16', width=1, stem=2, blocks=(1, 1, 1, 1), dilate=False, head='fcn32',
    head_features=5,
  )  # fmt: skip
  variables = draw_variables(module, 1, 1, 32, 32, 3)
  dense = keras.Sequential(
    [
      keras.Input((7, 7, 8)),
      keras.layers.Flatten(),
      keras.layers.Dense(5, 'relu', name='fc1'),
      keras.layers.Dense(5, 'relu', name='fc2'),
    ]
  )
  rng = np.random.default_rng(0)
  for weight in dense.weights:
    weight.assign(rng.normal(0, 0.3, weight.shape))
  trunk = traverse_util.flatten_dict(variables['params']['trunk'], sep='/')
  with h5py.File(tmp_path / 'vgg16.h5', 'w') as file:
    for name, value in trunk.items():
      theirs = pretrained.keras_name(f'params/trunk/{name}')
      file[f'{theirs.split("/")[0]}/{theirs}:0'] = value
    for layer in dense.layers[1:]:
      for weight in layer.weights:
        file[f'{layer.name}/{layer.name}/{weight.name}:0'] = np.asarray(weight)
    file['predictions/predictions/bias:0'] = np.zeros(1000)
  loaded, transfer = pretrained.load(tmp_path / 'vgg16.h5', variables)
  assert {'params/head/fc6/kernel', 'params/head/fc7/bias'} <= set(transfer.kept)
  assert transfer.new == ('params/head/conv6/bias', 'params/head/conv6/kernel')
  assert transfer.dropped == ('predictions/bias',)
  x = rng.normal(size=(2, 7, 7, 8)).astype(np.float32)
  fc6, fc7 = (loaded['params']['head'][name] for name in ('fc6', 'fc7'))
  found = jax.nn.relu(Conv(5, (7, 7)).apply({'params': fc6}, x))[:, 3, 3]
  found = jax.nn.relu(found @ fc7['kernel'][0, 0] + fc7['bias'])
  np.testing.assert_allclose(found, dense.predict_on_batch(x), rtol=1e-4, atol=1e-5)
  # A head of another size keeps its own, and the file's are left out by name.
  smaller = draw_variables(module.clone(head_features=4), 1, 1, 32, 32, 3)
  _, transfer = pretrained.load(tmp_path / 'vgg16.h5', smaller)
  assert {'fc1/bias', 'fc1/kernel', 'fc2/bias', 'fc2/kernel'} < set(transfer.dropped)
  assert 'params/head/fc6/kernel' in transfer.new


@pytest.mark.parametrize('kernel_size', [(1, 1), (3, 3)])
def test_the_cell_without_peepholes_is_keras_s_convlstm2d(kernel_size):
  x = np.random.default_rng(0).normal(size=(2, 4, 5, 6, 3)).astype(np.float32)
  layer = keras.layers.ConvLSTM2D(4, kernel_size, padding='same', return_sequences=True)
  layer.build(x.shape)
  rng = np.random.default_rng(1)
  kernel, recurrent, bias = (rng.normal(size=w.shape).astype(np.float32) for w in layer.weights)
  layer.set_weights([kernel, recurrent, bias])
  params = {
    'input': {'kernel': kernel, 'bias': bias},
    'cell': {'recurrent': {'kernel': recurrent}},
  }
  actual = ConvLSTM(4, kernel_size, peepholes=False).apply({'params': params}, x)[1]
  np.testing.assert_allclose(actual, layer(x), atol=5e-6)


def test_a_fresh_bias_is_keras_s():
  x = np.zeros((1, 1, 2, 2, 3), np.float32)
  layer = keras.layers.ConvLSTM2D(4, 1)
  layer.build(x.shape)
  params = ConvLSTM(4).init(jax.random.key(0), x)['params']
  np.testing.assert_array_equal(params['input']['bias'], layer.weights[2])


@pytest.mark.parametrize('factor', [2, 16])
def test_up_sampling_is_keras_s_bilinear_one(factor):
  x = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
  expected = keras.layers.UpSampling2D(factor, interpolation='bilinear')(x)
  actual = upsample(x, (3 * factor, 4 * factor))
  np.testing.assert_allclose(actual, expected, atol=1e-5)
