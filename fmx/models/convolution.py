"""Convolution by whichever of XLA's operations is fastest, with the same parameters either way."""

import contextlib
import contextvars
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from fmx.models.stride_1 import convolved

Dtype = Any
_FEW_CHANNELS = 4  # Up to which a strided convolution is faster over blocks: those of images.
_plainly = contextvars.ContextVar('plainly', default=False)


@contextlib.contextmanager
def plain() -> Iterator[None]:
  """Has networks that are traced inside made of the plainest operations, whatever the backend.

  Programs for other runtimes are made of those: one operation for a convolution or a maximum, which
  the runtime tunes itself.
  """
  token = _plainly.set(True)
  try:
    yield
  finally:
    _plainly.reset(token)


def is_tuned_for_cpu() -> bool:
  """Whether operations are put in the way that XLA is fastest with on a CPU."""
  return jax.default_backend() == 'cpu' and not _plainly.get()


def direct(x: jax.Array, kernel: jax.Array, *, stride: int = 1, dilation: int = 1) -> jax.Array:
  """The convolution as one `lax.conv`, zero-padded by half the (dilated) kernel on each side.

  For an odd kernel and stride 1 that is 'same' padding; for the 7x7 of stride 2 it is Keras's
  padding of 3.

  Args:
    x: Features [N, H, W, C_in].
    kernel: Weights [k_h, k_w, C_in, C_out], k odd.
    stride: Step between outputs, in positions.
    dilation: Step between the kernel's taps, in positions.

  Returns:
    Features [N, ceil(H / stride), ceil(W / stride), C_out], in the dtype of the inputs.
  """
  return lax.conv_general_dilated(
    x,
    kernel,
    window_strides=(stride, stride),
    padding=[(dilation * (size // 2),) * 2 for size in kernel.shape[:2]],
    rhs_dilation=(dilation, dilation),
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
  )


def pointwise(x: jax.Array, kernel: jax.Array, *, stride: int = 1) -> jax.Array:
  """A 1x1 convolution as a matrix product; shapes as in `direct`."""
  return _product(x[:, ::stride, ::stride], kernel[0, 0])


@jax.custom_vjp
def _product(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """Each position's features [..., C_in] times the kernel [C_in, C_out].

  The kernel's gradient is written by hand: of JAX's own, the output's gradient times the features
  and the result transposed, XLA makes a copy of the former and a product that takes twice as long.
  """
  return x @ kernel


def _product_forward(
  x: jax.Array, kernel: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
  return x @ kernel, (x, kernel)


def _product_backward(
  inputs: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
  x, kernel = inputs
  rows = x.reshape(-1, x.shape[-1])
  return gradient @ kernel.T, rows.T @ gradient.reshape(-1, gradient.shape[-1])


_product.defvjp(_product_forward, _product_backward)


def windowed(x: jax.Array, kernel: jax.Array, *, dilation: int = 1) -> jax.Array:
  """`direct` of stride 1, as `stride_1` has it."""
  margin = tuple((dilation * (size // 2),) * 2 for size in kernel.shape[:2])
  return convolved(x, kernel, margin, dilation)


def blocked(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """A convolution of stride 2 as one of stride 1 over blocks of 2x2 positions; as in `direct`.

  The positions of a block become channels (space to depth). The kernel gets a row and a column of
  zeros before or behind, so that its taps come out even.
  """
  n, h, w, c = x.shape
  size = kernel.shape[0]
  before = (size // 2) % 2  # Whether the first tap is the second position of its block.
  pad = [(before, (size + before) % 2)] * 2
  kernel = jnp.pad(kernel, [*pad, (0, 0), (0, 0)])
  taps = kernel.shape[0] // 2
  kernel = kernel.reshape(taps, 2, taps, 2, c, -1).transpose(0, 2, 1, 3, 4, 5)
  rows, columns = -(-h // 2), -(-w // 2)
  x = jnp.pad(x, ((0, 0), (0, 2 * rows - h), (0, 2 * columns - w), (0, 0)))
  x = x.reshape(n, rows, 2, columns, 2, c).transpose(0, 1, 3, 2, 4, 5)
  first = (size // 2 + before) // 2  # Blocks from the first tap to the output's own.
  margin = ((first, taps - 1 - first),) * 2
  x, kernel = x.reshape(n, rows, columns, 4 * c), kernel.reshape(taps, taps, 4 * c, -1)
  return convolved(x, kernel, margin)


def convolve(x: jax.Array, kernel: jax.Array, *, stride: int = 1, dilation: int = 1) -> jax.Array:
  """`direct`, computed in the way that is fastest on the default backend.

  On CPU, forward and backward, a matrix product takes 0.2 to 0.6 of the time of the 1x1
  `lax.conv`, and blocks a tenth of the time of a 7x7 of stride 2 over three channels (a fifth of
  that of its kernel's gradient); of what `stride_1` gains docs/speed.md has the numbers.
  Other backends get what their libraries tune: `lax.conv`.

  Args:
    x: Features [N, H, W, C_in].
    kernel: Weights [k_h, k_w, C_in, C_out], k odd.
    stride: Step between outputs, in positions.
    dilation: Step between the kernel's taps, in positions.

  Returns:
    Features [N, ceil(H / stride), ceil(W / stride), C_out].
  """
  if is_tuned_for_cpu():
    if kernel.shape[:2] == (1, 1):
      return pointwise(x, kernel, stride=stride)
    if stride == 1:
      return windowed(x, kernel, dilation=dilation)
    if stride == 2 and dilation == 1 and x.shape[-1] <= _FEW_CHANNELS:
      return blocked(x, kernel)
  return direct(x, kernel, stride=stride, dilation=dilation)


class Conv(nn.Module):
  """A 2-D convolution; parameters float32: `kernel` [k_h, k_w, C_in, C_out], `bias` [C_out]."""

  features: int
  kernel_size: Sequence[int] = (1, 1)
  stride: int = 1
  dilation: int = 1
  use_bias: bool = True
  dtype: Dtype = jnp.float32  # Of the computation and the output.
  kernel_init: Callable[..., jax.Array] = nn.initializers.he_normal()
  bias_init: Callable[..., jax.Array] = nn.initializers.zeros_init()

  def __call__(self, x: jax.Array) -> jax.Array:
    """Convolves features [N, H, W, C_in] to [N, ceil(H / stride), ceil(W / stride), C_out]."""
    x, bias = self.without_bias(x)
    return x if bias is None else x + bias.astype(self.dtype)

  @nn.compact
  def without_bias(self, x: jax.Array) -> tuple[jax.Array, jax.Array | None]:
    """The same before the bias is added, and the bias (None without one), for `BatchNorm`."""
    shape = (*self.kernel_size, x.shape[-1], self.features)
    kernel = self.param('kernel', self.kernel_init, shape, jnp.float32)
    x = convolve(
      x.astype(self.dtype), kernel.astype(self.dtype), stride=self.stride, dilation=self.dilation
    )
    if not self.use_bias:
      return x, None
    return x, self.param('bias', self.bias_init, (self.features,), jnp.float32)
