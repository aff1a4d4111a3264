"""The heads of FCN-VGG16 and of DeepLab-V2."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fmx.models.baseline_heads import RATES, ASPPHead, Branch, SkipHead
from fmx.models.fcn import Segmenter
from fmx.models.resnet import Features
from fmx.models.upsampling import upsample

TRUNK = {'trunk': 'vgg16', 'width': 2, 'stem': 2, 'blocks': (1, 1, 1, 1), 'head_features': 4}
NETWORKS = {
  'fcn32': {'head': 'fcn32', 'dilate': False},
  'fcn16': {'head': 'fcn16', 'dilate': False},
  'fcn8': {'head': 'fcn8', 'dilate': False},
  'aspp': {'head': 'aspp', 'dilate': True},
}
SHAPE = (1, 2, 64, 64, 3)


def network(name):
  return Segmenter(3, False, **TRUNK | NETWORKS[name])


def maps(seed=0):
  """Random features of the strides 4, 8, 16 and 32 of a frame of 64 x 96."""
  keys = jax.random.split(jax.random.key(seed), 4)
  shapes = ((16, 24, 4), (8, 12, 8), (4, 6, 16), (2, 3, 16))
  return Features(*(jax.random.uniform(k, (1, *shape)) for k, shape in zip(keys, shapes)))


@pytest.mark.parametrize(
  ('finest', 'size', 'skips'),
  [(32, (2, 3), set()), (16, (4, 6), {'score16'}), (8, (8, 12), {'score16', 'score8'})],
)
def test_scores_are_as_fine_as_the_finest_skip(finest, size, skips):
  head = SkipHead(5, False, features=7, finest=finest)
  (carry, logits), variables = head.init_with_output(jax.random.key(0), maps(), 1, None, False)
  assert carry is None
  assert logits.shape == (1, *size, 5)
  params = variables['params']
  assert set(params) == {'fc6', 'fc7', 'conv6'} | skips
  assert params['fc6']['kernel'].shape == (7, 7, 16, 7)
  assert all(not params[name]['kernel'].any() for name in skips)


def test_skips_are_added_to_what_is_up_sampled_and_nothing_at_first():
  head = SkipHead(2, False, features=3, finest=8)
  features = maps()
  variables = head.init(jax.random.key(0), features, 1, None, False)
  fresh = head.apply(variables, features, 1, None, False)[1]
  other = features._replace(stage3=maps(1).stage3, stage4=maps(2).stage4)
  np.testing.assert_array_equal(head.apply(variables, other, 1, None, False)[1], fresh)
  params = dict(variables['params'])
  for name in ('score16', 'score8'):
    params[name] = {
      key: jax.random.normal(jax.random.key(3), value.shape) for key, value in params[name].items()
    }
  top = SkipHead(2, False, features=3).apply(
    {'params': {name: params[name] for name in ('fc6', 'fc7', 'conv6')}}, features, 1, None, False
  )[1]
  score16, score8 = (
    skip @ params[name]['kernel'][0, 0] + params[name]['bias']
    for name, skip in (('score16', features.stage4), ('score8', features.stage3))
  )
  expected = upsample(upsample(top, (4, 6)) + score16, (8, 12)) + score8
  found = head.apply({'params': params}, features, 1, None, False)[1]
  np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('rate', RATES)
def test_a_branch_by_hand(rate):
  rng = np.random.default_rng(rate)
  x = rng.normal(size=(1, 26, 30, 2)).astype(np.float32)
  branch = Branch(features=3, num_classes=2, rate=rate)
  shapes = jax.eval_shape(lambda key: branch.init(key, x, False), jax.random.key(0))
  params = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), shapes)
  fc6, fc7, fc8 = (params['params'][name] for name in ('fc6', 'fc7', 'fc8'))
  values = np.zeros((26, 30, 3))
  for row in range(26):
    for column in range(30):
      for i in range(3):  # The taps are the rate apart; beyond the map there are zeros.
        for j in range(3):
          at = row + rate * (i - 1), column + rate * (j - 1)
          if 0 <= at[0] < 26 and 0 <= at[1] < 30:
            values[row, column] += x[0, at[0], at[1]] @ fc6['kernel'][i, j]
  values = np.maximum(values + fc6['bias'], 0)
  values = np.maximum(values @ fc7['kernel'][0, 0] + fc7['bias'], 0)
  expected = values @ fc8['kernel'][0, 0] + fc8['bias']
  found = branch.apply(params, x, False)
  assert expected.std() > 0.1
  np.testing.assert_allclose(found[0], expected, rtol=1e-4, atol=1e-4)


def test_the_scores_of_branches_are_summed():
  head = ASPPHead(3, False, features=4)
  features = maps()
  variables = head.init(jax.random.key(0), features, 1, None, False)
  assert set(variables['params']) == {'branch6', 'branch12', 'branch18', 'branch24'}
  expected = sum(
    Branch(4, 3, rate).apply({'params': variables['params'][f'branch{rate}']}, features.top, False)
    for rate in RATES
  )
  found = head.apply(variables, features, 1, None, False)[1]
  np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('name', NETWORKS)
def test_only_training_drops_and_every_weight_gets_a_finite_gradient(name, draw_variables):
  module = network(name)
  variables = draw_variables(module, *SHAPE)
  video = jax.random.uniform(jax.random.key(1), SHAPE, maxval=255.0)

  def loss(params, key):
    (logits, _), updates = module.apply(
      {'params': params}, video, train=True, mutable=['batch_stats'], rngs={'dropout': key}
    )
    assert not updates
    return jnp.mean(logits**2)

  value_and_grad = jax.jit(jax.value_and_grad(loss))
  first, grads = value_and_grad(variables['params'], jax.random.key(0))
  assert value_and_grad(variables['params'], jax.random.key(1))[0] != first
  for path, grad in jax.tree_util.tree_leaves_with_path(grads):
    assert jnp.isfinite(grad).all(), path
  logits, carry = module.apply(variables, video)
  assert (logits.shape, carry) == ((1, 2, 64, 64, 3), None)
  np.testing.assert_array_equal(module.apply(variables, video)[0], logits)


def test_bfloat16_is_close_to_float32_and_logits_stay_float32(draw_variables):
  module = network('aspp')
  variables = draw_variables(module, *SHAPE)
  video = jax.random.uniform(jax.random.key(1), SHAPE, maxval=255.0)
  exact, _ = module.apply(variables, video)
  logits, _ = module.clone(dtype=jnp.bfloat16).apply(variables, video)
  assert logits.dtype == jnp.float32
  assert 0 < jnp.abs(logits - exact).mean() < 0.05 * jnp.abs(exact).mean()
