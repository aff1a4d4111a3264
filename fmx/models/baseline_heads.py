"""The heads of the paper's baselines: FCN-VGG16's, with its skips, and DeepLab-V2's ASPP."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn

from fmx.models.convolution import Conv, Dtype
from fmx.models.heads import Head, State
from fmx.models.resnet import Features
from fmx.models.upsampling import upsample

DROPOUT = 0.5  # Share of the values of fc6 and fc7 that training drops, in both papers.
# Of ASPP's branches (ASPP-L in Chen et al. 2018), in positions of stride 8.
RATES = (6, 12, 18, 24)
_deeplab_init = nn.initializers.normal(0.01)  # As in DeepLab's definition of the network.


class SkipHead(Head):
  """FCN-32s, -16s and -8s (Long et al. 2015): VGG's classifier as convolutions, and skips.

  The scores of finer stages are summed on the way up. Their convolutions begin at zero, so that
  they do not disturb what training begins with.

  Attributes:
    finest: Stride of the finest scores, in pixels: 32, 16 or 8.
  """

  finest: int = 32

  @nn.compact
  def __call__(
    self, maps: Features, clips: int, carry: State | None, train: bool
  ) -> tuple[State | None, jax.Array]:
    """Gives the carry and the logits [B * T, H / finest, W / finest, K] of an undilated trunk."""
    del clips
    conv = functools.partial(Conv, self.features, dtype=self.dtype)
    x = maps.top
    for name, size in (('fc6', (7, 7)), ('fc7', (1, 1))):
      x = nn.relu(conv(kernel_size=size, name=name)(x))
      x = nn.Dropout(DROPOUT, deterministic=not train)(x)
    scores = Conv(self.num_classes, dtype=jnp.float32, name='conv6')(x)
    zeros = nn.initializers.zeros_init()
    for stride, skip in ((16, maps.stage4), (8, maps.stage3)):
      if stride >= self.finest:
        finer = Conv(self.num_classes, kernel_init=zeros, dtype=jnp.float32, name=f'score{stride}')
        scores = upsample(scores, skip.shape[1:3]) + finer(skip)
    return carry, scores


class Branch(nn.Module):
  """One branch of ASPP: fc6, 3x3 and dilated, fc7 and the scores."""

  features: int
  num_classes: int
  rate: int
  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Maps [N, h, w, C] to scores [N, h, w, K], float32."""
    conv = functools.partial(Conv, self.features, dtype=self.dtype)
    for fc in (conv(kernel_size=(3, 3), dilation=self.rate, name='fc6'), conv(name='fc7')):
      x = nn.Dropout(DROPOUT, deterministic=not train)(nn.relu(fc(x)))
    return Conv(self.num_classes, kernel_init=_deeplab_init, dtype=jnp.float32, name='fc8')(x)


class ASPPHead(Head):
  """DeepLab-V2's atrous spatial pyramid pooling: the sum of the scores of four branches."""

  @nn.compact
  def __call__(
    self, maps: Features, clips: int, carry: State | None, train: bool
  ) -> tuple[State | None, jax.Array]:
    """Gives the carry and the logits [B * T, H / 8, W / 8, K], or of the trunk's last stride."""
    del clips
    branches = (
      Branch(self.features, self.num_classes, rate, self.dtype, name=f'branch{rate}')
      for rate in RATES
    )
    scores = [branch(maps.top, train) for branch in branches]
    return carry, functools.reduce(jnp.add, scores)


BASELINE_HEADS: dict[str, Callable[..., Head]] = {
  'fcn32': functools.partial(SkipHead, finest=32),
  'fcn16': functools.partial(SkipHead, finest=16),
  'fcn8': functools.partial(SkipHead, finest=8),
  'aspp': ASPPHead,
}
