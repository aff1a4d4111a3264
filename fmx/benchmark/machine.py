"""What a machine can do at best: matrix products, and reading and writing memory."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from fmx.benchmark.meter import time_calls

_SIDE = {'cpu': 1536}  # Of the matrices; elsewhere _LARGE.
_LARGE = 8192
_MEGABYTES = {'cpu': 256}
_MANY = 1024
_STEPS = 7


class Machine(NamedTuple):
  """One device as it was measured.

  Attributes:
    device: Its name.
    number: How many of them there are.
    flops: Floating-point operations a second in products of large matrices of `dtype`.
    bandwidth: Bytes a second, read and written, of an array that no cache holds.
    dtype: Of the products.
  """

  device: str
  number: int
  flops: float
  bandwidth: float
  dtype: str

  def shares(self, flops: float, moved: float, seconds: float) -> tuple[float, float]:
    """Which shares of the two rates something reaches that takes so long."""
    return flops / seconds / self.flops, moved / seconds / self.bandwidth


def measure(dtype: str) -> Machine:
  """Measures the first device; takes seconds.

  Args:
    dtype: 'float32' or 'bfloat16', as the networks compute.
  """
  device = jax.local_devices()[0]
  side = _SIDE.get(device.platform, _LARGE)
  # Random numbers: a GPU is quicker at products of equal ones, which take it less power.
  matrix = jax.random.normal(jax.random.key(0), (side, side), dtype)
  product = jax.jit(jnp.matmul)
  flops = 2 * side**3 / min(time_calls(lambda: product(matrix, matrix), _STEPS).seconds)
  array = jnp.zeros(_MEGABYTES.get(device.platform, _MANY) * 2**18, jnp.float32)
  more = jax.jit(lambda x: x + 1)
  bandwidth = 2 * array.nbytes / min(time_calls(lambda: more(array), _STEPS).seconds)
  return Machine(device.device_kind, len(jax.devices()), flops, bandwidth, dtype)
