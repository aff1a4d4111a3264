"""The FCNs and the ConvLSTM-FCN: trunk, head, up-sampling (section 3.1, Tables 1 and 2)."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn

from fmx.models.baseline_heads import BASELINE_HEADS
from fmx.models.conv_lstm import initial_carry
from fmx.models.convolution import Dtype
from fmx.models.gated_memory import initial_gated_carry
from fmx.models.heads import CoarseHead, FineHead, Head, State
from fmx.models.resnet import ResNet, normalize
from fmx.models.upsampling import upsample
from fmx.models.vgg import VGG


@jax.jit
def probabilities(logits: jax.Array) -> jax.Array:
  """Those of the classes, which sum to 1 over the last axis, [..., K]."""
  return jax.nn.softmax(logits)


TRUNKS: dict[str, type[ResNet] | type[VGG]] = {'resnet50': ResNet, 'vgg16': VGG}
WITH_MEMORY: dict[str, Callable[..., Head]] = {'coarse': CoarseHead, 'fine': FineHead}  # ConvLSTMs.
HEADS = WITH_MEMORY | BASELINE_HEADS
MEMORIES = ('top', 'fine')  # The paper's ConvLSTM; gates at the finer strides of the fine head.


class Segmenter(nn.Module):
  """The FCN (`temporal=False`) or the ConvLSTM-FCN (`temporal=True`), from frames to logits.

  Attributes:
    num_classes: K, background included.
    temporal: Whether frames of a clip see the frames before them, through a memory.
    memory: Which: one of MEMORIES.
    head: A key of HEADS; those beyond WITH_MEMORY are for `temporal=False` alone.
    trunk: A key of TRUNKS, whose classes say what the five options that follow mean.
    width: Of stage 2; 64 is ResNet-50's and VGG-16's.
    blocks: In stages 2 to 5, or 2 to 4; (3, 4, 6, 3) is ResNet-50's, (2, 3, 3, 3) VGG-16's.
    stem: Channels of stage 1; 64 is that of both.
    pool_margin: Of the trunk's 3x3 maxima.
    dilate: Whether the last stages keep the stride of one before by dilation, as in the paper.
    head_features: Channels of the fine head, or of fc6 and fc7 of the baselines' heads.
    kernel_size: Of the ConvLSTM, and of the convolution that has its input in the FCN.
    peepholes: Whether the ConvLSTM has Eq. 1's peephole terms, which bind it to one size of frames.
    dtype: Of the computation; parameters, recurrence, classifier and logits are float32.
    axis_name: The pmapped axis whose devices share the batch, if any.
  """

  num_classes: int
  temporal: bool
  memory: str = 'top'
  head: str = 'coarse'
  trunk: str = 'resnet50'
  width: int = 64
  blocks: Sequence[int] = (3, 4, 6, 3)
  stem: int = 64
  pool_margin: Sequence[int] = (1, 1)
  dilate: bool = True
  head_features: int = 64
  kernel_size: Sequence[int] = (1, 1)
  peepholes: bool = True
  dtype: Dtype = jnp.float32
  axis_name: str | None = None

  @property
  def top_stride(self) -> int:
    """Pixels per position of the trunk's last stage, where the ConvLSTM works."""
    return TRUNKS[self.trunk].top_stride(self.blocks, self.dilate)

  @nn.compact
  def __call__(
    self, video: jax.Array, carry: State | None = None, train: bool = False
  ) -> tuple[jax.Array, State | None]:
    """Labels the pixels of clips; stills are clips of one frame.

    Args:
      video: RGB in [0, 255], uint8 or float, [B, T, H, W, 3].
      carry: State left by the previous clip of the same videos; None to start from zeros, and for
        the FCN, which hands it back untouched.
      train: Whether batch norm uses the batch's statistics and adds them to its averages (then
        `mutable=['batch_stats']`); else it uses the averages.

    Returns:
      The logits [B, T, H, W, K], float32, and the state after the last frame.
    """
    clips, length, *size, _ = video.shape
    frames = normalize(video.reshape(clips * length, *size, -1))
    shared = {'dtype': self.dtype, 'axis_name': self.axis_name}
    trunk = TRUNKS[self.trunk](
      self.width, self.blocks, self.stem, self.pool_margin, self.dilate, **shared, name='trunk'
    )
    maps = trunk(frames, train)
    head = HEADS[self.head](
      self.num_classes,
      self.temporal,
      self.memory,
      self.head_features,
      self.kernel_size,
      self.peepholes,
      **shared,
      name='head',
    )
    carry, logits = head(maps, clips, carry, train)
    logits = upsample(logits, tuple(size))
    return logits.reshape(clips, length, *size, -1), carry

  def initial_carry(self, clips: int, size: Sequence[int]) -> State | None:
    """The zeros that `carry=None` stands for; None for the FCN.

    Args:
      clips: B.
      size: H and W of the frames, in pixels.
    """
    if not self.temporal:
      return None
    if self.memory == 'fine':
      return initial_gated_carry(clips, size, self.head_features)
    features = self.num_classes if self.head == 'coarse' else self.head_features
    return initial_carry((clips, *(-(-side // self.top_stride) for side in size), features))
