"""Batch norm for prediction: the same network with variables in which it has nothing left to do."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from flax import linen as nn
from flax import traverse_util

from fmx.models.convolution import Conv
from fmx.models.normalization import BatchNorm


def fold_batch_norm(
  network: nn.Module, variables: Mapping[str, Any], frames: jax.ShapeDtypeStruct
) -> dict[str, Any]:
  """Variables with which the network says the same, though its batch norms only add a vector.

  A batch norm behind a convolution multiplies each channel; the kernel is multiplied in its place,
  and what the convolution added is added by the batch norm. The multiplication that is left is by
  exactly 1. Other batch norms stay as they are. For prediction only: training would start from
  other statistics.

  Args:
    network: A `Segmenter` or `FinderNetwork`, where nothing but its batch norm takes the output of
      a convolution that is followed by one.
    variables: Its 'params' and 'batch_stats'.
    frames: What its input looks like.
  """
  flat = traverse_util.flatten_dict(dict(variables))
  flat = {path: np.asarray(value) for path, value in flat.items()}
  for conv, norm, epsilon in _pairs(network, variables, frames):
    statistics = {name: ('batch_stats', *norm, name) for name in ('mean', 'var')}
    affine = {name: ('params', *norm, name) for name in ('scale', 'bias')}
    kernel, bias = (('params', *conv, name) for name in ('kernel', 'bias'))
    variance = flat[statistics['var']].astype(np.float64) + epsilon
    factor = flat[affine['scale']] / np.sqrt(variance)
    shift = flat.get(bias, 0) - flat[statistics['mean']].astype(np.float64)
    new = {
      kernel: flat[kernel] * factor,
      affine['bias']: flat[affine['bias']] + shift * factor,
      affine['scale']: np.ones_like(factor),
      statistics['mean']: np.zeros_like(factor),
      statistics['var']: np.full_like(factor, 1 - epsilon),
    }
    if bias in flat:
      new[bias] = np.zeros_like(factor)
    flat |= {path: value.astype(np.float32) for path, value in new.items()}
  return traverse_util.unflatten_dict(flat)


def _pairs(network: nn.Module, variables: Any, frames: jax.ShapeDtypeStruct) -> list[tuple]:
  """The paths of each convolution and of the batch norm that takes its output, and epsilon."""
  outputs: dict[int, tuple] = {}
  pairs = []

  def watch(call: Any, arguments: Any, options: Any, context: Any) -> Any:
    module = context.module
    if isinstance(module, BatchNorm) and context.method_name == '__call__':
      conv, _ = outputs.get(id(arguments[0]), (None, None))
      if conv is not None:
        pairs.append((conv, module.path, module.epsilon))
    output = call(*arguments, **options)
    if isinstance(module, Conv):
      features = output[0] if context.method_name == 'without_bias' else output
      outputs[id(features)] = module.path, features  # Kept, so that its id is its own.
    return output

  with nn.intercept_methods(watch):
    jax.eval_shape(network.apply, variables, frames)
  return pairs
