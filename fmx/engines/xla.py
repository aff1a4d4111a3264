"""Networks on XLA, by JAX: on whatever device there is. Few shapes, for each is compiled."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from fmx.models.fcn import probabilities
from fmx.models.heads import State
from fmx.weights import FinderModel, Model

_FRAMES = 8  # That the finder sees at once, at most.


class Segmenter:
  """A network that labels windows.

  Batches are filled up to a power of two and windows to one length; equal networks share what is
  compiled.
  """

  def __init__(self, model: Model, clip_length: int):
    """Puts the weights on the device."""
    self._network, self._length = model.network, clip_length
    self._variables = jax.device_put(dict(model.variables))

  def __call__(
    self, video: np.ndarray, carry: State | None, output: str
  ) -> tuple[np.ndarray, State | None]:
    """See `choice.Segmenter`."""
    clips, length, *size, _ = video.shape
    video = filled_windows(video, self._length)
    places = 1 << (clips - 1).bit_length()
    video, carry = jax.tree.map(lambda array: _filled(array, places), (video, carry))
    if carry is None:
      carry = self._network.initial_carry(places, size)
    scores, carry = jax.device_get(_OUTPUTS[output](self._network, self._variables, video, carry))
    return scores[:clips, :length], jax.tree.map(lambda array: array[:clips], carry)


class Finder:
  """A network that finds faces."""

  def __init__(self, model: FinderModel):
    """Takes the weights."""
    self._network, self._variables = model.network, model.variables

  def __call__(self, frames: np.ndarray) -> np.ndarray:
    """See `choice.Finder`."""
    outputs = []
    for start in range(0, len(frames), _FRAMES):
      part = frames[start : start + _FRAMES]
      filled = _filled(part, 1 << (len(part) - 1).bit_length())
      output = _cells(self._network, self._variables, jnp.asarray(filled))
      outputs.append(np.asarray(output)[: len(part)])
    return np.concatenate(outputs)


def filled_windows(video: np.ndarray, length: int) -> np.ndarray:
  """Windows [B, T, ...] that repeat their last frame up to a length."""
  return np.concatenate([video, np.repeat(video[:, -1:], length - video.shape[1], axis=1)], axis=1)


def _filled(array: np.ndarray, places: int) -> np.ndarray:
  """The array with zeros in the places [places, ...] that it leaves."""
  return np.concatenate([array, np.zeros((places - len(array), *array.shape[1:]), array.dtype)])


@functools.partial(jax.jit, static_argnums=0)
def _logits(network: nn.Module, variables: Any, video: jax.Array, carry: Any) -> tuple:
  """A pure function of hashable modules, so that equal networks are compiled once."""
  logits, carry = network.apply(variables, video, carry)
  return logits.astype('float32'), carry


@functools.partial(jax.jit, static_argnums=0)
def _probabilities(network: nn.Module, variables: Any, video: jax.Array, carry: Any) -> tuple:
  logits, carry = network.apply(variables, video, carry)
  return probabilities(logits.astype('float32')), carry


@functools.partial(jax.jit, static_argnums=0)
def _cells(network: nn.Module, variables: Any, frames: jax.Array) -> jax.Array:
  return cast(jax.Array, network.apply(variables, frames))


_OUTPUTS: dict[str, Callable] = {'logits': _logits, 'probabilities': _probabilities}
