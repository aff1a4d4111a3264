"""The finder's loss and one step down it, on one device or spread over all of them. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from fmx.models.finder import CENTRE, HEAT, POINTS, SIZE
from fmx.train.step import TrainState

# What the parts of the loss are multiplied by. Log size is an error of about 0.1, places are ones
# of about 0.03 of a face.
LOSS_WEIGHTS = {'heat': 1.0, 'size': 1.0, 'centre': 4.0, 'points': 4.0}
_SURE, _FAR = 2.0, 4.0  # Exponents of CenterNet's focal loss.
_ROUND = 0.02  # Errors below it count by their square.


class Averaged(NamedTuple):
  """What `average_params` keeps."""

  params: Any


def losses(output: jax.Array, batch: Mapping[str, jax.Array], axis_name: str | None = None) -> dict:
  """The parts of the loss of the global batch.

  Args:
    output: [B, h, w, 14], as the network gives it.
    batch: 'told', 'heat_weight' and 'told_weight' of `fmx.data.finder_targets.targets`, batched.
    axis_name: The pmapped axis whose devices share the batch, if any.

  Returns:
    Scalars: 'heat', CenterNet's focal loss over the number of faces; 'size', 'centre' and
    'points', the mean absolute error (rounded off at 0) over the cells that tell them.
  """

  def total(x: jax.Array) -> jax.Array:
    x = jnp.sum(x)
    return x if axis_name is None else jax.lax.psum(x, axis_name)

  told, logits = batch['told'], output[..., HEAT][..., 0]
  heat = told[..., HEAT][..., 0]
  is_face = heat > 1 - 1e-4
  log_p, log_q = nn.log_sigmoid(logits), nn.log_sigmoid(-logits)
  for_face = -jnp.exp(_SURE * log_q) * log_p
  for_none = -((1 - heat) ** _FAR) * jnp.exp(_SURE * log_p) * log_q
  by_cell = batch['heat_weight'] * jnp.where(is_face, for_face, for_none)
  parts = {'heat': total(by_cell) / jnp.maximum(total(is_face), 1.0)}
  weight = batch['told_weight'][..., None]
  norm = jnp.maximum(total(weight), 1e-3)
  for name, channels in (('size', SIZE), ('centre', CENTRE), ('points', POINTS)):
    error = (
      optax.losses.huber_loss(output[..., channels], told[..., channels], delta=_ROUND) / _ROUND
    )
    parts[name] = total(weight * error) / (norm * (channels.stop - channels.start))
  return parts


def average_params(decay: float) -> optax.GradientTransformation:
  """Keeps a running average of the parameters; must be the last of a chain.

  Args:
    decay: Share of the average that a step keeps. Early on it is less: after n steps at most
      (1 + n) / (10 + n), so that the first parameters are soon forgotten.
  """

  def init(params: Any) -> tuple[jax.Array, Averaged]:
    return jnp.zeros((), jnp.int32), Averaged(jax.tree.map(jnp.copy, params))

  def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
    count, average = state
    keep = jnp.minimum(decay, (1.0 + count) / (10.0 + count))
    new = optax.apply_updates(params, updates)
    mean = jax.tree.map(lambda old, now: keep * old + (1 - keep) * now, average.params, new)
    return updates, (count + 1, Averaged(mean))

  return optax.GradientTransformation(init, update)


def averaged(opt_state: Any) -> Any:
  """The averaged parameters in the state of `optimizer`."""
  return opt_state[-1][1].params


def optimizer(
  *, learning_rate: float, warmup: int, steps: int, weight_decay: float, average: float
) -> optax.GradientTransformation:
  """AdamW with a linear start and a cosine to 0, and a running average of the parameters.

  Args:
    learning_rate: The highest.
    warmup: Steps until then.
    steps: In all.
    weight_decay: Of the kernels.
    average: Share of the averaged parameters that a step keeps.
  """

  def kernels(params: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)

  rate = optax.warmup_cosine_decay_schedule(0.0, learning_rate, min(warmup, steps // 2), steps)
  return optax.chain(
    optax.clip_by_global_norm(5.0),
    optax.adamw(rate, weight_decay=weight_decay, mask=kernels),
    average_params(average),
  )


def train_step(
  state: TrainState,
  batch: Mapping[str, jax.Array],
  *,
  network: nn.Module,
  tx: optax.GradientTransformation,
  axis_name: str | None = None,
) -> tuple[TrainState, dict[str, jax.Array]]:
  """Takes one step.

  Args:
    state: Before it.
    batch: This device's share: 'image' [B, S, S, 3] and what `losses` takes.
    network: With the same axis_name.
    tx: The optimiser.
    axis_name: The pmapped axis, if any.

  Returns:
    The state after the step; 'loss', its parts, and 'grad_norm', before the step.
  """

  def forward(params: Any) -> tuple[jax.Array, tuple[dict, Any]]:
    output, updates = network.apply(
      {'params': params, 'batch_stats': state.batch_stats},
      batch['image'],
      train=True,
      mutable=['batch_stats'],
    )
    parts = losses(output, batch, axis_name)
    loss = sum(LOSS_WEIGHTS[name] * part for name, part in parts.items())
    return loss, (parts, updates['batch_stats'])

  (loss, (parts, batch_stats)), grads = jax.value_and_grad(forward, has_aux=True)(state.params)
  if axis_name is not None:
    grads = jax.lax.pmean(grads, axis_name)  # As in fmx.train.step: psum's transpose is a psum.
  updates, opt_state = tx.update(grads, state.opt_state, state.params)
  new_state = state.replace(
    step=state.step + 1,
    params=optax.apply_updates(state.params, updates),
    batch_stats=batch_stats,
    opt_state=opt_state,
  )
  return new_state, {'loss': loss, **parts, 'grad_norm': optax.tree.norm(grads)}


Step = Callable[[TrainState, Mapping[str, jax.Array]], tuple[TrainState, dict[str, jax.Array]]]
