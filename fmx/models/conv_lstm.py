"""The convolutional LSTM of Eq. 1 (Shi et al. 2015), peepholes included."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from fmx.models.convolution import Conv, Dtype
from fmx.models.stride_1 import looping


class Carry(NamedTuple):
  """The state between two frames of one video, float32, each [B, H, W, C]."""

  cell: jax.Array  # C_t.
  hidden: jax.Array  # H_t, in (-1, 1).


def initial_carry(shape: Sequence[int]) -> Carry:
  """The state before a video's first frame: zeros of the shape [B, H, W, C]."""
  return Carry(jnp.zeros(shape, jnp.float32), jnp.zeros(shape, jnp.float32))


def forget_bias_init(key: jax.Array, shape: Sequence[int], dtype: Dtype = jnp.float32) -> jax.Array:
  """The bias of the gates i, f, c, o [4C]: one for f, zero for the others.

  The paper is silent; this is the default of Keras (`unit_forget_bias`), in which the authors
  worked.
  """
  del key
  features = shape[0] // 4
  return jnp.zeros(shape, dtype).at[features : 2 * features].set(1)


class ConvLSTMCell(nn.Module):
  """One step of Eq. 1, after the convolution of the input.

  The peephole weights `w_ci`, `w_cf` and `w_co` [H, W, C] start from zero, so that a new cell is
  one without them.
  """

  features: int
  kernel_size: Sequence[int] = (1, 1)
  peepholes: bool = True

  @nn.compact
  def __call__(self, carry: Carry, gates: jax.Array) -> tuple[Carry, jax.Array]:
    """Takes one frame in.

    Args:
      carry: The state after the frame before.
      gates: W_x * X_t + b of the gates i, f, c, o, in this order, [B, H, W, 4C].

    Returns:
      The state after this frame, and its hidden state [B, H, W, C].
    """
    cell, hidden = carry
    gates = gates + Conv(
      4 * self.features,
      self.kernel_size,
      use_bias=False,
      kernel_init=nn.initializers.orthogonal(),
      name='recurrent',
    )(hidden)
    i, f, c, o = jnp.split(gates, 4, axis=-1)
    if self.peepholes:
      i = i + self._peephole('w_ci', cell)
      f = f + self._peephole('w_cf', cell)
    cell = nn.sigmoid(f) * cell + nn.sigmoid(i) * jnp.tanh(c)
    if self.peepholes:
      o = o + self._peephole('w_co', cell)
    hidden = nn.sigmoid(o) * jnp.tanh(cell)
    return Carry(cell, hidden), hidden

  def _peephole(self, name: str, cell: jax.Array) -> jax.Array:
    stored: jax.Array | None = self.get_variable('params', name)
    if stored is not None and stored.shape != cell.shape[1:]:
      raise ValueError(
        f'The peephole weights {name} are {stored.shape}, the features {cell.shape[1:]}: give '
        'the network frames of the size that it was built for, or train it with peepholes=False.'
      )
    return self.param(name, nn.initializers.zeros_init(), cell.shape[1:], jnp.float32) * cell


class ConvLSTM(nn.Module):
  """Runs one ConvLSTM cell over T and returns every hidden state.

  Weights start as in `keras.layers.ConvLSTM2D` (Glorot-uniform input kernel, orthogonal recurrent
  kernel, forget bias 1): the paper is silent. The input convolution runs in `dtype`; the recurrence
  is float32, because rounding errors would add up over a long video and it costs next to nothing.
  """

  features: int
  kernel_size: Sequence[int] = (1, 1)
  peepholes: bool = True
  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, carry: Carry | None = None) -> tuple[Carry, jax.Array]:
    """Scans the cell over time.

    Args:
      x: Features [B, T, H, W, C_in].
      carry: State left by the previous clip of the same video, or None to start from zeros.

    Returns:
      The state after the last frame, and the hidden states [B, T, H, W, C] in (-1, 1), float32.

    Raises:
      ValueError: the stored peephole weights have another H or W than x.
    """
    b, t, h, w, _ = x.shape
    gates = Conv(
      4 * self.features,
      self.kernel_size,
      dtype=self.dtype,
      kernel_init=nn.initializers.glorot_uniform(),
      bias_init=forget_bias_init,
      name='input',
    )(x.reshape(b * t, h, w, -1))  # All T at once.
    gates = gates.reshape(b, t, h, w, -1).astype(jnp.float32)
    if carry is None:
      carry = initial_carry((b, h, w, self.features))
    cell = nn.scan(
      ConvLSTMCell,
      variable_broadcast='params',
      split_rngs={'params': False},
      in_axes=1,
      out_axes=1,
    )(self.features, self.kernel_size, self.peepholes, name='cell')
    with looping():
      return cell(carry, gates)
