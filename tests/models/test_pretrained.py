import h5py
import numpy as np
import pytest
from flax import traverse_util

from fmx.models import pretrained
from fmx.models.fcn import Segmenter


@pytest.fixture
def variables(draw_variables):
  """A tiny network: what is checked here does not depend on the width."""
  module = Segmenter(3, False, width=2, stem=2, blocks=(1, 2, 1, 1))
  return draw_variables(module, 1, 1, 32, 32, 3)


@pytest.fixture
def weights(variables):
  """Random arrays by Keras's names, as a file for this network would hold them."""
  rng = np.random.default_rng(0)
  names = traverse_util.flatten_dict(variables, sep='/')
  return {
    pretrained.keras_name(name): rng.normal(size=value.shape).astype(np.float32)
    for name, value in names.items()
    if name.split('/')[1] == 'trunk'
  }


def write(path, weights, root='', suffix=':0'):
  """Writes the older layout, <layer>/<layer>/<variable>:0, in which Keras hands out its weights."""
  with h5py.File(path, 'w') as file:
    for name, value in weights.items():
      layer, variable = name.split('/')
      file[f'{root}{layer}/{layer}/{variable}{suffix}'] = value
    file.create_group(f'{root}conv1_relu')  # Layers without weights are empty groups.
  return path


@pytest.mark.parametrize(
  ('ours', 'theirs'),
  [
    ('params/trunk/conv1/kernel', 'conv1_conv/kernel'),
    ('params/trunk/bn1/scale', 'conv1_bn/gamma'),
    ('params/trunk/bn1/bias', 'conv1_bn/beta'),
    ('batch_stats/trunk/stage2/block1/bn0/mean', 'conv2_block1_0_bn/moving_mean'),
    ('batch_stats/trunk/stage5/block3/bn2/var', 'conv5_block3_2_bn/moving_variance'),
    ('params/trunk/stage4/block6/conv3/bias', 'conv4_block6_3_conv/bias'),
    ('params/trunk/stage1/conv2/kernel', 'block1_conv2/kernel'),  # Of VGG-16.
  ],
)
def test_names_translate(ours, theirs):
  assert pretrained.keras_name(ours) == theirs


@pytest.mark.parametrize(('root', 'suffix'), [('', ':0'), ('model_weights/', '')])
def test_every_variable_of_the_trunk_comes_from_the_file(
  tmp_path, variables, weights, root, suffix
):
  path = write(tmp_path / 'w.h5', weights, root, suffix)
  loaded, transfer = pretrained.load(path, variables)
  before = traverse_util.flatten_dict(variables, sep='/')
  after = traverse_util.flatten_dict(loaded, sep='/')
  assert before.keys() == after.keys()
  assert transfer.dropped == ()
  assert transfer.new == ('params/head/conv6/bias', 'params/head/conv6/kernel')
  assert len(transfer.kept) == len(weights) == len(before) - 2
  for name in transfer.new:
    np.testing.assert_array_equal(after[name], before[name])
  for name in transfer.kept:
    np.testing.assert_array_equal(after[name], weights[pretrained.keras_name(name)])
  assert '2 variables new: params/head/conv6' in str(transfer)


@pytest.mark.parametrize('layer', ['predictions', 'probs'])
def test_the_classifier_of_imagenet_is_left_out_and_named(tmp_path, variables, weights, layer):
  weights[f'{layer}/kernel'] = np.zeros((64, 10), np.float32)
  _, transfer = pretrained.load(write(tmp_path / 'w.h5', weights), variables)
  assert transfer.dropped == (f'{layer}/kernel',)


def test_a_file_that_lacks_a_layer_is_refused(tmp_path, variables, weights):
  del weights['conv3_block2_1_bn/gamma']
  with pytest.raises(ValueError, match=r'w.h5 does not fit .* lacks conv3_block2_1_bn/gamma\)'):
    pretrained.load(write(tmp_path / 'w.h5', weights), variables)


def test_a_deeper_network_s_file_is_refused(tmp_path, variables, weights):
  weights['conv3_block3_1_conv/kernel'] = np.zeros((1, 1, 4, 4))
  with pytest.raises(ValueError, match='has conv3_block3_1_conv/kernel, which the network lacks'):
    pretrained.load(write(tmp_path / 'w.h5', weights), variables)


def test_a_narrow_network_is_told_to_be_wide(tmp_path, variables, weights):
  weights['conv1_conv/kernel'] = np.zeros((7, 7, 3, 64))
  message = r'conv1_conv/kernel is \(7, 7, 3, 64\) in .*w.h5 and \(7, 7, 3, 2\) .*width = 64'
  with pytest.raises(ValueError, match=message):
    pretrained.load(write(tmp_path / 'w.h5', weights), variables)


def test_a_file_of_the_other_trunk_is_refused_with_the_one_to_take(
  tmp_path, weights, draw_variables
):
  module = Segmenter(3, False, trunk='vgg16', width=1, stem=2, blocks=(1, 1, 1, 1))
  variables = draw_variables(module, 1, 1, 32, 32, 3)
  with pytest.raises(
    ValueError, match=r'lacks block1_conv1/bias\): take vgg16_weights_.*\(2, 3, 3, 3\)'
  ):
    pretrained.load(write(tmp_path / 'w.h5', weights), variables)


def test_a_missing_or_broken_file_gets_one_sentence(tmp_path, variables):
  with pytest.raises(ValueError, match='There is no weights file .*absent.h5'):
    pretrained.load(tmp_path / 'absent.h5', variables)
  (tmp_path / 'page.h5').write_text('<html>404</html>')
  with pytest.raises(ValueError, match='page.h5 is not an HDF5 file: download it again'):
    pretrained.load(tmp_path / 'page.h5', variables)
