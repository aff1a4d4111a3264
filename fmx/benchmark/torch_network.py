"""The FCN once more in PyTorch, with the weights of ours: what speed is compared with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from flax import traverse_util
from torch import nn
from torch.nn import functional as F

from fmx.models.fcn import Segmenter
from fmx.models.resnet import EPSILON, MEAN_BGR, MOMENTUM

# What flax calls the arrays of a convolution and of a batch norm.
_NAMES = {
  'kernel': 'weight',
  'bias': 'bias',
  'scale': 'weight',
  'mean': 'running_mean',
  'var': 'running_var',
}


class Network(nn.Module):
  """The FCN: frames, uint8 [N, H, W, 3], to logits [N, K, H, W]; modules have the names of ours."""

  def __init__(self, network: Segmenter):
    """Takes the options of ours.

    Raises:
      ValueError: the network has a memory, which is not written here.
    """
    super().__init__()
    if network.temporal:
      raise ValueError('Only networks without a memory are compared with PyTorch.')
    self.trunk = Trunk(network)
    self.head = (FineHead if network.head == 'fine' else CoarseHead)(network)

  def forward(self, frames: torch.Tensor) -> torch.Tensor:
    """The logits."""
    x = frames.flip(-1).float() - torch.tensor(MEAN_BGR, device=frames.device)
    x = x.permute(0, 3, 1, 2)  # Channels lie last in memory still.
    return _upsample(self.head(self.trunk(x)), x.shape[2:])


class Trunk(nn.Module):
  """As `fmx.models.resnet.ResNet`."""

  def __init__(self, network: Segmenter):
    """Takes the options of ours."""
    super().__init__()
    self.margin = tuple(network.pool_margin)
    self.conv1, self.bn1 = _conv(3, network.stem, 7, stride=2), _norm(network.stem)
    self.stages, features_in = [], network.stem
    for number, blocks in enumerate(network.blocks, start=2):
      dilate = network.dilate and number == 5
      features = network.width * 2 ** (number - 2)
      stride = 1 if number == 2 or dilate else 2
      stage = nn.Sequential()
      for block in range(1, blocks + 1):
        made = Bottleneck(features_in, features, block == 1, stride, 2 if dilate else 1)
        stage.add_module(f'block{block}', made)
        features_in, stride = 4 * features, 1
      self.add_module(f'stage{number}', stage)
      self.stages.append(f'stage{number}')

  def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
    """The maps of the stages from the second on."""
    x = F.relu(self.bn1(self.conv1(x)))
    before, behind = self.margin
    if before == behind:
      x = F.max_pool2d(x, 3, 2, padding=before)
    else:
      x = F.max_pool2d(F.pad(x, (before, behind) * 2, value=-torch.inf), 3, 2)
    maps = []
    for name in self.stages:
      x = getattr(self, name)(x)
      maps.append(x)
    return maps


class Bottleneck(nn.Module):
  """As `fmx.models.resnet.Bottleneck`."""

  def __init__(self, features_in: int, features: int, project: bool, stride: int, dilation: int):
    """Takes channels, and where the stride and the dilation go."""
    super().__init__()
    if project:
      self.conv0 = _conv(features_in, 4 * features, stride=stride)
      self.bn0 = _norm(4 * features)
    self.conv1, self.bn1 = _conv(features_in, features, stride=stride), _norm(features)
    self.conv2, self.bn2 = _conv(features, features, 3, dilation=dilation), _norm(features)
    self.conv3, self.bn3 = _conv(features, 4 * features), _norm(4 * features)
    self.project = project

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    """Features to features."""
    shortcut = self.bn0(self.conv0(x)) if self.project else x
    x = F.relu(self.bn1(self.conv1(x)))
    x = F.relu(self.bn2(self.conv2(x)))
    return F.relu(shortcut + self.bn3(self.conv3(x)))


class CoarseHead(nn.Module):
  """As `fmx.models.fcn.CoarseHead`."""

  def __init__(self, network: Segmenter):
    """Takes the options of ours."""
    super().__init__()
    features_in = 4 * network.width * 2 ** (len(network.blocks) - 1)
    self.conv6 = _conv(features_in, network.num_classes, network.kernel_size[0])

  def forward(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
    """The maps to logits."""
    x = maps[-1]
    with torch.autocast(x.device.type, enabled=False):
      return self.conv6(x.float())


class FineHead(nn.Module):
  """As `fmx.models.fcn.FineHead`."""

  def __init__(self, network: Segmenter):
    """Takes the options of ours."""
    super().__init__()
    features, last = network.head_features, len(network.blocks) - 1
    self.top = _conv(4 * network.width * 2**last, features, network.kernel_size[0])
    self.skips = [(4 * 2**place, place) for place in (2, 1, 0) if 4 * 2**place < network.top_stride]
    for stride, place in self.skips:
      self.add_module(f'skip{stride}', _conv(4 * network.width * 2**place, features))
      self.add_module(f'conv{stride}', _conv(features, features, 3))
      self.add_module(f'bn{stride}', _norm(features))
    self.classifier = _conv(features, network.num_classes)

  def forward(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
    """The maps to logits."""
    x = self.top(maps[-1])
    for stride, place in self.skips:
      skip = getattr(self, f'skip{stride}')(maps[place])
      x = getattr(self, f'conv{stride}')(_upsample(x, skip.shape[2:]) + skip)
      x = F.relu(getattr(self, f'bn{stride}')(x))
    with torch.autocast(x.device.type, enabled=False):  # Ours is float32 there, too.
      return self.classifier(x.float())


def with_weights(network: Segmenter, variables: Mapping[str, Any]) -> Network:
  """The network in PyTorch, its memory laid out with the channels last.

  Args:
    network: Ours, without a memory.
    variables: Of it: 'params' and 'batch_stats'; every name and shape is checked.
  """
  flat = {}
  for path, value in traverse_util.flatten_dict(dict(variables)).items():
    array = np.array(value, np.float32)
    kernel = array.transpose(3, 2, 0, 1) if path[-1] == 'kernel' else array
    flat['.'.join((*path[1:-1], _NAMES[path[-1]]))] = torch.from_numpy(kernel.copy())
  made = Network(network)
  for name, value in made.state_dict().items():
    if name.endswith('num_batches_tracked'):  # Flax has none.
      flat[name] = value
  made.load_state_dict(flat)
  return made.to(memory_format=torch.channels_last)


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
  """As `fmx.losses.cross_entropy`: logits [N, K, H, W], labels int64 [N, H, W]."""
  return F.cross_entropy(logits, labels)


def cross_entropy_iou(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
  """As `fmx.losses.cross_entropy_iou` with its usual weight."""
  log_probs = F.log_softmax(logits, dim=1)
  probs, truth = log_probs.exp(), F.one_hot(labels, logits.shape[1]).permute(0, 3, 1, 2)
  shared, probable, labelled = (
    of_class.sum(dim=(0, 2, 3)) for of_class in (probs * truth, probs, truth)
  )
  present = (labelled > 0)[1:]
  iou = (shared / (probable + labelled - shared))[1:][present]
  lost = 1 - iou.mean() if len(iou) else 0.0
  return F.nll_loss(log_probs, labels) + 0.5 * lost


LOSSES: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
  'cross_entropy': cross_entropy,
  'cross_entropy_iou': cross_entropy_iou,
}


def _conv(
  features_in: int, features: int, size: int = 1, *, stride: int = 1, dilation: int = 1
) -> nn.Conv2d:
  around = dilation * (size // 2)
  return nn.Conv2d(features_in, features, size, stride, around, dilation)


def _norm(features: int) -> nn.BatchNorm2d:
  return nn.BatchNorm2d(features, eps=EPSILON, momentum=1 - MOMENTUM)


def _upsample(x: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
  return F.interpolate(x, size=tuple(size), mode='bilinear', align_corners=False)
