import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from fmx.models.normalization import BatchNorm

OPTIONS = {'momentum': 0.9, 'epsilon': 1e-3}
WIDTH = 5


def draw(seed, *shape):
  return jax.random.normal(jax.random.key(seed), shape)


@pytest.fixture
def x():
  return 3 * draw(0, 4, 6, 7, WIDTH) + jnp.arange(WIDTH)


@pytest.fixture
def variables():
  return {
    'params': {'scale': 1 + 0.3 * draw(1, WIDTH), 'bias': draw(2, WIDTH)},
    'batch_stats': {'mean': draw(3, WIDTH), 'var': jnp.exp(draw(4, WIDTH))},
  }


def assert_same(actual, expected, **tolerance):
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), actual, expected)


def trained(module, variables, x, *offset):
  """The output, the new averages, and the gradients of a weighted sum of the output."""

  def loss(params, x):
    y, updated = module.apply({**variables, 'params': params}, x, *offset, mutable=['batch_stats'])
    return jnp.sum(jnp.cos(jnp.arange(y.size)).reshape(y.shape) * y), (y, updated)

  return jax.grad(loss, argnums=(0, 1), has_aux=True)(variables['params'], x)


def test_it_begins_as_flax_does(x):
  ours = BatchNorm(use_running_average=False).init(jax.random.key(0), x)
  assert_same(ours, nn.BatchNorm(use_running_average=False).init(jax.random.key(0), x))


def test_training_is_that_of_flax(variables, x):
  ours = trained(BatchNorm(use_running_average=False, **OPTIONS), variables, x)
  assert_same(
    ours, trained(nn.BatchNorm(use_running_average=False, **OPTIONS), variables, x),
    rtol=1e-5, atol=2e-5,
  )  # fmt: skip


def test_prediction_is_that_of_flax(variables, x):
  ours = BatchNorm(use_running_average=True, **OPTIONS).apply(variables, x)
  expected = nn.BatchNorm(use_running_average=True, **OPTIONS).apply(variables, x)
  np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)


def test_an_offset_is_as_good_as_added(variables, x):
  offset = draw(5, WIDTH)
  predicting = BatchNorm(use_running_average=True, **OPTIONS)
  np.testing.assert_allclose(
    predicting.apply(variables, x, offset), predicting.apply(variables, x + offset), atol=1e-5
  )
  training = BatchNorm(use_running_average=False, **OPTIONS)
  assert_same(
    trained(training, variables, x, offset), trained(training, variables, x + offset), atol=2e-5
  )


def test_a_batch_takes_its_own_offset_away(variables, x):
  def loss(offset):
    y, _ = BatchNorm(use_running_average=False).apply(variables, x, offset, mutable=['batch_stats'])
    return jnp.sum(y**3)

  assert jnp.array_equal(jax.grad(loss)(draw(5, WIDTH)), jnp.zeros(WIDTH))


def test_a_channel_without_spread_is_its_bias(variables, x):
  flat = x.at[..., 2].set(4.0)
  y, _ = BatchNorm(use_running_average=False).apply(variables, flat, mutable=['batch_stats'])
  np.testing.assert_allclose(y[..., 2], variables['params']['bias'][2], atol=1e-3)


def test_devices_share_their_statistics(variables, x):
  module = BatchNorm(use_running_average=False, axis_name='devices', **OPTIONS)
  run = functools.partial(module.apply, mutable=['batch_stats'])
  split = x.reshape(4, 1, *x.shape[1:])
  y, updated = jax.pmap(run, axis_name='devices', in_axes=(None, 0))(variables, split)
  expected, averages = BatchNorm(use_running_average=False, **OPTIONS).apply(
    variables, x, mutable=['batch_stats']
  )
  np.testing.assert_allclose(y.reshape(x.shape), expected, atol=1e-5)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a[3], b, atol=1e-5), updated, averages)


@pytest.mark.parametrize('train', [True, False])
def test_half_precision_goes_in_and_out(variables, x, train):
  module = BatchNorm(use_running_average=not train, dtype=jnp.bfloat16, **OPTIONS)
  y = module.apply(variables, x.astype(jnp.bfloat16), mutable=['batch_stats'])[0]
  expected = module.clone(dtype=None).apply(variables, x, mutable=['batch_stats'])[0]
  assert (y.dtype, expected.dtype) == (jnp.bfloat16, jnp.float32)
  np.testing.assert_allclose(y.astype(jnp.float32), expected, rtol=0.05, atol=0.05)
