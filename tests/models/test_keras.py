"""Outside truths: our layers give Keras's numbers from Keras's weights. Needs `keras`."""

import os

os.environ['KERAS_BACKEND'] = 'jax'

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fmx.models import heads, pretrained, resnet
from fmx.models.conv_lstm import ConvLSTM

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
  actual = heads.upsample(x, (3 * factor, 4 * factor))
  np.testing.assert_allclose(actual, expected, atol=1e-5)
