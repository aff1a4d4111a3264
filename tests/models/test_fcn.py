import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fmx.models.fcn import Segmenter
from fmx.models.upsampling import upsample

TINY = {'width': 4, 'stem': 4, 'blocks': (1, 1, 1, 1), 'head_features': 8}
BOTH_HEADS = pytest.mark.parametrize('head', ['coarse', 'fine'])
BOTH_NETWORKS = pytest.mark.parametrize('temporal', [False, True], ids=['fcn', 'convlstm'])


def draw_video(clips=2, length=2, size=(32, 48)):
  return jax.random.uniform(jax.random.key(1), (clips, length, *size, 3), maxval=255.0)


@functools.cache
def build(head, temporal):
  """A tiny network and its jitted `apply`, compiled once for all tests."""
  module = Segmenter(3, temporal, head=head, **TINY)
  return module, jax.jit(module.apply)


@pytest.fixture
def make(draw_variables):
  def make(head='coarse', temporal=False):
    module, apply = build(head, temporal)
    return module, draw_variables(module, 2, 2, 32, 48, 3), apply

  return make


@BOTH_NETWORKS
@BOTH_HEADS
def test_logits_have_the_size_of_the_video_and_the_carry_that_of_stage_5(make, head, temporal):
  module, variables, apply = make(head, temporal)
  logits, carry = apply(variables, draw_video())
  assert logits.shape == (2, 2, 32, 48, 3)
  assert logits.dtype == jnp.float32
  initial = module.initial_carry(2, (32, 48))
  assert jax.tree.map(jnp.shape, carry) == jax.tree.map(jnp.shape, initial)
  if temporal:
    assert carry.cell.shape == (2, 2, 3, {'coarse': 3, 'fine': 8}[head])
  else:
    assert carry is None


@BOTH_HEADS
def test_the_fcn_sees_each_frame_alone(make, head):
  _, variables, apply = make(head)
  video = draw_video()
  difference = apply(variables, video.at[0, 0].set(0))[0] - apply(variables, video)[0]
  difference = jnp.abs(difference).max((2, 3, 4))
  assert difference[0, 0] > 1e-3
  np.testing.assert_allclose(difference.ravel()[1:], 0, atol=1e-5)


@BOTH_HEADS
def test_the_convlstm_fcn_sees_the_past_of_its_own_clip_only(make, head):
  _, variables, apply = make(head, True)
  video = draw_video()
  logits = apply(variables, video)[0]
  difference = jnp.abs(apply(variables, video.at[0, 0].set(0))[0] - logits).max((2, 3, 4))
  assert difference[0, 1] > 1e-4
  np.testing.assert_allclose(difference[1], 0, atol=1e-5)
  difference = jnp.abs(apply(variables, video.at[0, 1].set(0))[0] - logits).max((2, 3, 4))
  assert difference[0, 1] > 1e-3
  np.testing.assert_allclose(difference[0, 0], 0, atol=1e-5)


def test_two_half_clips_with_the_carry_are_one_clip(make):
  module, variables, apply = make('fine', True)
  video = draw_video()
  whole = apply(variables, video)[0]
  first, carry = apply(variables, video[:, :1], module.initial_carry(2, (32, 48)))
  second, _ = apply(variables, video[:, 1:], carry)
  np.testing.assert_allclose(jnp.concatenate([first, second], 1), whole, rtol=1e-5, atol=1e-4)


def test_the_coarse_convlstm_gives_its_hidden_states_as_logits(make):
  _, variables, apply = make('coarse', True)
  logits, carry = apply(variables, draw_video())
  assert jnp.abs(logits).max() < 1
  expected = upsample(carry.hidden, (32, 48))
  np.testing.assert_allclose(logits[:, -1], expected, atol=1e-6)


def test_every_weight_gets_a_finite_gradient_and_every_average_an_update(make):
  module, variables, _ = make('fine', True)

  def loss(params):
    (logits, _), updated = module.apply(
      {**variables, 'params': params}, draw_video(), train=True, mutable=['batch_stats']
    )
    return jnp.mean(logits**2), updated['batch_stats']

  grads, updated = jax.jit(jax.grad(loss, has_aux=True))(variables['params'])
  normalized = re.compile(r"\['(conv\d+)'\]\['bias'\]$")  # A batch's mean takes those biases away.
  for path, grad in jax.tree_util.tree_leaves_with_path(grads):
    name = jax.tree_util.keystr(path)
    assert jnp.isfinite(grad).all(), name
    assert (jnp.abs(grad).max() == 0) == bool(normalized.search(name)), name
  for before, after in zip(jax.tree.leaves(variables['batch_stats']), jax.tree.leaves(updated)):
    assert not jnp.array_equal(before, after)


@pytest.mark.parametrize(('head', 'temporal'), [('coarse', False), ('fine', True)])
def test_bfloat16_is_close_to_float32_and_leaves_the_parameters_float32(make, head, temporal):
  module, variables, apply = make(head, temporal)
  half = module.clone(dtype=jnp.bfloat16)
  logits, _ = jax.jit(half.apply)(variables, draw_video())
  exact, _ = apply(variables, draw_video())
  assert logits.dtype == jnp.float32
  assert 0 < jnp.abs(logits - exact).mean() < 0.05 * jnp.abs(exact).mean()
  fresh = jax.eval_shape(half.init, jax.random.key(0), draw_video())
  assert {x.dtype for x in jax.tree.leaves(fresh)} == {jnp.dtype('float32')}


STRIDES = [
  ({'dilate': True}, 16, {'skip8', 'skip4'}),
  ({'dilate': False}, 32, {'skip16', 'skip8', 'skip4'}),
  ({'dilate': False, 'blocks': (1, 1, 1)}, 16, {'skip8', 'skip4'}),
  ({'dilate': True, 'blocks': (1, 1, 1)}, 16, {'skip8', 'skip4'}),
]


@pytest.mark.parametrize(('options', 'stride', 'skips'), STRIDES)
@BOTH_HEADS
def test_heads_sit_on_any_top_and_add_each_finer_map_once(head, options, stride, skips):
  module = Segmenter(3, True, head=head, **TINY | options)
  assert module.top_stride == stride
  video = jnp.zeros((2, 1, 64, 96, 3))
  (logits, carry), variables = jax.eval_shape(module.init_with_output, jax.random.key(0), video)
  assert logits.shape == (2, 1, 64, 96, 3)
  assert carry.cell.shape[1:3] == (64 // stride, 96 // stride)
  initial = jax.eval_shape(lambda: module.initial_carry(2, (64, 96)))
  assert jax.tree.map(jnp.shape, initial) == jax.tree.map(jnp.shape, carry)
  if head == 'fine':
    found = {name for name in variables['params']['head'] if name.startswith('skip')}
    assert found == skips


@pytest.mark.parametrize('blocks', [(1, 1, 1, 1), (1, 1, 1)])
def test_at_any_top_every_weight_gets_a_finite_gradient(draw_variables, blocks):
  module = Segmenter(
    3, False, head='fine', **TINY | {'blocks': blocks}, dilate=False, pool_margin=(0, 1)
  )
  video = draw_video(size=(32, 32))
  variables = draw_variables(module, *video.shape)

  def loss(params):
    (logits, _), _ = module.apply(
      {**variables, 'params': params}, video, train=True, mutable=['batch_stats']
    )
    return jnp.mean(logits**2)

  for path, grad in jax.tree_util.tree_leaves_with_path(
    jax.jit(jax.grad(loss))(variables['params'])
  ):
    assert jnp.isfinite(grad).all(), path
    # Of a bias in front of batch norm it is nothing but rounding.
    assert path[-1].key == 'bias' or jnp.abs(grad).max() > 0, path


def test_up_sampling_by_two_by_hand():
  # Half-pixel centres: output pixels 0..3 lie at (i + 0.5) / 2 - 0.5 = -0.25, 0.25, 0.75, 1.25 of
  # the input 0, 4, so 0 (border), 1, 3, 4 (border).
  x = jnp.array([0.0, 4.0]).reshape(1, 1, 2, 1)
  np.testing.assert_allclose(upsample(x, (1, 4)).ravel(), [0, 1, 3, 4], atol=1e-6)
