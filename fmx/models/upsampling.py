"""Features on a finer grid."""

import functools

import jax


# The jitted functions here, in `fcn` and in `finder` are known by their names where networks are
# written in other formats (`fmx.engines.onnx_operations`).
@functools.partial(jax.jit, static_argnums=1)
def upsample(x: jax.Array, size: tuple[int, int]) -> jax.Array:
  """Resizes [N, h, w, C] to [N, *size, C], bilinear with half-pixel centres; the border repeats."""
  return jax.image.resize(x, (x.shape[0], *size, x.shape[-1]), 'bilinear')
