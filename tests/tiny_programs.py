"""Tiny networks of every kind, and what they say by themselves."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import tiny_weights
from PIL import Image

from fmx import weights
from fmx.example.clip import PORTRAIT
from fmx.models import segmenter
from fmx.weights import FinderModel
from tfds_300vw import face_mask

SIZE, LENGTH = 32, 2
SHIPPED, MEMORY = 'undilated, as those that ship', 'fine, with a memory'
KINDS = {
  'finder': {},
  SHIPPED: {'blocks': (1, 1, 1, 1), 'dilate': False, 'pool_margin': (0, 1)},
  MEMORY: {'temporal': True},
  'fine, with gates': {'temporal': True, 'memory': 'fine'},
  "the paper's": {
    'temporal': True,
    'head': 'coarse',
    'blocks': (1, 1, 1, 1),
    'peepholes': True,
    'kernel_size': (3, 3),
  },
  'FCN-VGG16': {'trunk': 'vgg16', 'head': 'fcn8', 'blocks': (1, 1, 1, 1), 'dilate': False},
  'DeepLab-V2': {'trunk': 'vgg16', 'head': 'aspp', 'blocks': (1, 1, 1, 1)},
}


def model(kind):
  """A network of random weights."""
  if kind == 'finder':
    return tiny_weights.model('finder')
  options = tiny_weights.OPTIONS | KINDS[kind]
  temporal = options.pop('temporal', False)
  names = face_mask.class_names('primary')
  config = types.SimpleNamespace(**options, dtype='float32')
  network = segmenter.build(config, len(names), temporal=temporal, image_size=SIZE)
  variables = tiny_weights.variables_of(network, jnp.zeros((1, 1, SIZE, SIZE, 3)))
  return weights.Model(network, variables, 'primary', names, SIZE, LENGTH, 1.45, options)


def photographs(*shape):
  """Parts of a portrait, uint8 [*shape, 3]."""
  portrait = np.asarray(Image.open(PORTRAIT))
  *numbers, height, width = shape
  starts = np.ndindex(*numbers)
  parts = [portrait[20 * sum(at) :, 100 + 10 * at[0] :][:height, :width] for at in starts]
  return np.stack(parts).reshape(*shape, 3)


def inputs(of, number, size=(64, 96)):
  """What a program takes, by name; of that size, if it is a finder."""
  if isinstance(of, FinderModel):
    return {'frames': photographs(number, *size)}
  if not of.network.temporal:
    return {'frames': photographs(number, SIZE, SIZE)}
  rng = np.random.default_rng(0)
  state = of.network.initial_carry(number, (SIZE, SIZE))._asdict()
  state = {name: np.tanh(rng.normal(size=x.shape)).astype(np.float32) for name, x in state.items()}
  if 'known' in state:
    state['known'] = np.ones_like(state['known'])
  return {'video': photographs(number, LENGTH, SIZE, SIZE)} | state


def outputs(of, given):
  """What the network itself makes of that."""
  run = jax.jit(of.network.apply)
  if isinstance(of, FinderModel):
    return [np.asarray(run(of.variables, given['frames']))]
  if not of.network.temporal:
    logits = run(of.variables, given['frames'][:, None])[0][:, 0]
    return [np.asarray(logits), np.asarray(jax.nn.softmax(logits))]
  state = {name: value for name, value in given.items() if name != 'video'}
  kind = type(of.network.initial_carry(1, (SIZE, SIZE)))
  logits, carry = run(of.variables, given['video'], kind(**state))
  return [np.asarray(x) for x in (logits, jax.nn.softmax(logits), *carry)]
