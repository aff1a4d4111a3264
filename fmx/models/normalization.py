"""Batch normalisation as one multiplication and one addition, which trains faster on CPUs."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from fmx.models.convolution import Dtype


class BatchNorm(nn.Module):
  """Batch norm over all axes but the last (Ioffe and Szegedy, 2015), as Flax's `nn.BatchNorm`.

  Parameters (`scale`, `bias`), averages (`mean`, `var` in 'batch_stats') and results are those of
  Flax. But features become `x * factor + shift`, a factor and a shift a channel, where Flax has
  `(x - mean) * factor + bias`. So the gradient needs two plain sums over the positions, of the
  output's gradient and of its product with the input; with Flax's form XLA takes two to five times
  as long on a CPU.

  Attributes:
    use_running_average: Whether to normalise by the running averages, and to leave them alone; else
      by the mean and variance of the batch, which the averages follow.
    momentum: How much of the averages stays in a step.
    epsilon: What is added to the variance.
    dtype: Of the output, that of the input if None; everything is computed in float32.
    axis_name: The pmapped axis whose devices share the batch, if any.
  """

  use_running_average: bool
  momentum: float = 0.99
  epsilon: float = 1e-5
  dtype: Dtype | None = None
  axis_name: str | None = None

  @nn.compact
  def __call__(self, x: jax.Array, offset: jax.Array | None = None) -> jax.Array:
    """Normalises features [..., C]; a batch's own variance is the biased one.

    Args:
      x: The features.
      offset: [C], what is still to be added to them, as the bias of the convolution before. The
        mean of a batch takes it away again, so that in training it only moves the averages, and
        its gradient, else zero but for rounding, is zero.
    """
    channels = x.shape[-1]
    mean_average = self.variable('batch_stats', 'mean', jnp.zeros, channels, jnp.float32)
    var_average = self.variable('batch_stats', 'var', jnp.ones, channels, jnp.float32)
    scale = self.param('scale', nn.initializers.ones_init(), (channels,), jnp.float32)
    bias = self.param('bias', nn.initializers.zeros_init(), (channels,), jnp.float32)
    offset = jnp.zeros(channels) if offset is None else offset
    if self.use_running_average:
      mean, var = mean_average.value - offset, var_average.value
    else:
      mean, var = self._statistics(x.astype(jnp.float32))
      if not self.is_initializing():
        for average, value in ((mean_average, mean + offset), (var_average, var)):
          average.value = self.momentum * average.value + (1 - self.momentum) * value
    factor = scale * jax.lax.rsqrt(var + self.epsilon)
    normalized = x.astype(jnp.float32) * factor + (bias - mean * factor)
    return normalized.astype(x.dtype if self.dtype is None else self.dtype)

  def _statistics(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The mean and variance [C] of a batch, of all devices."""
    axes = tuple(range(x.ndim - 1))
    moments = jnp.mean(x, axes), jnp.mean(jnp.square(x), axes)
    if self.axis_name is not None and not self.is_initializing():
      moments = jax.lax.pmean(moments, self.axis_name)
    mean, square = moments
    return mean, jnp.maximum(0.0, square - jnp.square(mean))
