"""The finder: a small fully convolutional network that sees where faces are in a whole frame.

Plain convolutions only: on CPUs XLA has no quick depthwise ones.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from fmx.models.convolution import Conv
from fmx.models.normalization import BatchNorm

STRIDE = 8  # Pixels of the frame from one cell of the output to the next.
MULTIPLE = 32  # Both sides of a frame must be multiples of it.
UNIT_SIZE = 32.0  # Pixels: the size of a face whose logarithm is 0.
# What a cell says: whether a face's centre is in it; and of that face the size, the centre and the
# five points. Centre and points count from the middle of the cell, in units of the size.
HEAT, SIZE, CENTRE, POINTS = slice(0, 1), slice(1, 2), slice(2, 4), slice(4, 14)
CHANNELS = 14
_PATCH = 4  # Pixels along the side of a patch of the stem.
_RARE = -4.6  # Logit of a probability of 0.01: few cells hold a centre.


class FinderNetwork(nn.Module):
  """From frames to what each cell says of the face whose centre it holds.

  Attributes:
    widths: Channels at the strides 4, 8, 16 and 32.
    blocks: Residual blocks there.
    features: Channels of the way back from stride 32 to 8, and of the head.
    axis_name: The pmapped axis whose devices share the batch, if any.
  """

  widths: tuple[int, int, int, int] = (32, 64, 96, 128)
  blocks: tuple[int, int, int, int] = (1, 1, 2, 3)
  features: int = 64
  axis_name: str | None = None

  @nn.compact
  def __call__(self, frames: jax.Array, *, train: bool = False) -> jax.Array:
    """Looks at frames.

    Args:
      frames: [N, H, W, 3] RGB in [0, 255], H and W multiples of MULTIPLE.
      train: Whether batch norm uses and averages the batch's statistics.

    Returns:
      float32 [N, H / STRIDE, W / STRIDE, CHANNELS]; HEAT is a logit, SIZE the logarithm of the size
      over UNIT_SIZE.
    """

    def unit(features: int, kernel: int, name: str, **options: Any) -> ConvUnit:
      return ConvUnit(features, kernel, train=train, axis_name=self.axis_name, name=name, **options)

    x = patches(frames.astype(jnp.float32) / 64.0 - 2.0)  # [N, H/4, W/4, 48]
    x = unit(self.widths[0], 1, 'stem')(x)
    stages = []
    for number, (width, blocks) in enumerate(zip(self.widths, self.blocks, strict=True), start=1):
      if number > 1:
        x = unit(width, 3, f'stage{number}_down', stride=2)(x)
      for block in range(1, blocks + 1):
        y = unit(width, 3, f'stage{number}_block{block}a')(x)
        y = unit(width, 3, f'stage{number}_block{block}b', active=False)(y)
        x = nn.relu(x + y)
      stages.append(x)
    x = unit(self.features, 1, 'top')(stages[3])  # [N, H/32, W/32, C]
    for number in (3, 2):
      lateral = unit(self.features, 1, f'lateral{number}', active=False)(stages[number - 1])
      x = unit(self.features, 3, f'merge{number}')(twice_as_large(x) + lateral)
    x = unit(self.features, 3, 'head')(x)  # [N, H/8, W/8, C]
    return Conv(CHANNELS, bias_init=_bias, name='output')(x)


class ConvUnit(nn.Module):
  """A convolution, batch norm, and ReLU where it is active."""

  features: int
  kernel: int
  train: bool
  stride: int = 1
  active: bool = True
  axis_name: str | None = None

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """From features [N, H, W, C_in] to [N, H / stride, W / stride, C]."""
    kernel_size = (self.kernel, self.kernel)
    x = Conv(self.features, kernel_size, self.stride, use_bias=False, name='conv')(x)
    x = BatchNorm(
      use_running_average=not self.train,
      momentum=0.98,
      axis_name=self.axis_name,
      name='norm',
    )(x)
    return nn.relu(x) if self.active else x


@jax.jit
def patches(frames: jax.Array) -> jax.Array:
  """The pixels of each patch as channels: [N, H, W, C] to [N, H / 4, W / 4, 16 C]."""
  n, h, w, c = frames.shape
  if h % MULTIPLE or w % MULTIPLE:
    raise ValueError(f'Frames are {h}x{w}; both sides must be multiples of {MULTIPLE}.')
  x = frames.reshape(n, h // _PATCH, _PATCH, w // _PATCH, _PATCH, c).transpose(0, 1, 3, 2, 4, 5)
  return x.reshape(n, h // _PATCH, w // _PATCH, _PATCH**2 * c)


@jax.jit
def twice_as_large(x: jax.Array) -> jax.Array:
  """Each position four times: [N, H, W, C] to [N, 2 H, 2 W, C]."""
  n, h, w, c = x.shape
  return jnp.broadcast_to(x[:, :, None, :, None], (n, h, 2, w, 2, c)).reshape(n, 2 * h, 2 * w, c)


def _bias(_: jax.Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> jax.Array:
  return jnp.zeros(shape, dtype).at[HEAT].set(_RARE)
