import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from fmx.models import segmenter


@dataclasses.dataclass
class Config:
  width: int = 64
  blocks: tuple = (3, 4, 6, 3)
  stem: int = 64
  pool_margin: tuple = (1, 1)
  dilate: bool = True
  head: str = 'coarse'
  head_features: int = 64
  kernel_size: tuple = (1, 1)
  peepholes: bool = True
  dtype: str = 'float32'
  trunk: str = 'resnet50'
  memory: str = 'top'


TINY = Config(width=4, stem=4, blocks=(1, 1, 1, 1), head_features=8)


def shapes(config, num_classes=5, *, temporal, size):
  module = segmenter.build(config, num_classes, temporal=temporal, image_size=size)
  return jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 1, size, size, 3)))


def count(variables):
  return sum(x.size for x in jax.tree.leaves(variables))


def test_the_fcn_for_five_classes_has_23_597_957_parameters():
  # As counted by Keras for the FCN that the paper builds on, batch-norm averages included.
  variables = shapes(Config(), temporal=False, size=320)
  assert count(variables) == 23_597_957
  assert count(variables['batch_stats']) == 53_120
  # conv6: 2048 * 5 weights and 5 biases.
  assert count(variables['params']['head']) == 10_245


def test_the_convlstm_has_four_gates_and_three_peepholes():
  # Input 2048 * 20 + 20, recurrent 5 * 20, peepholes 3 * 20 * 20 * 5.
  variables = shapes(Config(), temporal=True, size=320)
  assert count(variables['params']['head']) == 40_980 + 100 + 6_000


@pytest.fixture
def tiny(draw_variables):
  """The FCN or the ConvLSTM-FCN and its variables, shifted in the second to tell them apart."""

  def tiny(config, *, temporal):
    module = segmenter.build(config, 3, temporal=temporal, image_size=32)
    variables = draw_variables(module, 1, 1, 32, 32, 3)
    return module, jax.tree.map(lambda x: x + temporal, variables)

  return tiny


@pytest.mark.parametrize(
  ('head', 'dropped', 'new'),
  [('coarse', ('conv6/bias', 'conv6/kernel'), ()), ('fine', (), ('memory/bias', 'memory/kernel'))],
)
def test_conversion_keeps_every_weight_but_conv6(tiny, head, dropped, new):
  config = dataclasses.replace(TINY, head=head)
  _, old = tiny(config, temporal=False)
  _, fresh = tiny(config, temporal=True)
  converted, transfer = segmenter.convert(old, fresh)

  assert jax.tree.map(jnp.shape, converted) == jax.tree.map(jnp.shape, fresh)
  old, fresh, converted = (
    traverse_util.flatten_dict(tree, sep='/') for tree in (old, fresh, converted)
  )
  assert set(transfer.kept) | set(transfer.dropped) == set(old)
  assert set(transfer.kept) | set(transfer.new) == set(fresh)
  assert transfer.dropped == tuple(f'params/head/{name}' for name in dropped)
  assert [name.removeprefix('params/head/') for name in transfer.new] == [
    'convlstm/cell/recurrent/kernel',
    'convlstm/cell/w_cf',
    'convlstm/cell/w_ci',
    'convlstm/cell/w_co',
    'convlstm/input/bias',
    'convlstm/input/kernel',
    *new,
  ]
  for name in transfer.kept:
    np.testing.assert_array_equal(converted[name], old[name])
  for name in transfer.new:
    np.testing.assert_array_equal(converted[name], fresh[name])
  assert f'{len(transfer.new)} variables new: params/head/convlstm' in str(transfer)
  assert (f'{len(dropped)} variables dropped: params/head/conv6' in str(transfer)) == bool(dropped)


def test_with_the_fine_head_the_convlstm_fcn_begins_as_the_fcn(tiny):
  config = dataclasses.replace(TINY, head='fine')
  fcn, old = tiny(config, temporal=False)
  module, _ = tiny(config, temporal=True)
  video = jax.random.uniform(jax.random.key(0), (1, 2, 32, 32, 3), maxval=255)
  converted, _ = segmenter.convert(old, jax.jit(module.init)(jax.random.key(1), video))
  expected, logits = fcn.apply(old, video)[0], module.apply(converted, video)[0]
  np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)


def test_the_converted_network_runs(tiny):
  _, old = tiny(TINY, temporal=False)
  module, fresh = tiny(TINY, temporal=True)
  logits, _ = jax.jit(module.apply)(segmenter.convert(old, fresh)[0], jnp.ones((1, 2, 32, 32, 3)))
  assert jnp.isfinite(logits).all()


def test_conversion_refuses_networks_of_two_configurations():
  old = shapes(TINY, temporal=False, size=32)
  wider = shapes(dataclasses.replace(TINY, width=8), temporal=True, size=32)
  with pytest.raises(
    ValueError, match=r'batch_stats/trunk/stage2/block1/bn0/mean is \(16,\) in the first and \(32,'
  ):
    segmenter.convert(old, wider)
  fine = shapes(dataclasses.replace(TINY, head='fine'), temporal=True, size=32)
  with pytest.raises(ValueError, match='only one of them has batch_stats/head/bn4/mean'):
    segmenter.convert(old, fine)
  with pytest.raises(ValueError, match='only one of them has params/head/conv6'):
    segmenter.convert(shapes(TINY, temporal=True, size=32), old)


def test_gates_are_all_that_is_new_behind_a_trained_fcn():
  config = dataclasses.replace(TINY, head='fine', memory='fine')
  old, new = (shapes(config, temporal=temporal, size=32) for temporal in (False, True))
  _, transfer = segmenter.convert(old, new)
  modules = {name.split('/')[2] for name in transfer.new}
  assert (modules, transfer.dropped) == ({'memory4', 'memory8'}, ())


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'head': 'finer'}, "model.head is 'finer'; it must be one of coarse, fine."),
    ({'trunk': 'vgg'}, "model.trunk is 'vgg'; it must be one of resnet50, vgg16."),
    (
      {'head': 'aspp'},
      r"model.head is 'aspp', which has no ConvLSTM: .* of coarse, fine, or stages = \('fcn',\)",
    ),
    ({'dtype': 'float16'}, "model.dtype is 'float16'; it must be one of auto, bfloat16, float32."),
    (
      {'blocks': (3, 4)},
      r'model.blocks is \(3, 4\); it must count .* of stages 2 to 5, .* or of stages 2 to 4',
    ),
    (
      {'pool_margin': (1, 0)},
      r'model.pool_margin is \(1, 0\); it must be one of \(1, 1\) or \(0, 1\).',
    ),
    ({'memory': 'middle'}, "model.memory is 'middle'; it must be one of top, fine."),
    ({'memory': 'fine'}, "model.memory is 'fine' and model.head 'coarse': set both to 'fine'"),
    ({'kernel_size': (3, 2)}, r'model.kernel_size is \(3, 2\); both sides must be odd.'),
  ],
)
def test_an_option_that_does_not_exist_gets_one_sentence(change, message):
  with pytest.raises(ValueError, match=message):
    segmenter.build(dataclasses.replace(TINY, **change), 3, temporal=True, image_size=32)


def test_an_image_size_that_the_stride_does_not_divide_is_refused():
  with pytest.raises(ValueError, match='The image size is 100; it must be a multiple of 16'):
    segmenter.build(TINY, 3, temporal=True, image_size=100)


def test_every_option_reaches_the_network():
  config = Config(
    8, (1, 2, 3, 4), 16, (0, 1), False, 'fine', 16, (3, 3), False, 'bfloat16', 'vgg16', 'fine'
  )
  module = segmenter.build(config, 7, temporal=True, image_size=32, axis_name='devices')
  assert (module.num_classes, module.temporal, module.axis_name) == (7, True, 'devices')
  for field in dataclasses.fields(Config):
    expected = getattr(config, field.name)
    assert getattr(module, field.name) == (jnp.bfloat16 if field.name == 'dtype' else expected)
