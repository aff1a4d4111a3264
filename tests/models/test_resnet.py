import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fmx.models import convolution, resnet
from fmx.models.convolution import Conv

TINY = {'width': 4, 'stem': 4, 'blocks': (1, 1, 1, 2)}
FRAMES = 50 * jax.random.normal(jax.random.key(1), (2, 64, 48, 3))


@functools.cache
def build(**options):
  """A tiny network and its `apply`, jitted, with averages and with the batch's statistics."""
  module = resnet.ResNet(**TINY | options)
  training = functools.partial(module.apply, train=True, mutable=['batch_stats'])
  return module, jax.jit(module.apply), jax.jit(training)


@pytest.fixture
def variables(draw_variables):
  return draw_variables(build()[0], *FRAMES.shape)


def test_the_maps_have_the_strides_and_channels_of_their_stages(variables):
  shapes = [x.shape for x in build()[1](variables, FRAMES)]
  assert shapes == [(2, 16, 12, 16), (2, 8, 6, 32), (2, 4, 3, 64), (2, 4, 3, 128)]


def test_without_dilation_stage_5_has_a_stride_and_the_same_weights(variables):
  strided = build(dilate=False)[0]
  assert jax.eval_shape(strided.apply, variables, FRAMES).stage5.shape == (2, 2, 2, 128)


def test_only_the_3x3_convolutions_of_stage_5_are_dilated(monkeypatch, variables):
  calls = []

  def record(x, kernel, *, stride=1, dilation=1):
    calls.append((kernel.shape[0], stride, dilation))
    return convolution.direct(x, kernel, stride=stride, dilation=dilation)

  monkeypatch.setattr(convolution, 'convolve', record)
  jax.eval_shape(lambda: build()[0].apply(variables, FRAMES))  # A new function: traced anew.
  assert [call for call in calls if call[2] > 1] == [(3, 1, 2), (3, 1, 2)]
  # The 7x7, then the shortcut and the first 1x1 of stages 3 and 4.
  assert [call for call in calls if call[1] > 1] == [(7, 2, 1)] + 4 * [(1, 2, 1)]


def test_normalizing_turns_rgb_into_bgr_without_its_mean():
  # Red 200, green 100, blue 50: blue 50 - 103.939, green 100 - 116.779, red 200 - 123.68.
  pixel = jnp.array([[200, 100, 50]], jnp.uint8)
  expected = [[-53.939, -16.779, 76.32]]
  np.testing.assert_allclose(resnet.normalize(pixel), expected, rtol=1e-6)
  np.testing.assert_allclose(resnet.normalize(pixel.astype(jnp.float32)), expected, rtol=1e-6)


def test_a_trunk_of_three_stages_is_that_of_four_without_the_last(variables):
  shallow = resnet.ResNet(**TINY | {'blocks': (1, 1, 1)})
  kept = {
    kind: {name: value for name, value in tree.items() if name != 'stage5'}
    for kind, tree in variables.items()
  }
  maps, all_maps = jax.jit(shallow.apply)(kept, FRAMES), build()[1](variables, FRAMES)
  assert maps.stage5 is None
  assert maps.top is maps.stage4
  assert all_maps.top is all_maps.stage5
  for found, expected in zip(maps[:3], all_maps):
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_the_stem_has_its_own_width():
  shapes = jax.eval_shape(
    resnet.ResNet(**TINY | {'stem': 6}).init, jax.random.key(0), jnp.zeros(FRAMES.shape)
  )['params']
  assert shapes['conv1']['kernel'].shape == (7, 7, 3, 6)
  assert shapes['stage2']['block1']['conv1']['kernel'].shape == (1, 1, 6, 4)


def test_the_margin_of_the_maximum_by_hand():
  # 1 1 7 9 in a row. Keras's margin of one on each side has the windows (-, 1, 1) and (1, 7, 9),
  # Caffe's of one behind has (1, 1, 7) and (7, 9, -).
  x = jnp.broadcast_to(jnp.array([1.0, 1, 7, 9])[:, None], (1, 4, 4, 1))
  for margin, expected in (((1, 1), [1, 9]), ((0, 1), [7, 9])):
    np.testing.assert_array_equal(resnet.max_pool(x, margin)[0, 0, :, 0], expected)


def test_the_margin_reaches_the_network(monkeypatch, variables):
  margins = []
  pool = resnet.max_pool
  monkeypatch.setattr(resnet, 'max_pool', lambda x, m: margins.append(tuple(m)) or pool(x, m))
  for margin in ((1, 1), (0, 1)):
    module = resnet.ResNet(**TINY, pool_margin=margin)
    jax.eval_shape(lambda module=module: module.apply(variables, FRAMES))
  assert margins == [(1, 1), (0, 1)]


@pytest.mark.parametrize(
  ('size', 'margin'),
  [((6, 8), (1, 1)), ((5, 7), (1, 1)), ((1, 2), (1, 1)), ((6, 8), (0, 1)), ((2, 4), (0, 1))],
)
def test_every_backend_gets_the_same_maximum_and_gradient(monkeypatch, size, margin):
  x = jax.random.normal(jax.random.key(0), (2, *size, 3)) - 3  # No ties; a margin of 0 would win.
  weights = jnp.cos(jnp.arange(x.size)).reshape(x.shape)

  def pool(x):
    pooled = resnet.max_pool(x, margin)
    return jnp.sum(pooled * weights[:, : pooled.shape[1], : pooled.shape[2]]), pooled

  results = []
  for backend in ('cpu', 'gpu'):
    monkeypatch.setattr(jax, 'default_backend', lambda backend=backend: backend)
    results.append(jax.grad(pool, has_aux=True)(x))
  assert results[0][1].shape == (2, -(-size[0] // 2), -(-size[1] // 2), 3)
  for actual, expected in zip(*results):
    np.testing.assert_allclose(actual, expected, atol=1e-6)


def test_tied_maxima_share_a_gradient_of_the_same_sum():
  grad = jax.grad(lambda x: resnet.max_pool(x).sum())(jnp.ones((1, 4, 4, 1)))
  np.testing.assert_allclose(grad.sum(), 4.0)


def test_training_updates_the_averages_by_a_twentieth(variables):
  _, updated = build()[2](variables, FRAMES)
  conv1 = Conv(4, (7, 7), stride=2).apply({'params': variables['params']['conv1']}, FRAMES)
  before, after = variables['batch_stats']['bn1'], updated['batch_stats']['bn1']
  mean, var = conv1.mean((0, 1, 2)), conv1.var((0, 1, 2))
  np.testing.assert_allclose(after['mean'], 0.95 * before['mean'] + 0.05 * mean, rtol=1e-4)
  np.testing.assert_allclose(after['var'], 0.95 * before['var'] + 0.05 * var, rtol=1e-4)


def test_with_averages_frames_do_not_see_each_other_and_in_training_they_do(variables):
  _, apply, train = build()
  changed = FRAMES.at[1].set(0)
  first, second = apply(variables, FRAMES).stage5, apply(variables, changed).stage5
  np.testing.assert_allclose(first[0], second[0], rtol=1e-5, atol=1e-5)
  first, second = train(variables, FRAMES)[0].stage5, train(variables, changed)[0].stage5
  assert jnp.abs(first[0] - second[0]).max() > 1e-2


def test_two_devices_have_the_statistics_of_the_whole_batch(variables):
  shared = resnet.ResNet(**TINY, axis_name='devices')
  maps, whole = build()[2](variables, FRAMES)
  halves, shared = jax.pmap(
    lambda frames: shared.apply(variables, frames, train=True, mutable=['batch_stats']),
    axis_name='devices',
    devices=jax.devices()[:2],
  )(FRAMES[:, None])
  for device in (0, 1):
    np.testing.assert_allclose(halves.stage5[device, 0], maps.stage5[device], atol=1e-3)
    for part, expected in zip(jax.tree.leaves(shared), jax.tree.leaves(whole)):
      np.testing.assert_allclose(part[device], expected, rtol=1e-3, atol=1e-3)
