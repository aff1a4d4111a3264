import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fmx.models import convolution, stride_1


def draw(seed, *shape):
  return jax.random.normal(jax.random.key(seed), shape)


def gradients(fn, *args):
  """The gradients of a weighted sum of the outputs, so that no two outputs count the same."""
  outputs = fn(*args)
  weights = jnp.cos(jnp.arange(outputs.size)).reshape(outputs.shape)
  return jax.grad(lambda *args: jnp.sum(weights * fn(*args)), argnums=(0, 1))(*args)


def test_a_kernel_of_ones_sums_its_neighbours_by_hand():
  # 1 2 3      the corner sees 1 + 2 + 4 + 5 = 12, the centre 1 + ... + 9 = 45;
  # 4 5 6      dilated by 2, the corner sees 1 + 3 + 7 + 9 = 20, the centre only itself and
  # 7 8 9      taps outside: 5.
  x = jnp.arange(1.0, 10).reshape(1, 3, 3, 1)
  kernel = jnp.ones((3, 3, 1, 1))
  plain, dilated = convolution.direct(x, kernel), convolution.direct(x, kernel, dilation=2)
  assert plain[0, 0, 0, 0] == 12
  assert plain[0, 1, 1, 0] == 45
  assert dilated[0, 0, 0, 0] == 20
  assert dilated[0, 1, 1, 0] == 5


@pytest.mark.parametrize('stride', [1, 2])
@pytest.mark.parametrize('size', [(6, 8), (5, 7)])
def test_a_pointwise_product_is_the_convolution(stride, size):
  x, kernel = draw(0, 2, *size, 3), draw(1, 1, 1, 3, 4)
  expected = convolution.direct(x, kernel, stride=stride)
  actual = convolution.pointwise(x, kernel, stride=stride)
  np.testing.assert_allclose(actual, expected, atol=1e-5)
  for a, b in zip(
    gradients(lambda x, k: convolution.pointwise(x, k, stride=stride), x, kernel),
    gradients(lambda x, k: convolution.direct(x, k, stride=stride), x, kernel),
  ):
    np.testing.assert_allclose(a, b, atol=1e-4)


WAYS = {
  'as XLA does it': {},
  'frame by frame': {'_LARGE_FRAME': 1},
  'by groups of frames': {'_LARGE_FRAME': 1, '_MOST_GROUPS': 2},
  'by products': {'IS_SINCE_0_11': True, '_MANY': 1, '_WIDE': 1},
  'by groups of features': {'IS_SINCE_0_11': True, '_MANY_FEATURES': 4, '_GROUP': 3},
}


@pytest.mark.parametrize('way', WAYS)
@pytest.mark.parametrize('dilation', [1, 2, 3])
@pytest.mark.parametrize('size', [(6, 12), (5, 7), (1, 2)])
def test_convolutions_of_stride_1_are_the_same_in_every_way(monkeypatch, way, dilation, size):
  for name, value in ({'IS_SINCE_0_11': False} | WAYS[way]).items():
    monkeypatch.setattr(stride_1, name, value)
  x, kernel = draw(0, 3, *size, 5), draw(1, 3, 3, 5, 4)
  assert_same_convolution(
    lambda x, k: convolution.windowed(x, k, dilation=dilation),
    lambda x, k: convolution.direct(x, k, dilation=dilation),
    x,
    kernel,
  )


def assert_same_convolution(actual, expected, x, kernel):
  np.testing.assert_allclose(actual(x, kernel), expected(x, kernel), atol=1e-5)
  for a, b in zip(gradients(actual, x, kernel), gradients(expected, x, kernel)):
    np.testing.assert_allclose(a, b, atol=1e-4)


def test_kernels_that_are_not_square_keep_their_sides():
  assert_same_convolution(
    convolution.windowed, convolution.direct, draw(0, 2, 6, 9, 3), draw(1, 3, 5, 3, 2)
  )


@pytest.mark.parametrize(('in_loop', 'convolutions'), [(False, 3), (True, 2)])
def test_in_a_loop_the_gradient_of_a_kernel_is_no_convolution(in_loop, convolutions):
  def loss(kernel, x):
    with stride_1.looping() if in_loop else contextlib.nullcontext():
      return jnp.sum(convolution.windowed(x, kernel) ** 2)

  x, kernel = draw(0, 2, 6, 8, 3), draw(1, 3, 3, 3, 4)
  made = jax.make_jaxpr(jax.grad(loss, argnums=(0, 1)))(kernel, x)
  assert str(made).count('conv_general_dilated[') == convolutions
  expected = jax.grad(lambda k: jnp.sum(convolution.direct(x, k) ** 2))(kernel)
  np.testing.assert_allclose(jax.grad(loss)(kernel, x), expected, atol=1e-4)


@pytest.mark.parametrize('kernel', [1, 3, 5, 7])
@pytest.mark.parametrize('size', [(6, 8), (5, 7), (1, 2)])
def test_blocks_are_the_convolution_of_stride_2(kernel, size):
  x, weights = draw(0, 2, *size, 3), draw(1, kernel, kernel, 3, 4)
  expected = convolution.direct(x, weights, stride=2)
  actual = convolution.blocked(x, weights)
  np.testing.assert_allclose(actual, expected, atol=2e-5)
  for a, b in zip(
    gradients(convolution.blocked, x, weights),
    gradients(lambda x, k: convolution.direct(x, k, stride=2), x, weights),
  ):
    np.testing.assert_allclose(a, b, atol=1e-4)


def test_blocks_by_hand():
  # A kernel of ones over 1 2 3 4: output 0 sees 0 + 1 + 2, output 1 sees 2 + 3 + 4. Four equal rows
  # and the padding above: two of them in the first row of outputs, three in the second.
  x = jnp.broadcast_to(jnp.arange(1.0, 5)[:, None], (1, 4, 4, 1))
  found = convolution.blocked(x, jnp.ones((3, 3, 1, 1)))
  np.testing.assert_array_equal(found[0, ..., 0], [[6, 18], [9, 27]])


@pytest.mark.parametrize(
  ('channels', 'stride', 'dilation', 'way'),
  [(3, 2, 1, 'blocked'), (4, 2, 1, 'blocked'), (5, 2, 1, 'direct'), (3, 1, 1, 'windowed')],
)
def test_only_strided_convolutions_of_images_go_by_blocks(
  monkeypatch, channels, stride, dilation, way
):
  called = []
  for name in ('blocked', 'direct', 'windowed', 'pointwise'):
    monkeypatch.setattr(convolution, name, lambda *_, name=name, **__: called.append(name))
  convolution.convolve(
    jnp.zeros((1, 4, 4, channels)),
    jnp.zeros((3, 3, channels, 2)),
    stride=stride,
    dilation=dilation,
  )
  assert called == [way]


@pytest.mark.parametrize('backend', ['cpu', 'gpu'])
@pytest.mark.parametrize(('kernel', 'stride', 'dilation'), [(1, 2, 1), (3, 1, 2), (7, 2, 1)])
def test_every_backend_gets_the_same_convolution(monkeypatch, backend, kernel, stride, dilation):
  monkeypatch.setattr(jax, 'default_backend', lambda: backend)
  x, weights = draw(0, 1, 9, 8, 2), draw(1, kernel, kernel, 2, 3)
  expected = convolution.direct(x, weights, stride=stride, dilation=dilation)
  actual = convolution.convolve(x, weights, stride=stride, dilation=dilation)
  assert actual.shape == (1, -(-9 // stride), -(-8 // stride), 3)
  np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_bfloat16_is_the_dtype_of_the_output_and_not_of_the_parameters():
  module = convolution.Conv(4, (3, 3), dtype=jnp.bfloat16)
  out, variables = module.init_with_output(jax.random.key(0), draw(0, 1, 4, 4, 2))
  assert out.dtype == jnp.bfloat16
  assert {x.dtype for x in jax.tree.leaves(variables)} == {jnp.dtype('float32')}
