"""ImageNet weights from Keras's ResNet-50 file into the trunk, every name and shape checked."""

import os
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import traverse_util

# Our name of a variable and Keras's, in the order in which Keras 3's files number them.
LAYER_VARIABLES = {
  'conv': (('kernel', 'kernel'), ('bias', 'bias')),
  'bn': (
    ('scale', 'gamma'),
    ('bias', 'beta'),
    ('mean', 'moving_mean'),
    ('var', 'moving_variance'),
  ),
}
CLASSIFIERS = ('predictions', 'probs')  # The layer of ImageNet's classes, in new and old files.


class Transfer(NamedTuple):
  """Which variables went from one set of weights into another, by name."""

  kept: tuple[str, ...]  # Taken over.
  new: tuple[str, ...]  # Left as they were initialised.
  dropped: tuple[str, ...]  # Without a place in the new set.

  def __str__(self) -> str:
    lines = (
      f'{len(names)} variables {what}: {summary(names)}'
      for what, names in (('kept', self.kept), ('new', self.new), ('dropped', self.dropped))
    )
    return '\n'.join(lines)


def summary(names: tuple[str, ...]) -> str:
  """The modules that hold the variables, down to the trunk's stages; 'none' without any."""
  return ', '.join(sorted({'/'.join(name.split('/')[:3]) for name in names})) or 'none'


def keras_name(name: str) -> str:
  """Keras's name of a variable of the trunk.

  Args:
    name: As `params/trunk/stage2/block1/conv0/kernel` or `batch_stats/trunk/bn1/mean`.

  Returns:
    As `conv2_block1_0_conv/kernel` or `conv1_bn/moving_mean`.
  """
  *blocks, layer, variable = name.split('/')[2:]
  kind, index = layer[:-1], layer[-1]
  variable = dict(LAYER_VARIABLES[kind])[variable]
  if not blocks:
    return f'conv{index}_{kind}/{variable}'
  stage, block = blocks
  return f'{stage.replace("stage", "conv")}_{block}_{index}_{kind}/{variable}'


def read_h5(path: str | os.PathLike) -> dict[str, np.ndarray]:
  """Reads every weight of a Keras `.h5` file.

  Args:
    path: The weights or the whole model in the older layout (`<layer>/<layer>/kernel:0`), which is
      what keras.applications hands out, or the `.weights.h5` of Keras 3 (`layers/conv2d/vars/0`).

  Returns:
    Arrays by `<layer>/<variable>`.

  Raises:
    ValueError: there is no such file, or it is not HDF5.
  """
  import h5py  # Only whoever loads such a file needs it.

  if not Path(path).is_file():
    raise ValueError(f'There is no weights file {path}.')
  if not h5py.is_hdf5(path):
    raise ValueError(f'{path} is not an HDF5 file: download it again, it may be cut short.')
  weights = {}
  with h5py.File(path, 'r') as file:
    if 'layers' in file:
      for group in file['layers'].values():
        layer = str(group['vars'].attrs.get('name', ''))
        names = LAYER_VARIABLES.get(layer.rpartition('_')[2], ())
        for (_, variable), place in zip(names, group['vars'].values()):
          weights[f'{layer}/{variable}'] = np.asarray(place)
      return weights
    for layer, group in file.get('model_weights', file).items():

      def take(name, item, layer=layer):
        if isinstance(item, h5py.Dataset):
          weights[f'{layer}/{name.rpartition("/")[2].partition(":")[0]}'] = np.asarray(item)

      if isinstance(group, h5py.Group):
        group.visititems(take)
  return weights


def load(path: str | os.PathLike, variables: Any) -> tuple[dict[str, Any], Transfer]:
  """Puts Keras's ResNet-50 ImageNet weights into a network's trunk.

  Args:
    path: `resnet50_weights_tf_dim_ordering_tf_kernels.h5` or the same with `_notop`, or any other
      `.h5` that Keras saved of `keras.applications.ResNet50`.
    variables: `params` and `batch_stats` of a network whose `trunk` is `resnet.ResNet(width=64,
      blocks=(3, 4, 6, 3))`.

  Returns:
    The variables with the trunk's replaced, float32; and the names: kept are ours that were found
    in the file, new are those of the head, dropped are the file's for the classifier of ImageNet.

  Raises:
    ValueError: the file is unreadable or not ResNet-50's, or the network is narrower or shallower.
  """
  weights = read_h5(path)
  ours = traverse_util.flatten_dict(dict(variables), sep='/')
  names = {name: keras_name(name) for name in ours if name.split('/')[1] == 'trunk'}
  dropped = tuple(sorted(name for name in weights if name.split('/')[0] in CLASSIFIERS))
  missing = sorted(set(names.values()) - weights.keys())
  surplus = sorted(weights.keys() - set(names.values()) - set(dropped))
  advice = (
    'take resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5 of keras.applications, and '
    'model.width = 64, model.blocks = (3, 4, 6, 3)'
  )
  if missing or surplus:
    which = f'lacks {missing[0]}' if missing else f'has {surplus[0]}, which the network lacks'
    raise ValueError(f'{path} does not fit the trunk (it {which}): {advice}.')
  for name, theirs in names.items():
    if weights[theirs].shape != ours[name].shape:
      raise ValueError(
        f'{theirs} is {weights[theirs].shape} in {path} and {ours[name].shape} in the network: '
        f'{advice}.'
      )
  taken = {name: jnp.asarray(weights[theirs], jnp.float32) for name, theirs in names.items()}
  transfer = Transfer(tuple(sorted(taken)), tuple(sorted(ours.keys() - taken.keys())), dropped)
  return traverse_util.unflatten_dict(ours | taken, sep='/'), transfer
