"""Convolutions of stride 1, and the gradients of their kernels, put as XLA is quick with on a CPU.

Which way is fastest depends on the sizes; docs/speed.md has what was measured.
"""

import contextlib
import contextvars
import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
from jax import lax

Margin = tuple[tuple[int, int], ...]  # Zeros before and behind rows, and columns.
_LARGE_FRAME = 1000  # Positions from which a kernel's gradient is summed frame by frame,
_MOST_GROUPS = 16  # or in so many groups of frames, as each takes some time to compile.
# Since when XLA's library (YNNPACK) is quicker with few channels, and slower with many.
IS_SINCE_0_11 = jax.__version_info__ >= (0, 11)
_MANY_FEATURES, _GROUP = 256, 64  # So many features are computed in groups of so many then,
_WIDE, _MANY = 96, 2000  # and from such channels and positions a kernel's gradient as products.
_looping = contextvars.ContextVar('looping', default=False)


@contextlib.contextmanager
def looping() -> Iterator[None]:
  """Has what is traced inside made for the body of a loop (`lax.scan`)."""
  token = _looping.set(True)
  try:
    yield
  finally:
    _looping.reset(token)


def convolved(x: jax.Array, kernel: jax.Array, margin: Margin, dilation: int = 1) -> jax.Array:
  """A convolution of stride 1.

  Args:
    x: Features [N, H, W, C_in].
    kernel: Weights [k_h, k_w, C_in, C_out].
    margin: Zeros before and behind the rows, and the columns.
    dilation: Step between the kernel's taps, in positions.

  Returns:
    Features [N, H', W', C_out], as `lax.conv_general_dilated` gives them.
  """
  return _convolved(x, kernel, margin, dilation, _looping.get())


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _convolved(
  x: jax.Array, kernel: jax.Array, margin: Margin, dilation: int, in_loop: bool
) -> jax.Array:
  del in_loop
  return _by_features(x, kernel, margin, dilation)


def _forward(
  x: jax.Array, kernel: jax.Array, margin: Margin, dilation: int, in_loop: bool
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
  return _convolved(x, kernel, margin, dilation, in_loop), (x, kernel)


def _backward(
  margin: Margin,
  dilation: int,
  in_loop: bool,
  inputs: tuple[jax.Array, jax.Array],
  gradient: jax.Array,
) -> tuple[jax.Array, jax.Array]:
  x, kernel = inputs
  turned = jnp.swapaxes(kernel[::-1, ::-1], 2, 3)
  reaches = [dilation * (size - 1) for size in kernel.shape[:2]]
  left = tuple((reach - a, reach - b) for reach, (a, b) in zip(reaches, margin))
  of_x = _by_features(gradient, turned, left, dilation)
  return of_x, _kernel_gradient(x, kernel, margin, dilation, in_loop, gradient)


_convolved.defvjp(_forward, _backward)


def _kernel_gradient(
  x: jax.Array,
  kernel: jax.Array,
  margin: Margin,
  dilation: int,
  in_loop: bool,
  gradient: jax.Array,
) -> jax.Array:
  """The gradient of a kernel.

  XLA has it as a convolution whose window is a whole frame, which it computes at a quarter of the
  speed of others where frames are large; frame by frame it is quick. In a loop it computes that
  without any library, at a fiftieth; there products are quick.
  """
  number, height, width = gradient.shape[:3]
  is_large = height * width >= _LARGE_FRAME
  is_wide = IS_SINCE_0_11 and number * height * width >= _MANY and min(kernel.shape[2:]) >= _WIDE
  if in_loop or (is_wide and not is_large):
    return _by_taps(x, kernel, margin, dilation, gradient)
  size = -(-number // _MOST_GROUPS) if is_large else number
  groups = []
  for first in range(0, number, size):
    some = slice(first, first + size)
    of_group = functools.partial(_plain, x[some], margin=margin, dilation=dilation)
    groups += jax.linear_transpose(of_group, kernel)(gradient[some])
  return functools.reduce(jnp.add, groups)


def _by_taps(
  x: jax.Array, kernel: jax.Array, margin: Margin, dilation: int, gradient: jax.Array
) -> jax.Array:
  """The gradient of a kernel as one matrix product for each of its taps."""
  x = jnp.pad(x, ((0, 0), *margin, (0, 0)))
  rows, columns, channels, features = kernel.shape
  height, width = gradient.shape[1:3]
  flat = gradient.reshape(-1, features)

  def of_tap(row: int, column: int) -> jax.Array:
    seen = x[:, row * dilation :, column * dilation :][:, :height, :width]
    return seen.reshape(-1, channels).T @ flat

  return jnp.stack(
    [jnp.stack([of_tap(row, column) for column in range(columns)]) for row in range(rows)]
  )


def _by_features(x: jax.Array, kernel: jax.Array, margin: Margin, dilation: int) -> jax.Array:
  """The convolution in groups of features, where those are many."""
  features = kernel.shape[-1]
  size = _GROUP if IS_SINCE_0_11 and features >= _MANY_FEATURES else features
  groups = [kernel[..., first : first + size] for first in range(0, features, size)]
  return jnp.concatenate([_plain(x, group, margin, dilation) for group in groups], axis=-1)


def _plain(x: jax.Array, kernel: jax.Array, margin: Margin, dilation: int) -> jax.Array:
  return lax.conv_general_dilated(
    x,
    kernel,
    window_strides=(1, 1),
    padding=margin,
    rhs_dilation=(dilation, dilation),
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
  )
