"""The gates: a first frame is its own, what they say by hand, and a state that goes on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fmx.models import stride_1
from fmx.models.fcn import Segmenter
from fmx.models.gated_memory import GatedMemory, initial_gated_carry

TINY = {
  'memory': 'fine',
  'head': 'fine',
  'width': 4,
  'stem': 4,
  'blocks': (1, 1, 1, 1),
  'head_features': 8,
}


def random_like(variables, scale=0.3):
  leaves, tree = jax.tree.flatten(variables)
  rng = np.random.default_rng(0)
  drawn = [jnp.asarray(rng.normal(0, scale, x.shape), x.dtype) for x in leaves]
  return jax.tree.unflatten(tree, drawn)


@pytest.fixture(scope='module')
def features():
  return jnp.asarray(np.random.default_rng(1).normal(size=(2, 4, 5, 6, 3)), jnp.float32)


@pytest.fixture(scope='module')
def gates(features):
  module = GatedMemory(3, hidden=2)
  return module, random_like(module.init(jax.random.key(0), features, None))


def test_a_first_frame_is_what_it_is_without_a_memory(gates, features):
  module, variables = gates
  _, out = module.apply(variables, features, None)
  np.testing.assert_array_equal(out[:, 0], features[:, 0])
  assert not np.allclose(out[:, 1], features[:, 1])


def test_a_new_gate_lets_a_twentieth_of_the_frame_before_in(features):
  module = GatedMemory(3)
  variables = module.init(jax.random.key(0), features, None)
  _, out = module.apply(variables, features, None)
  z = 1 / (1 + np.exp(3))
  np.testing.assert_allclose(out[:, 1], (1 - z) * features[:, 1] + z * features[:, 0], atol=1e-6)


def test_the_state_goes_on(gates, features):
  module, variables = gates
  after, whole = module.apply(variables, features, None)
  middle, first = module.apply(variables, features[:, :2], None)
  last, second = module.apply(variables, features[:, 2:], middle)
  np.testing.assert_allclose(jnp.concatenate([first, second], axis=1), whole, atol=1e-6)
  np.testing.assert_allclose(last[0], after[0], atol=1e-6)
  assert after[1].shape == (2, 1, 1, 1)
  assert (last[1] == 1).all()


def test_one_step_by_hand(gates):
  """On a picture of one pixel only the kernels' centres count."""
  module, variables = gates
  x = np.random.default_rng(2).normal(size=(1, 2, 1, 1, 3)).astype(np.float32)
  _, out = module.apply(variables, x, None)
  of = variables['params']
  (first, second), centre = x[0, :, 0, 0], (1, 1)
  seen = second @ of['input']['kernel'][0, 0] + of['input']['bias']
  seen = np.maximum(seen + first @ of['cell']['recurrent']['kernel'][0, 0], 0)
  gate = seen @ of['cell']['gate']['kernel'][centre] + of['cell']['gate']['bias']
  z = 1 / (1 + np.exp(-gate))
  np.testing.assert_allclose(out[0, 1, 0, 0], (1 - z) * second + z * first, rtol=1e-5)


@pytest.fixture(scope='module')
def network():
  network = Segmenter(5, True, **TINY)
  video = jnp.asarray(np.random.default_rng(3).integers(0, 256, (2, 4, 32, 32, 3)), jnp.uint8)
  return network, random_like(jax.jit(network.init)(jax.random.key(0), video), 0.1), video


def test_the_network_begins_each_clip_as_the_fcn(network):
  module, variables, video = network
  logits, _ = jax.jit(module.apply)(variables, video)
  fcn = Segmenter(5, False, **TINY)
  alone, carry = jax.jit(fcn.apply)(variables, video)
  np.testing.assert_allclose(logits[:, 0], alone[:, 0], atol=1e-5)
  assert not np.allclose(logits[:, 1:], alone[:, 1:], atol=1e-3)
  assert carry is None


def test_windows_one_after_another_say_what_the_clip_says(network):
  module, variables, video = network
  run = jax.jit(module.apply)
  whole, after = run(variables, video)
  zeros = module.initial_carry(2, (32, 32))
  first, carry = run(variables, video[:, :2], zeros)
  second, last = run(variables, video[:, 2:], carry)
  np.testing.assert_allclose(jnp.concatenate([first, second], axis=1), whole, atol=1e-5)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), last, after)


def test_the_state_is_zeros_of_the_right_shapes(network):
  module, variables, video = network
  _, after = jax.eval_shape(module.apply, variables, video)
  shapes = jax.tree.map(lambda array: array.shape, initial_gated_carry(2, (32, 32), 8))
  assert shapes == jax.tree.map(lambda array: array.shape, after)
  assert all(not leaf.any() for leaf in jax.tree.leaves(module.initial_carry(2, (32, 32))))


def test_the_loop_has_no_convolution_for_the_gradient_of_its_kernel(monkeypatch, gates, features):
  taken, by_taps = [], stride_1._by_taps
  monkeypatch.setattr(stride_1, '_by_taps', lambda *a: taken.append(1) or by_taps(*a))
  module, variables = gates
  jax.grad(lambda variables: module.apply(variables, features, None)[1].sum())(variables)
  assert len(taken) == 1  # Of the gate's; the others are 1x1 or outside of the loop.
