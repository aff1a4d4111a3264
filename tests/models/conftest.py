import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest


@functools.cache
def draw_variables(module, *shape):
  """Variables for an input of this shape, drawn by numpy: compiling `init` takes long.

  Kernels are Glorot-normal and variances and scales around one, so that activations stay in range.
  Everything else, zero or one in a fresh network, is random.
  """
  rng = np.random.default_rng(0)

  def draw(path, leaf):
    name = path[-1].key
    if name == 'kernel':
      fans = (leaf.shape[-1] + leaf.shape[-2]) * np.prod(leaf.shape[:-2])
      value = rng.normal(0, np.sqrt(2 / fans), leaf.shape)
    elif name in ('scale', 'var'):
      value = rng.uniform(0.7, 1.3, leaf.shape)
    else:
      value = rng.normal(0, 0.3, leaf.shape)
    return jnp.asarray(value, jnp.float32)

  shapes = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros(shape))
  return jax.tree_util.tree_map_with_path(draw, shapes)


@pytest.fixture(scope='session', name='draw_variables')
def draw_variables_fixture():
  return draw_variables
