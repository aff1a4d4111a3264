"""From a configuration to a network, and from a trained FCN to the ConvLSTM-FCN."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import traverse_util

from fmx.models.fcn import HEADS, TOP_STRIDE, Segmenter
from fmx.models.pretrained import Transfer

DTYPES = {
  'auto': lambda: jnp.bfloat16 if jax.default_backend() == 'gpu' else jnp.float32,
  'bfloat16': lambda: jnp.bfloat16,
  'float32': lambda: jnp.float32,
}


def build(
  config: Any, num_classes: int, *, temporal: bool, image_size: int, axis_name: str | None = None
) -> Segmenter:
  """Makes the network that `config.model` describes.

  Args:
    config: With the attributes width, blocks, head ('coarse' or 'fine'), head_features,
      kernel_size, peepholes and dtype ('float32', 'bfloat16', or 'auto': bfloat16 on GPUs); see
      `fcn.Segmenter`.
    num_classes: K, background included.
    temporal: True for the ConvLSTM-FCN, False for the FCN.
    image_size: Height and width of the frames, in pixels.
    axis_name: The pmapped axis whose devices share the batch, if any.

  Returns:
    A module without variables.

  Raises:
    ValueError: an option is none of those that exist, or the sizes do not fit.
  """
  for option, value, choices in (('head', config.head, HEADS), ('dtype', config.dtype, DTYPES)):
    if value not in choices:
      raise ValueError(f'model.{option} is {value!r}; it must be one of {", ".join(choices)}.')
  if len(config.blocks) != 4:
    raise ValueError(
      f'model.blocks is {tuple(config.blocks)}; it must count the blocks of stages 2 to 5, '
      'as in (3, 4, 6, 3).'
    )
  if any(size % 2 == 0 for size in config.kernel_size):
    raise ValueError(f'model.kernel_size is {tuple(config.kernel_size)}; both sides must be odd.')
  if image_size % TOP_STRIDE:
    raise ValueError(
      f'The image size is {image_size}; it must be a multiple of {TOP_STRIDE}, the stride of the '
      'features, so that they are centred on the pixels that they came from.'
    )
  return Segmenter(
    num_classes,
    temporal,
    head=config.head,
    width=config.width,
    blocks=tuple(config.blocks),
    head_features=config.head_features,
    kernel_size=tuple(config.kernel_size),
    peepholes=config.peepholes,
    dtype=DTYPES[config.dtype](),
    axis_name=axis_name,
  )


def convert(fcn_variables: Any, temporal_variables: Any) -> tuple[dict[str, Any], Transfer]:
  """Puts every weight of a trained FCN into the ConvLSTM-FCN, but conv6, which has no place there.

  Args:
    fcn_variables: `params` and `batch_stats` of the FCN.
    temporal_variables: Fresh variables of the ConvLSTM-FCN of the same configuration.

  Returns:
    The ConvLSTM-FCN's variables, of which only those under `head/convlstm` and, in the fine head,
    `head/memory` are fresh; and the names of all that were kept, that are new and that were dropped
    (those of the coarse head's `head/conv6`).

  Raises:
    ValueError: the two differ by more than the ConvLSTM, in a name or in a shape.
  """
  old = traverse_util.flatten_dict(dict(fcn_variables), sep='/')
  new = traverse_util.flatten_dict(dict(temporal_variables), sep='/')
  kept = sorted(old.keys() & new.keys())
  transfer = Transfer(
    kept=tuple(kept),
    new=tuple(sorted(new.keys() - old.keys())),
    dropped=tuple(sorted(old.keys() - new.keys())),
  )
  expected = ('params/head/convlstm/', 'params/head/memory/')
  strangers = [name for name in transfer.new if not name.startswith(expected)]
  strangers += [name for name in transfer.dropped if not name.startswith('params/head/conv6/')]
  if strangers:
    raise ValueError(
      'The FCN and the ConvLSTM-FCN are not of one configuration: only one of them has '
      f'{strangers[0]}.'
    )
  for name in kept:
    if old[name].shape != new[name].shape:
      raise ValueError(
        f'The FCN and the ConvLSTM-FCN are not of one configuration: {name} is {old[name].shape} '
        f'in the first and {new[name].shape} in the second.'
      )
  return traverse_util.unflatten_dict(new | {name: old[name] for name in kept}, sep='/'), transfer
