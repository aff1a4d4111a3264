"""VGG-16 as keras.applications.VGG16, or dilated as in DeepLab-V2 (Chen et al. 2018)."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn

from fmx.models.convolution import Conv, Dtype, is_tuned_for_cpu
from fmx.models.resnet import Features, max_pool

_STEM_CONVOLUTIONS = 2  # Of stage 1.
_WIDEST = 8  # Times the width, from stage 4 on.


def halve(x: jax.Array) -> jax.Array:
  """The 2x2 maximum of stride 2, as Keras has it: [N, H, W, C] to [N, H // 2, W // 2, C].

  On CPU it is taken of slices, as in `resnet.max_pool`.
  """
  if not is_tuned_for_cpu():
    return nn.max_pool(x, (2, 2), strides=(2, 2))
  rows, columns = (2 * (size // 2) for size in x.shape[1:3])
  x = jnp.maximum(x[:, 0:rows:2], x[:, 1:rows:2])
  return jnp.maximum(x[:, :, 0:columns:2], x[:, :, 1:columns:2])


def spread(x: jax.Array) -> jax.Array:
  """The 3x3 maximum of stride 1, DeepLab's in place of the fourth and the fifth: same shape."""
  if not is_tuned_for_cpu():
    return nn.max_pool(x, (3, 3), padding=((1, 1), (1, 1)))
  for axis in (1, 2):
    around = [(0, 0)] * axis + [(1, 1)] + [(0, 0)] * (3 - axis)
    padded = jnp.pad(x, around, constant_values=-jnp.inf)
    size = x.shape[axis]
    before, after = (
      jax.lax.slice_in_dim(padded, shift, shift + size, axis=axis) for shift in (0, 2)
    )
    x = jnp.maximum(jnp.maximum(before, x), after)
  return x


class Stage(nn.Module):
  """A chain of 3x3 convolutions, each with a ReLU; the maximum is whoever calls it's."""

  features: int
  convolutions: int
  dilation: int = 1
  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps [N, H, W, C_in] to [N, H, W, features]."""
    for index in range(1, self.convolutions + 1):
      conv = Conv(
        self.features, (3, 3), dilation=self.dilation, dtype=self.dtype, name=f'conv{index}'
      )
      x = nn.relu(conv(x))
    return x


class VGG(nn.Module):
  """The trunk: stages 1 to 5 of VGG, each with the maximum at its end; no batch norm.

  Attributes:
    width: Stage 2 has twice as many channels, stage 3 four times, later ones eight times; 64 is
      VGG-16's.
    blocks: Convolutions of stages 2 to 5, or 2 to 4; (2, 3, 3, 3) is VGG-16's. Stage 1 has two.
    stem: Channels of stage 1; 64 is VGG-16's.
    pool_margin: Of the 3x3 maxima of a dilated trunk; the plain one's are 2x2.
    dilate: Whether the trunk is DeepLab-V2's: maxima over 3x3, from the fourth on without a
      stride, and stage 5 dilated by 2. Else it is the original.
    dtype: Of the computation; parameters are float32.
    axis_name: Unused: there is no batch norm.
  """

  width: int = 64
  blocks: Sequence[int] = (2, 3, 3, 3)
  stem: int = 64
  pool_margin: Sequence[int] = (1, 1)
  dilate: bool = True
  dtype: Dtype = jnp.float32
  axis_name: str | None = None

  @staticmethod
  def top_stride(blocks: Sequence[int], dilate: bool) -> int:
    """Pixels per position of the last stage."""
    return 8 if dilate else 4 * 2 ** (len(blocks) - 1)

  @nn.compact
  def __call__(self, frames: jax.Array, train: bool = False) -> Features:
    """Computes the features of normalised frames.

    Args:
      frames: Output of `normalize`, [N, H, W, 3].
      train: Changes nothing here.

    Returns:
      What the maxima of stages 2 to 5, or 2 to 4, leave: strides 4, 8, 16 and 32, or 4, 8, 8 and
      8 of a dilated trunk; C = 2, 4, 8 and 8 times the width.
    """
    del train
    x = frames
    maps = []
    for stage, convolutions in enumerate((_STEM_CONVOLUTIONS, *self.blocks), start=1):
      features = self.stem if stage == 1 else self.width * min(2 ** (stage - 1), _WIDEST)
      dilation = 2 if self.dilate and stage == 5 else 1
      x = Stage(features, convolutions, dilation, self.dtype, name=f'stage{stage}')(x)
      if not self.dilate:
        x = halve(x)
      else:
        x = max_pool(x, self.pool_margin) if stage < 4 else spread(x)
      maps.append(x)
    return Features(*maps[1:])
