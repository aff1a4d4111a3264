"""ImageNet weights out of an ONNX file: a tiny network of the same make, run by onnxruntime."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_onnx
from flax import traverse_util

from fmx.models import pretrained, resnet, segmenter
from fmx.models.fcn import Segmenter

pytest.importorskip('onnx', reason='onnx is not installed')

WIDTH, STEM, BLOCKS = 2, 4, (2, 1, 1, 1)
TRUNK = {
  'width': WIDTH,
  'stem': STEM,
  'blocks': BLOCKS[:3],
  'pool_margin': (0, 1),
  'dilate': False,
}


@pytest.fixture(scope='module')
def folded():
  return small_onnx.resnet(width=WIDTH, stem=STEM, blocks=BLOCKS)


@pytest.fixture(scope='module')
def path(folded, tmp_path_factory):
  return folded.save(tmp_path_factory.mktemp('onnx') / 'folded.onnx')


NETWORK = Segmenter(3, False, head='fine', head_features=4, **TRUNK)
VIDEO = jax.random.uniform(jax.random.key(0), (2, 1, 32, 48, 3), maxval=255.0)


@pytest.fixture(scope='module')
def variables(draw_variables):
  return draw_variables(NETWORK, *VIDEO.shape)


def conv_outputs(variables):
  return segmenter.conv_outputs(NETWORK, variables, VIDEO)


@pytest.fixture(scope='module')
def loaded(path, variables):
  return pretrained.load(path, variables, conv_outputs)


def trunk_of(variables, **how):
  """What the trunk alone makes of the video."""
  own = {kind: tree['trunk'] for kind, tree in variables.items()}
  apply = jax.jit(lambda own, frames: resnet.ResNet(**TRUNK).apply(own, frames, **how))
  return apply(own, resnet.normalize(VIDEO[:, 0]))


def test_the_trunk_is_the_file_s_network(path, loaded, folded):
  runtime = pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')
  frames = np.asarray(resnet.normalize(VIDEO[:, 0])).transpose(0, 3, 1, 2)
  expected = runtime.InferenceSession(path, providers=['CPUExecutionProvider']).run(
    folded.tops[:3], {'frames': frames}
  )
  for found, theirs in zip(trunk_of(loaded[0])[:3], expected, strict=True):
    scale = np.abs(theirs).max()
    assert scale > 1
    np.testing.assert_allclose(found, theirs.transpose(0, 2, 3, 1), atol=1e-4 * scale)


def test_batch_norm_is_used_to_what_it_sees(loaded):
  # Of the frames that set the averages, the statistics of the batch are these averages: nothing
  # jumps when training begins.
  maps, updated = trunk_of(loaded[0], train=True, mutable=['batch_stats'])
  for found, expected in zip(maps[:3], trunk_of(loaded[0])):
    np.testing.assert_allclose(found, expected, atol=1e-3 * float(jnp.abs(expected).max()))
  before = loaded[0]['batch_stats']['trunk']
  for (place, new), old in zip(
    jax.tree_util.tree_leaves_with_path(updated['batch_stats']), jax.tree.leaves(before)
  ):
    np.testing.assert_allclose(new, old, rtol=1e-3, atol=1e-2, err_msg=str(place))
  for name, norm in traverse_util.flatten_dict(loaded[0]['params']['trunk'], sep='/').items():
    if name.endswith('scale'):
      var = traverse_util.flatten_dict(before, sep='/')[name.removesuffix('scale') + 'var']
      np.testing.assert_allclose(norm, np.sqrt(var + resnet.EPSILON), rtol=1e-5)


def test_what_was_taken_and_what_was_not_has_a_name(variables, loaded, folded):
  before = traverse_util.flatten_dict(variables, sep='/')
  after = traverse_util.flatten_dict(loaded[0], sep='/')
  transfer = loaded[1]
  assert jax.tree.map(jnp.shape, loaded[0]) == jax.tree.map(jnp.shape, variables)
  assert {value.dtype for value in after.values()} == {np.dtype('float32')}
  assert set(transfer.kept) == {name for name in before if name.split('/')[1] == 'trunk'}
  assert set(transfer.new) == before.keys() - set(transfer.kept)
  for name in transfer.new:
    np.testing.assert_array_equal(after[name], before[name])
  # The trunk has no stage 5, the file has one of one block.
  layers = ('branch2a', 'branch2b', 'branch2c', 'proj_shortcut')
  assert transfer.dropped == tuple(f'stage3_block0_{layer}' for layer in layers)
  kernel = folded.arrays['stage0_block1_branch2b_kernel']  # [C_out, C_in, 3, 3]
  found = after['params/trunk/stage2/block2/conv2/kernel']
  np.testing.assert_array_equal(found, kernel.transpose(2, 3, 1, 0))


@pytest.mark.parametrize(
  ('ours', 'theirs'),
  [
    ('conv1', '1'),
    ('stage2/block1/conv0', 'stage0_block0_proj_shortcut'),
    ('stage4/block6/conv2', 'stage2_block5_branch2b'),
  ],
)
def test_names_translate(ours, theirs):
  assert pretrained.onnx_name(ours) == theirs


def test_the_convolutions_of_a_network_go_by_their_place_and_have_no_bias(variables):
  outputs = conv_outputs(variables)
  kernels = traverse_util.flatten_dict(variables['params']['trunk'], sep='/')
  assert {f'{name}/kernel' for name in outputs} <= kernels.keys()
  assert len(outputs) == sum(name.endswith('kernel') for name in kernels)
  assert outputs['conv1'].shape == (2, 16, 24, STEM)
  assert outputs['stage4/block1/conv3'].shape == (2, 2, 3, 16 * WIDTH)
  expected, _ = resnet.Conv(STEM, (7, 7), stride=2).apply(
    {'params': variables['params']['trunk']['conv1']},
    resnet.normalize(VIDEO[:, 0]),
    method='without_bias',
  )
  np.testing.assert_allclose(outputs['conv1'], expected, rtol=1e-4, atol=1e-2)


def test_a_file_that_lacks_a_layer_is_refused(tmp_path, folded, variables):
  short = small_onnx.Folded()
  short.arrays = folded.arrays
  short.nodes = [
    node for node in folded.nodes if node.output[0] != 'bn_stage1_block0_branch2b/FusedBatchNorm:0'
  ]
  path = short.save(tmp_path / 'short.onnx')
  with pytest.raises(ValueError, match='short.onnx does not fit .* lacks stage1_block0_branch2b'):
    pretrained.load(path, variables, conv_outputs)


def test_a_network_of_another_width_is_told_which_to_have(path, draw_variables):
  wide = NETWORK.clone(width=4)
  with pytest.raises(
    ValueError, match=r'stage0_block0_\w+ is .* in .*folded.onnx and .*width = 32'
  ):
    pretrained.load(path, draw_variables(wide, *VIDEO.shape), conv_outputs)


def test_mistakes_get_one_sentence(tmp_path, path, variables, monkeypatch):
  with pytest.raises(ValueError, match='folded.onnx needs some real frames'):
    pretrained.load(path, variables)
  with pytest.raises(ValueError, match='There is no weights file .*absent.onnx'):
    pretrained.load(tmp_path / 'absent.onnx', variables, conv_outputs)
  (tmp_path / 'page.onnx').write_text('<html>404</html>')
  with pytest.raises(ValueError, match='page.onnx is not an ONNX file'):
    pretrained.load(tmp_path / 'page.onnx', variables, conv_outputs)
  monkeypatch.setitem(sys.modules, 'onnx', None)
  with pytest.raises(ValueError, match=r"needs the package onnx: pip install 'fmx\[pretrained\]'"):
    pretrained.load(path, variables, conv_outputs)
