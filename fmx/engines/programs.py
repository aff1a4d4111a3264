"""What is run of each network: a function of arrays that holds the weights, with named ends.

It computes in float32, whatever the network was made for: not every runtime convolves in less.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import export

from fmx.models.fcn import probabilities
from fmx.models.finder import MULTIPLE
from fmx.models.folding import fold_batch_norm
from fmx.weights import FinderModel, Model

NEXT = 'next_'  # Before the names of a network's state after the frames; those before have none.


class Program(NamedTuple):
  """A network that is ready to be written down.

  Attributes:
    function: Of the inputs, to a tuple of the outputs.
    inputs: Names and shapes; sizes that are free are symbols.
    outputs: Names.
  """

  function: Callable[..., tuple]
  inputs: Mapping[str, jax.ShapeDtypeStruct]
  outputs: tuple[str, ...]


def program(model: Model | FinderModel) -> Program:
  """The program of a network, for batches of any size; a finder's for frames of any size too."""
  if isinstance(model, FinderModel):
    return _finder(model)
  return _with_memory(model) if model.network.temporal else _without_memory(model)


def _finder(model: FinderModel) -> Program:
  n, h, w = export.symbolic_shape('n, h, w')
  frames = jax.ShapeDtypeStruct((n, MULTIPLE * h, MULTIPLE * w, 3), jnp.uint8)
  example = jax.ShapeDtypeStruct((1, MULTIPLE, MULTIPLE, 3), jnp.uint8)
  variables = fold_batch_norm(model.network, model.variables, example)

  def find(frames: jax.Array) -> tuple:
    return (model.network.apply(variables, frames),)

  return Program(find, {'frames': frames}, ('cells',))


def _without_memory(model: Model) -> Program:
  """Frames are all alike to it, whatever clip they are of."""
  n, *_ = export.symbolic_shape('n')
  side = model.image_size
  frames = jax.ShapeDtypeStruct((n, side, side, 3), jnp.uint8)
  example = jax.ShapeDtypeStruct((1, 1, side, side, 3), jnp.uint8)
  network = _exact(model.network)
  variables = fold_batch_norm(network, model.variables, example)

  def label(frames: jax.Array) -> tuple:
    logits, _ = network.apply(variables, frames[:, None])
    logits = logits.squeeze(1)
    return logits, probabilities(logits)

  return Program(label, {'frames': frames}, ('logits', 'probabilities'))


def _with_memory(model: Model) -> Program:
  b, *_ = export.symbolic_shape('b')
  side = model.image_size
  video = jax.ShapeDtypeStruct((b, model.clip_length, side, side, 3), jnp.uint8)
  example = jax.ShapeDtypeStruct((1, *video.shape[1:]), jnp.uint8)
  network = _exact(model.network)
  variables = fold_batch_norm(network, model.variables, example)
  state = jax.eval_shape(lambda: network.initial_carry(1, (side, side)))
  inputs = {
    name: jax.ShapeDtypeStruct((b, *part.shape[1:]), part.dtype)
    for name, part in state._asdict().items()
  }

  def label(video: jax.Array, *parts: jax.Array) -> tuple:
    logits, carry = network.apply(variables, video, type(state)(*parts))
    return logits, probabilities(logits), *carry

  outputs = ('logits', 'probabilities', *(NEXT + name for name in inputs))
  return Program(label, {'video': video} | inputs, outputs)


def _exact(network: nn.Module) -> Any:
  return network.clone(dtype=jnp.float32) if hasattr(network, 'dtype') else network
