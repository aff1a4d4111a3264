"""A memory of features that a network has anyway: each frame's own, or those of frames before it.

Ours. The paper's ConvLSTM (`conv_lstm`) works at the top stride, where eyes, mouth and outline are
not to be seen any more, and has to learn features of its own.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from fmx.models.convolution import Conv, Dtype
from fmx.models.stride_1 import looping
from fmx.models.upsampling import upsample


class GatedCarry(NamedTuple):
  """The state between two frames of one video, float32."""

  stride8: jax.Array  # Features [B, H / 8, W / 8, C].
  stride4: jax.Array  # Features [B, H / 4, W / 4, C].
  known: jax.Array  # [B, 1, 1, 1]: 1 after a frame, 0 before the first.


def initial_gated_carry(clips: int, size: Sequence[int], features: int) -> GatedCarry:
  """The state before a video's first frame, all zeros.

  Args:
    clips: B.
    size: H and W of the frames, in pixels.
    features: C.
  """
  shapes = [(clips, *(-(-side // stride) for side in size), features) for stride in (8, 4)]
  return GatedCarry(*(jnp.zeros(shape, jnp.float32) for shape in (*shapes, (clips, 1, 1, 1))))


def gate_bias_init(key: jax.Array, shape: Sequence[int], dtype: Dtype = jnp.float32) -> jax.Array:
  """A gate that lets a twentieth of the past in, so that a new network is nearly the FCN."""
  del key
  return jnp.full(shape, -3, dtype)


class GatedCell(nn.Module):
  """One step of `GatedMemory`, after the convolution of the input."""

  features: int
  hidden: int
  stride: int

  @nn.compact
  def __call__(
    self, carry: tuple[jax.Array, jax.Array], frame: tuple[jax.Array, jax.Array]
  ) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
    """Takes one frame in.

    Args:
      carry: Features after the frame before [B, H, W, C], and whether there was one, [B, 1, 1, 1].
      frame: Features x_t [B, H, W, C], and W_x * x_t + b [B, H / stride, W / stride, hidden].

    Returns:
      The carry after this frame, and its features [B, H, W, C].
    """
    before, known = carry
    x, seen = frame
    recurrent = Conv(self.hidden, stride=self.stride, use_bias=False, name='recurrent')
    gate = Conv(
      self.features,
      (3, 3),
      kernel_init=nn.initializers.zeros_init(),
      bias_init=gate_bias_init,
      name='gate',
    )(nn.relu(seen + recurrent(before)))
    gate = upsample(gate, x.shape[1:3]) if self.stride > 1 else gate
    x = x + known * nn.sigmoid(gate) * (before - x)
    return (x, jnp.maximum(known, 1)), x


class GatedMemory(nn.Module):
  """The update gate of a ConvGRU (Ballas et al. 2016), whose candidate is what the frame says.

    z_t = σ(W_z * relu(W_x x_t + W_h h_{t-1} + b) + b_z)
    h_t = (1 - z_t) ∘ x_t + z_t ∘ h_{t-1},    h_1 = x_1

  What is remembered are features that the layers behind it know, so all there is to learn is where
  to trust which frame; and a first frame is what it is without a memory.

  Attributes:
    features: C.
    hidden: Channels out of which the gate is made.
    stride: Positions of the features to one of the gate, which is resized to theirs.
    dtype: Of the convolution of the input; the recurrence is float32.
  """

  features: int
  hidden: int = 32
  stride: int = 1
  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(
    self, x: jax.Array, carry: tuple[jax.Array, jax.Array] | None
  ) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
    """Scans the cell over time.

    Args:
      x: Features [B, T, H, W, C].
      carry: Features after the previous clip of the same videos [B, H, W, C] and whether there was
        one, [B, 1, 1, 1]; None for none.

    Returns:
      The same after the last frame, and the features of all frames [B, T, H, W, C], float32.
    """
    b, t, h, w, _ = x.shape
    seen = Conv(self.hidden, stride=self.stride, dtype=self.dtype, name='input')(
      x.reshape(b * t, h, w, -1)
    )
    seen = seen.reshape(b, t, *seen.shape[1:]).astype(jnp.float32)
    x = x.astype(jnp.float32)
    if carry is None:
      carry = jnp.zeros_like(x[:, 0]), jnp.zeros((b, 1, 1, 1), jnp.float32)
    cell = nn.scan(
      GatedCell,
      variable_broadcast='params',
      split_rngs={'params': False},
      in_axes=1,
      out_axes=1,
      # The check takes `upsample` apart, which exports know as a whole; making parameters needs it.
      check_constancy_invariants=self.is_initializing(),
    )(self.features, self.hidden, self.stride, name='cell')
    with looping():
      return cell(carry, (x, seen))
