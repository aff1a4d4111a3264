"""Untrained networks that take milliseconds, as `fmx.weights` hands them out."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from tiny_runs import TinySegmenter

from fmx.models.conv_lstm import initial_carry
from fmx.models.fcn import Segmenter
from fmx.weights import Model
from tfds_300vw import face_mask

SIZE = 32  # Pixels.
LENGTH = 3  # Frames of a window.


class TinyNetwork(TinySegmenter):
  """With all that extraction asks of a `Segmenter`."""

  def initial_carry(self, clips, size):
    if not self.temporal:
      return None
    return initial_carry((clips, *(side // 8 for side in size), self.num_classes))


@functools.cache
def model(name='primary', *, length=LENGTH, seed=0, network=TinyNetwork, **options):
  """A network for whole faces ('primary', or 'fcn' without memory), for 'eyes' or 'mouth'.

  Its weights are random, and what it says differs from pixel to pixel and from class to class.
  """
  region = 'primary' if name == 'fcn' else name
  class_names = face_mask.class_names(region)
  made = network(len(class_names), name != 'fcn', **options)
  video = jnp.zeros((1, 1, SIZE, SIZE, 3), jnp.uint8)
  variables = jax.jit(made.init)(jax.random.key(seed), video)
  rng = np.random.default_rng(seed)
  variables = jax.tree.map(
    lambda value: np.asarray(value) + 0.2 * rng.normal(size=value.shape).astype(np.float32),
    variables,
  )
  variables['batch_stats'] = jax.tree.map(np.abs, variables['batch_stats'])
  if name == 'fcn':  # No class is ahead of the others everywhere.
    frames = rng.integers(0, 130, (1, 4, SIZE, SIZE, 3), np.uint8)
    logits, _ = made.apply(variables, frames)
    variables['params']['head']['conv6']['bias'] -= np.median(logits, axis=(0, 1, 2, 3))
  return Model(made, variables, region, class_names, SIZE, length)


def full_model():
  """The real network, narrow."""
  return model(
    network=Segmenter, head='fine', width=4, stem=4, blocks=(1, 1, 1, 1), head_features=8
  )


def models(*names, **options):
  return {name: model(name, seed=seed, **options) for seed, name in enumerate(names)}
