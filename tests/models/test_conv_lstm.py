import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fmx.models import conv_lstm, stride_1
from fmx.models.conv_lstm import Carry, ConvLSTM


def randomized(variables, scale=1.0):
  """The same tree with random values, peepholes included."""
  leaves, tree = jax.tree.flatten(variables)
  keys = jax.random.split(jax.random.key(7), len(leaves))
  return tree.unflatten([scale * jax.random.normal(k, x.shape) for k, x in zip(keys, leaves)])


def make(features=3, size=(4, 5), length=4, **options):
  module = ConvLSTM(features, **options)
  x = jax.random.normal(jax.random.key(1), (2, length, *size, 2))
  return module, module.init(jax.random.key(0), x), x


def equation_1(params, x, features):
  """Eq. 1 for a 1x1 kernel, gate by gate, frame by frame, in numpy float64."""

  def sigmoid(z):
    return 1 / (1 + np.exp(-z))

  params = jax.tree.map(lambda p: np.asarray(p, np.float64), params)
  w_xi, w_xf, w_xc, w_xo = np.split(params['input']['kernel'][0, 0], 4, axis=-1)
  b_i, b_f, b_c, b_o = np.split(params['input']['bias'], 4)
  w_hi, w_hf, w_hc, w_ho = np.split(params['cell']['recurrent']['kernel'][0, 0], 4, axis=-1)
  w_ci, w_cf, w_co = (params['cell'][name] for name in ('w_ci', 'w_cf', 'w_co'))
  b, t, h, w, _ = x.shape
  cell, hidden = np.zeros((b, h, w, features)), np.zeros((b, h, w, features))
  outputs = []
  for frame in np.moveaxis(np.asarray(x, np.float64), 1, 0):
    i = sigmoid(frame @ w_xi + hidden @ w_hi + w_ci * cell + b_i)
    f = sigmoid(frame @ w_xf + hidden @ w_hf + w_cf * cell + b_f)
    cell = f * cell + i * np.tanh(frame @ w_xc + hidden @ w_hc + b_c)
    o = sigmoid(frame @ w_xo + hidden @ w_ho + w_co * cell + b_o)
    hidden = o * np.tanh(cell)
    outputs.append(hidden)
  return cell, np.stack(outputs, axis=1)


def test_the_cell_is_equation_1_with_its_peepholes():
  module, variables, x = make()
  variables = randomized(variables)
  carry, hidden = module.apply(variables, x)
  cell, expected = equation_1(variables['params'], x, 3)
  np.testing.assert_allclose(hidden, expected, atol=2e-6)
  np.testing.assert_allclose(carry.cell, cell, atol=1e-5)
  np.testing.assert_allclose(carry.hidden, expected[:, -1], atol=2e-6)


def test_one_step_by_hand():
  # All kernels and peepholes 0, biases i = 0, f = 0, c = atanh(0.5), o = 0, cell 1 before:
  # C = 0.5 * 1 + 0.5 * 0.5 = 0.75 and H = 0.5 * tanh(0.75) = 0.31757...
  module = ConvLSTM(1)
  x = jnp.ones((1, 1, 1, 1, 1))
  variables = jax.tree.map(jnp.zeros_like, module.init(jax.random.key(0), x))
  variables['params']['input']['bias'] = jnp.array([0.0, 0.0, np.arctanh(0.5), 0.0])
  ones = jnp.ones((1, 1, 1, 1))
  carry, hidden = module.apply(variables, x, Carry(ones, ones))
  np.testing.assert_allclose(carry.cell, 0.75 * ones, rtol=1e-6)
  np.testing.assert_allclose(hidden[:, 0], 0.317574 * ones, rtol=1e-5)


@pytest.mark.parametrize('kernel_size', [(1, 1), (3, 3)])
def test_two_half_clips_with_the_carry_are_one_clip(kernel_size):
  module, variables, x = make(kernel_size=kernel_size)
  variables = randomized(variables, 0.5)
  whole_carry, whole = module.apply(variables, x)
  carry, first = module.apply(variables, x[:, :1])
  carry, second = module.apply(variables, x[:, 1:], carry)
  np.testing.assert_allclose(jnp.concatenate([first, second], 1), whole, atol=1e-6)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), carry, whole_carry)


def test_no_carry_is_a_carry_of_zeros():
  module, variables, x = make()
  variables = randomized(variables)
  zeros = conv_lstm.initial_carry((2, 4, 5, 3))
  np.testing.assert_array_equal(module.apply(variables, x)[1], module.apply(variables, x, zeros)[1])


def test_frames_see_the_past_and_not_the_future():
  module, variables, x = make()
  variables = randomized(variables)
  hidden = module.apply(variables, x)[1]
  changed = module.apply(variables, x.at[:, 2].add(1.0))[1]
  np.testing.assert_array_equal(hidden[:, :2], changed[:, :2])
  assert (jnp.abs(hidden - changed)[:, 2:].max(axis=(0, 2, 3, 4)) > 1e-3).all()


def test_a_fresh_cell_has_forget_bias_one_and_zero_peepholes():
  _, variables, _ = make()
  params = variables['params']
  np.testing.assert_array_equal(params['input']['bias'], [0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0])
  for name in ('w_ci', 'w_cf', 'w_co'):
    assert params['cell'][name].shape == (4, 5, 3)
    assert not params['cell'][name].any()


def test_without_peepholes_only_their_weights_are_gone():
  _, with_them, _ = make()
  _, without, _ = make(peepholes=False)
  for name in ('w_ci', 'w_cf', 'w_co'):
    del with_them['params']['cell'][name]
  jax.tree.map(np.testing.assert_array_equal, with_them, without)


def test_peepholes_of_another_frame_size_are_refused():
  module, variables, _ = make()
  with pytest.raises(ValueError, match=r'w_ci are \(4, 5, 3\), the features \(2, 5, 3\)'):
    module.apply(variables, jnp.zeros((1, 1, 2, 5, 2)))


def test_without_peepholes_any_frame_size_will_do():
  module, variables, _ = make(peepholes=False)
  assert module.apply(variables, jnp.zeros((1, 1, 2, 9, 2)))[1].shape == (1, 1, 2, 9, 3)


def test_every_weight_gets_a_finite_gradient():
  module, variables, x = make()
  grads = jax.grad(lambda v: jnp.sum(module.apply(v, x)[1] ** 2))(variables)
  for grad in jax.tree.leaves(grads):
    assert jnp.isfinite(grad).all()
    assert jnp.abs(grad).max() > 0


def test_in_bfloat16_the_recurrence_stays_float32():
  module, variables, x = make(dtype=jnp.bfloat16)
  exact = ConvLSTM(3).apply(variables, x)[1]
  carry, hidden = module.apply(variables, x)
  assert {hidden.dtype, carry.cell.dtype, carry.hidden.dtype} == {jnp.dtype('float32')}
  np.testing.assert_allclose(hidden, exact, atol=0.02)


def test_the_loop_has_no_convolution_for_the_gradient_of_its_kernel(monkeypatch):
  taken, by_taps = [], stride_1._by_taps
  monkeypatch.setattr(stride_1, '_by_taps', lambda *a: taken.append(1) or by_taps(*a))
  module, variables, x = make(kernel_size=(3, 3))
  jax.grad(lambda variables: module.apply(variables, x)[1].sum())(variables)
  assert len(taken) == 1  # Of the recurrent kernel; the input's is outside of the loop.
