"""From a configuration to a network, and from a trained FCN to the ConvLSTM-FCN."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import traverse_util

from fmx.models.convolution import Conv
from fmx.models.fcn import HEADS, MEMORIES, TRUNKS, WITH_MEMORY, Segmenter
from fmx.models.pretrained import Transfer

POOL_MARGINS = ((1, 1), (0, 1))  # Keras's and Caffe's.
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
    config: With the attributes trunk ('resnet50' or 'vgg16'), width, blocks, stem, pool_margin,
      dilate, memory (one of `fcn.MEMORIES`), head (a key of `fcn.HEADS`), head_features,
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
  for option, choices in (
    ('trunk', TRUNKS),
    ('memory', MEMORIES),
    ('head', HEADS),
    ('dtype', DTYPES),
  ):
    value = getattr(config, option)
    if value not in choices:
      raise ValueError(f'model.{option} is {value!r}; it must be one of {", ".join(choices)}.')
  if temporal and config.head not in WITH_MEMORY:
    raise ValueError(
      f'model.head is {config.head!r}, which has no ConvLSTM: set it to one of '
      f"{', '.join(WITH_MEMORY)}, or stages = ('fcn',)."
    )
  if temporal and config.memory == 'fine' and config.head != 'fine':
    raise ValueError(
      f"model.memory is 'fine' and model.head {config.head!r}: set both to 'fine', or the memory "
      "to 'top'."
    )
  if len(config.blocks) not in (3, 4):
    raise ValueError(
      f'model.blocks is {tuple(config.blocks)}; it must count the blocks of stages 2 to 5, '
      "as in (3, 4, 6, 3) or VGG-16's (2, 3, 3, 3), or of stages 2 to 4."
    )
  if tuple(config.pool_margin) not in POOL_MARGINS:
    raise ValueError(
      f'model.pool_margin is {tuple(config.pool_margin)}; it must be one of '
      f'{" or ".join(map(str, POOL_MARGINS))}.'
    )
  if any(size % 2 == 0 for size in config.kernel_size):
    raise ValueError(f'model.kernel_size is {tuple(config.kernel_size)}; both sides must be odd.')
  network = Segmenter(
    num_classes,
    temporal,
    memory=config.memory,
    head=config.head,
    trunk=config.trunk,
    width=config.width,
    blocks=tuple(config.blocks),
    stem=config.stem,
    pool_margin=tuple(config.pool_margin),
    dilate=config.dilate,
    head_features=config.head_features,
    kernel_size=tuple(config.kernel_size),
    peepholes=config.peepholes,
    dtype=DTYPES[config.dtype](),
    axis_name=axis_name,
  )
  if image_size % network.top_stride:
    raise ValueError(
      f'The image size is {image_size}; it must be a multiple of {network.top_stride}, the stride '
      'of the features, so that they are centred on the pixels that they came from.'
    )
  return network


def title(temporal: bool, memory: str = 'top') -> str:
  """What people call a network.

  Args:
    temporal: Whether it has a memory.
    memory: Which, one of `fcn.MEMORIES`.
  """
  return {'top': 'ConvLSTM-FCN', 'fine': 'Gated FCN'}[memory] if temporal else 'FCN'


def conv_outputs(network: Segmenter, variables: Any, video: jax.Array) -> dict[str, jax.Array]:
  """What the trunk's convolutions put out, without their biases, by the module inside the trunk.

  Args:
    network: The network.
    variables: Its 'params' and 'batch_stats'.
    video: RGB in [0, 255], [B, T, H, W, 3].

  Returns:
    [B * T, h, w, C] each.
  """

  def run(variables: Any, video: jax.Array) -> Any:
    captured = network.apply(
      variables,
      video,
      capture_intermediates=lambda module, method: (
        isinstance(module, Conv) and method == 'without_bias'
      ),
      mutable=['intermediates'],
    )[1]
    return captured['intermediates']['trunk']

  found = traverse_util.flatten_dict(jax.jit(run)(variables, video), sep='/')
  return {
    name.removesuffix('/without_bias'): features for name, ((features, _bias),) in found.items()
  }


def convert(fcn_variables: Any, temporal_variables: Any) -> tuple[dict[str, Any], Transfer]:
  """Puts every weight of a trained FCN into the ConvLSTM-FCN, but conv6, which has no place there.

  Args:
    fcn_variables: `params` and `batch_stats` of the FCN.
    temporal_variables: Fresh variables of the ConvLSTM-FCN of the same configuration.

  Returns:
    The ConvLSTM-FCN's variables, of which only those of its memory are fresh, under
    `head/convlstm` and `head/memory…`; and the names of all that were kept, that are new and that
    were dropped (those of the coarse head's `head/conv6`).

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
  expected = ('params/head/convlstm/', 'params/head/memory')
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
