"""What becomes of the features of a trunk: the paper's head, and a finer one of ours."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn

from fmx.models.conv_lstm import Carry, ConvLSTM
from fmx.models.convolution import Conv, Dtype
from fmx.models.gated_memory import GatedCarry, GatedMemory
from fmx.models.resnet import Features, batch_norm
from fmx.models.upsampling import upsample

State = Carry | GatedCarry  # Of a network with a memory, between two frames.


class Head(nn.Module):
  """What every head needs to know; subclasses say in `__call__` how features become logits.

  Attributes:
    num_classes: K, background included.
    temporal: Whether there is a memory.
    place: Of the memory: 'top', the ConvLSTM, or 'fine', the gates.
    features: Channels of the fine head, or of fc6 and fc7 of the baselines' heads.
    kernel_size: Of the ConvLSTM, and of the convolution that has its input in the FCN.
    peepholes: Whether the ConvLSTM has Eq. 1's peephole terms.
    dtype: Of the computation; the ConvLSTM's recurrence and the classifier are float32.
    axis_name: The pmapped axis whose devices share the batch, if any.
  """

  num_classes: int
  temporal: bool
  place: str = 'top'
  features: int = 64
  kernel_size: Sequence[int] = (1, 1)
  peepholes: bool = True
  dtype: Dtype = jnp.float32
  axis_name: str | None = None

  def conv_lstm(self, x: jax.Array, features: int, clips: int, carry: State | None) -> tuple:
    """The ConvLSTM over the frames of each clip.

    Args:
      x: [B * T, h, w, C_in].
      features: C.
      clips: B.
      carry: Its state, or None.

    Returns:
      The carry and the hidden states [B * T, h, w, C].
    """
    module = ConvLSTM(features, self.kernel_size, self.peepholes, self.dtype, name='convlstm')
    assert not isinstance(carry, GatedCarry)
    carry, hidden = module(x.reshape(clips, -1, *x.shape[1:]), carry)
    return carry, hidden.reshape(-1, *hidden.shape[2:])


class CoarseHead(Head):
  """The paper's: `conv6`, or the ConvLSTM whose hidden states are the logits, at the top stride."""

  @nn.compact
  def __call__(
    self, maps: Features, clips: int, carry: State | None, train: bool
  ) -> tuple[State | None, jax.Array]:
    """Gives the carry and the logits [B * T, H / 16, W / 16, K], or of the trunk's last stride."""
    del train
    if self.temporal:
      return self.conv_lstm(maps.top, self.num_classes, clips, carry)
    return carry, Conv(self.num_classes, self.kernel_size, name='conv6')(maps.top)


class FineHead(Head):
  """Ours: the top features go up to stride 4, summed on the way with those of each finer stride.

  The ConvLSTM adds to the top features rather than take their place: its hidden states pass a
  convolution that begins at zero, so the ConvLSTM-FCN begins as the FCN that it was made from. The
  gates work on the features at strides 8 and 4, behind the convolutions there.
  """

  @nn.compact
  def __call__(
    self, maps: Features, clips: int, carry: State | None, train: bool
  ) -> tuple[State | None, jax.Array]:
    """Gives the carry and the logits [B * T, H / 4, W / 4, K]."""
    conv = functools.partial(Conv, self.features, dtype=self.dtype)
    norm = batch_norm(train=train, dtype=self.dtype, axis_name=self.axis_name)
    has_gates = self.temporal and self.place == 'fine'
    x = conv(kernel_size=self.kernel_size, name='top')(maps.top)
    if self.temporal and not has_gates:
      carry, hidden = self.conv_lstm(maps.top, self.features, clips, carry)
      x += conv(kernel_init=nn.initializers.zeros_init(), name='memory')(hidden)
    after: dict[str, jax.Array] = {}
    for stride, skip in ((16, maps.stage4), (8, maps.stage3), (4, maps.stage2)):
      if skip.shape[1:3] != maps.top.shape[1:3]:  # Else the top is as fine already.
        x = upsample(x, skip.shape[1:3]) + conv(name=f'skip{stride}')(skip)
        finer = conv(kernel_size=(3, 3), name=f'conv{stride}')
        x = nn.relu(norm(name=f'bn{stride}')(*finer.without_bias(x)))
      if has_gates and (name := f'stride{stride}') in GatedCarry._fields:
        before = (getattr(carry, name), carry.known) if isinstance(carry, GatedCarry) else None
        gates = GatedMemory(
          self.features, stride=8 // stride, dtype=self.dtype, name=f'memory{stride}'
        )
        (after[name], after['known']), x = gates(x.reshape(clips, -1, *x.shape[1:]), before)
        x = x.reshape(-1, *x.shape[2:])
    if has_gates:
      carry = GatedCarry(**after)
    return carry, Conv(self.num_classes, dtype=jnp.float32, name='classifier')(x)
