"""ResNet-50 v1, as keras.applications.ResNet50, with dilation instead of stride in stage 5."""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from fmx.models.convolution import Conv, Dtype, is_tuned_for_cpu
from fmx.models.normalization import BatchNorm

MEAN_BGR = (103.939, 116.779, 123.68)  # Of ImageNet, as Keras's 'caffe' mode subtracts it.
MOMENTUM = 0.95
EPSILON = 1.001e-5


class Features(NamedTuple):
  """What the trunk gives: one map per stage, [N, H / stride, W / stride, C]."""

  # Strides and channels are ResNet's; `vgg.VGG` says which are its own.
  stage2: jax.Array  # Stride 4, C = 4 * width.
  stage3: jax.Array  # Stride 8, C = 8 * width.
  stage4: jax.Array  # Stride 16, C = 16 * width.
  stage5: jax.Array | None = None  # Stride 16 with dilation, 32 without; C = 32 * width.

  @property
  def top(self) -> jax.Array:
    """The map of the last stage."""
    return self.stage4 if self.stage5 is None else self.stage5


def normalize(video: jax.Array) -> jax.Array:
  """RGB in [0, 255], uint8 or float [..., 3], to float32 BGR minus ImageNet's mean, unscaled."""
  return jnp.flip(video, -1).astype(jnp.float32) - jnp.asarray(MEAN_BGR, jnp.float32)


def batch_norm(*, train: bool, dtype: Dtype, axis_name: str | None) -> Callable[..., BatchNorm]:
  """The batch normalisation of the whole network, still to be given its name.

  Args:
    train: Whether to use and update the averages with the batch's statistics, or to use the running
      averages.
    dtype: Of the output; statistics are float32.
    axis_name: The pmapped axis whose devices share the batch, if any.
  """
  return functools.partial(
    BatchNorm,
    use_running_average=not train,
    momentum=MOMENTUM,
    epsilon=EPSILON,
    dtype=dtype,
    axis_name=axis_name,
  )


def max_pool(x: jax.Array, margin: Sequence[int] = (1, 1)) -> jax.Array:
  """The 3x3 maximum of stride 2: [N, H, W, C] to [N, ceil(H / 2), ceil(W / 2), C].

  On CPU it is taken over rows, then over columns, of shifted slices: the gradient of
  `reduce_window` (select-and-scatter) takes six times as long there. Ties share the gradient
  instead of giving it to the first; behind a ReLU those are zeros, where nothing flows back.

  Args:
    x: Features; with a margin of (0, 1) H and W must be even.
    margin: Positions before the first and behind the last row and column.
  """
  margin = tuple(margin)
  if not is_tuned_for_cpu():
    return nn.max_pool(x, (3, 3), strides=(2, 2), padding=(margin, margin))
  for axis in (1, 2):
    size = x.shape[axis] + sum(margin)
    around = [(0, 0)] * axis + [margin] + [(0, 0)] * (3 - axis)
    x = jnp.pad(x, around, constant_values=-jnp.inf)
    last = 2 * ((size - 3) // 2)  # Start of the last window in the padded axis.
    first, second, third = (
      jax.lax.slice_in_dim(x, shift, shift + last + 1, stride=2, axis=axis) for shift in range(3)
    )
    x = jnp.maximum(jnp.maximum(first, second), third)
  return x


class Bottleneck(nn.Module):
  """1x1 (with the stride), 3x3, 1x1 to 4 * features, plus the shortcut; each with batch norm."""

  features: int
  project: bool  # Whether the shortcut is a 1x1 convolution; else the identity.
  stride: int = 1
  dilation: int = 1
  dtype: Dtype = jnp.float32
  axis_name: str | None = None

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Maps [N, H, W, C_in] to [N, ceil(H / stride), ceil(W / stride), 4 * features]."""
    conv = functools.partial(Conv, dtype=self.dtype)
    norm = batch_norm(train=train, dtype=self.dtype, axis_name=self.axis_name)
    shortcut = x
    if self.project:
      conv0 = conv(4 * self.features, stride=self.stride, name='conv0')
      shortcut = norm(name='bn0')(*conv0.without_bias(x))
    conv1 = conv(self.features, stride=self.stride, name='conv1')
    x = nn.relu(norm(name='bn1')(*conv1.without_bias(x)))
    conv2 = conv(self.features, (3, 3), dilation=self.dilation, name='conv2')
    x = nn.relu(norm(name='bn2')(*conv2.without_bias(x)))
    conv3 = conv(4 * self.features, name='conv3')
    return nn.relu(shortcut + norm(name='bn3')(*conv3.without_bias(x)))


class Stage(nn.Module):
  """A chain of bottlenecks, the first of which has the stride and a convolution in its shortcut."""

  features: int
  blocks: int
  stride: int = 1
  dilation: int = 1
  dtype: Dtype = jnp.float32
  axis_name: str | None = None

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Maps [N, H, W, C_in] to [N, ceil(H / stride), ceil(W / stride), 4 * features]."""
    for block in range(1, self.blocks + 1):
      x = Bottleneck(
        self.features,
        project=block == 1,
        stride=self.stride if block == 1 else 1,
        dilation=self.dilation,
        dtype=self.dtype,
        axis_name=self.axis_name,
        name=f'block{block}',
      )(x, train)
    return x


class ResNet(nn.Module):
  """The trunk: stages 1 to 5 of ResNet v1, without the classifier.

  Attributes:
    width: Channels of the 3x3 convolutions of stage 2; 64 is ResNet-50's.
    blocks: Bottlenecks in stages 2 to 5, or 2 to 4; (3, 4, 6, 3) is ResNet-50's.
    stem: Channels of stage 1; 64 is ResNet-50's, of any width.
    pool_margin: Of the max-pool: (1, 1) as Keras has it, (0, 1) as Caffe.
    dilate: Whether stage 5 keeps the resolution and dilates its 3x3 convolutions by 2 (the paper),
      or has a stride (the original network).
    dtype: Of the computation; parameters and batch-norm averages are float32.
    axis_name: The pmapped axis whose devices share the batch, if any.
  """

  width: int = 64
  blocks: Sequence[int] = (3, 4, 6, 3)
  stem: int = 64
  pool_margin: Sequence[int] = (1, 1)
  dilate: bool = True
  dtype: Dtype = jnp.float32
  axis_name: str | None = None

  @staticmethod
  def top_stride(blocks: Sequence[int], dilate: bool) -> int:
    """Pixels per position of the last stage."""
    return 16 if dilate else 4 * 2 ** (len(blocks) - 1)

  @nn.compact
  def __call__(self, frames: jax.Array, train: bool = False) -> Features:
    """Computes the features of normalised frames.

    Args:
      frames: Output of `normalize`, [N, H, W, 3].
      train: Whether batch norm uses, and adds to its averages, the statistics of this batch.

    Returns:
      The maps of stages 2 to 5, or 2 to 4.
    """
    norm = batch_norm(train=train, dtype=self.dtype, axis_name=self.axis_name)
    conv1 = Conv(self.stem, (7, 7), stride=2, dtype=self.dtype, name='conv1')
    x = max_pool(nn.relu(norm(name='bn1')(*conv1.without_bias(frames))), self.pool_margin)
    maps = []
    for stage, blocks in enumerate(self.blocks, start=2):
      dilate = self.dilate and stage == 5
      x = Stage(
        self.width * 2 ** (stage - 2),
        blocks,
        stride=1 if stage == 2 or dilate else 2,
        dilation=2 if dilate else 1,
        dtype=self.dtype,
        axis_name=self.axis_name,
        name=f'stage{stage}',
      )(x, train)
      maps.append(x)
    return Features(*maps)
