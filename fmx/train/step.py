"""One step of training or evaluation, on one device or spread over all of them. No I/O."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

AXIS = 'devices'  # The pmapped axis; models with batch norm are built with it as their axis_name.

Batch = Mapping[str, jax.Array]


@flax.struct.dataclass
class Variables:
  """What evaluation needs of a state."""

  params: Any
  batch_stats: Any


@flax.struct.dataclass
class TrainState:
  """Everything that a step changes, and all that a checkpoint must hold of the training itself."""

  step: jax.Array  # int32 scalar: steps taken.
  params: Any
  batch_stats: Any
  opt_state: Any
  rng: jax.Array  # Typed key; constant, as the key of a step is folded from it and the step.
  average: Any = None  # Variables: their running mean over the steps, or None to keep none.
  replace: ClassVar[Callable[..., 'TrainState']]  # Flax makes it.

  @property
  def variables(self) -> 'Variables':
    """What is evaluated and handed on: the average if there is one."""
    return Variables(self.params, self.batch_stats) if self.average is None else self.average


@flax.struct.dataclass
class StepMetrics:
  """What one step reports, over the global batch and before its update."""

  counts: jax.Array  # [K, K] int32 pixels: rows are labels, columns predictions.
  loss: jax.Array  # float32 scalar.
  grad_norm: jax.Array  # float32 scalar: of the trained parameters' gradient.
  update_norm: jax.Array  # float32 scalar: of what was added to the parameters.
  finite: jax.Array  # bool scalar: the three above are; if not, the new state is worthless.


def create_state(
  variables: Mapping[str, Any],
  tx: optax.GradientTransformation,
  rng: jax.Array,
  *,
  averaged: bool = False,
  devices: Sequence[jax.Device] | None = None,
) -> TrainState:
  """The state before the first step, one copy on each device.

  Args:
    variables: What `model.init` or a conversion gives: 'params', and 'batch_stats' if any.
    tx: The optimiser.
    rng: A typed key (`jax.random.key`).
    averaged: Whether a running mean of the variables is kept.
    devices: Those given to `parallel`, or None for all of this process.

  Returns:
    A TrainState at step 0. A train step gives it up (donation), but not `variables` and `rng`,
    which are copied.
  """
  variables, rng = jax.tree.map(jnp.copy, ({'batch_stats': {}} | dict(variables), rng))
  state = TrainState(
    step=jnp.zeros((), jnp.int32),
    params=variables['params'],
    batch_stats=variables['batch_stats'],
    opt_state=tx.init(variables['params']),
    rng=rng,
  )
  if averaged:
    mean = jax.tree.map(jnp.copy, Variables(state.params, state.batch_stats))
    state = state.replace(average=mean)
  return replicate(state, devices)


def replicate(tree: Any, devices: Sequence[jax.Device] | None = None) -> Any:
  """The arrays of a tree as `parallel` returns them: one array, a copy of it on each device.

  A state that is placed otherwise works too, but the step is then compiled twice: once for it, and
  once for the states that come out.

  Args:
    tree: Arrays, on the host or on a device.
    devices: Devices of this process, or None for all of them.

  Returns:
    The tree with its arrays on the devices.
  """
  mesh = jax.sharding.Mesh(np.array(devices or jax.local_devices()), (AXIS,))
  return jax.device_put(tree, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec()))


def train_step(
  state: TrainState,
  batch: Batch,
  *,
  model: nn.Module,
  loss: Callable[..., jax.Array],
  tx: optax.GradientTransformation,
  use_batch_stats: bool,
  trainable: Any = None,
  average: float = 0.0,
  axis_name: str | None = None,
) -> tuple[TrainState, StepMetrics]:
  """Takes one step down the gradient of the loss of the global batch.

  Args:
    state: The state before the step.
    batch: This device's share: 'video' [B, T, H, W, 3] and 'labels' [B, T, nH, nW]. With n > 1 a
      pixel of the video counts n² times, each time with the label of a part of it.
    model: Applied as `model.apply(variables, video, train=use_batch_stats)` -> (logits
      [B, T, H, W, K], carry). With batch norm, its own axis_name must be the one given here.
    loss: From `fmx.losses`: (logits, labels, *, axis_name) -> the loss of the global batch.
    tx: The optimiser.
    use_batch_stats: Batch norm uses and averages the batch's statistics; otherwise it uses its
      running averages and leaves them as they are.
    trainable: A tree of booleans like the parameters (`optimizer.trainable`), or None to train all.
      No gradient is computed for, or only through, the others.
    average: Share of itself that the state's average keeps in a step; early steps, of which there
      are few, count more. Without an average in the state it plays no part.
    axis_name: The pmapped axis, if any; then the same state and metrics come out on every device.

  Returns:
    The state after the step, and its metrics.
  """

  def forward(params: Any) -> tuple[jax.Array, tuple[jax.Array, Any]]:
    variables = {'params': _freeze(params, trainable), 'batch_stats': state.batch_stats}
    (logits, _), updates = model.apply(
      variables,
      batch['video'],
      train=use_batch_stats,
      mutable=['batch_stats'] if use_batch_stats else [],
      rngs={'dropout': _device_key(state, axis_name)},
    )
    logits = _repeated(logits, batch['labels'].shape[-1] // logits.shape[-2])
    value = loss(logits, batch['labels'], axis_name=axis_name)
    return value, (logits, updates.get('batch_stats', state.batch_stats))

  (value, (logits, batch_stats)), grads = jax.value_and_grad(forward, has_aux=True)(state.params)
  counts = confusion(batch['labels'], jnp.argmax(logits, axis=-1), logits.shape[-1])
  if axis_name is not None:
    grads = jax.lax.pmean(grads, axis_name)  # The convention that fmx.losses states.
    counts = jax.lax.psum(counts, axis_name)
  updates, opt_state = tx.update(grads, state.opt_state, state.params)
  scalars = {
    'loss': value,
    'grad_norm': optax.tree.norm(grads),
    'update_norm': optax.tree.norm(updates),
  }
  finite = jnp.all(jnp.isfinite(jnp.stack(list(scalars.values()))))
  new_state = state.replace(
    step=state.step + 1,
    params=optax.apply_updates(state.params, updates),
    batch_stats=batch_stats,
    opt_state=opt_state,
  )
  if state.average is not None:
    new_state = _with_average(new_state, average, state.step)
  return new_state, StepMetrics(counts=counts, finite=finite, **scalars)


def eval_step(state: TrainState, batch: Batch, *, model: nn.Module) -> jax.Array:
  """The logits of this device's share of a batch, with running averages in batch norm.

  Args:
    state: Any object with `params` and `batch_stats`.
    batch: 'video' [B, T, H, W, 3].
    model: As in `train_step`.

  Returns:
    Logits [B, T, H, W, K], float32.
  """
  variables = {'params': state.params, 'batch_stats': state.batch_stats}
  logits, _ = model.apply(variables, batch['video'], train=False)
  return logits.astype(jnp.float32)


def parallel(fn: Callable, devices: Sequence[jax.Device] | None = None) -> Callable:
  """Maps `fn(state, batch)` over devices: one state in, one state out.

  The state is given up (donated). With out_axes=None pmap hands back the first device's result
  unchecked, so everything that `fn` returns must already be the same on every device.

  Args:
    fn: For example `functools.partial(train_step, ..., axis_name=AXIS)`.
    devices: The devices, or None for all.

  Returns:
    A function of a state and a batch [D, B, ...].
  """
  return jax.pmap(
    fn, axis_name=AXIS, in_axes=(None, 0), out_axes=None, devices=devices, donate_argnums=0
  )


def parallel_eval(fn: Callable, devices: Sequence[jax.Device] | None = None) -> Callable:
  """Maps `fn(state, batch)` over devices: one state in, every device's own result out.

  Args:
    fn: For example `functools.partial(eval_step, model=model)`.
    devices: The devices, or None for all.

  Returns:
    A function of a state, which it leaves alone, and a batch [D, B, ...], to results [D, ...].
    With several processes, D counts the devices of the calling one.
  """
  return jax.pmap(fn, axis_name=AXIS, in_axes=(None, 0), out_axes=0, devices=devices)


def confusion(labels: jax.Array, predictions: jax.Array, num_classes: int) -> jax.Array:
  """How many pixels of each label got each prediction.

  Args:
    labels: [...] integer class ids in [0, K).
    predictions: [...] integer class ids in [0, K).
    num_classes: K.

  Returns:
    [K, K] int32: rows are labels, columns predictions.
  """
  pairs = labels.astype(jnp.int32) * num_classes + predictions
  return jnp.bincount(pairs.ravel(), length=num_classes**2).reshape(num_classes, num_classes)


def _with_average(state: TrainState, average: float, steps: jax.Array) -> TrainState:
  """The state after a step whose average has taken in its variables; `steps` were taken before."""
  keep = jnp.minimum(average, (1.0 + steps) / (10.0 + steps))
  mean = jax.tree.map(
    lambda old, new: keep * old + (1.0 - keep) * new,
    state.average,
    Variables(state.params, state.batch_stats),
  )
  return state.replace(average=mean)


def _repeated(logits: jax.Array, times: int) -> jax.Array:
  """Logits [..., H, W, K] as [..., nH, nW, K]: each pixel n times along both axes."""
  if times == 1:
    return logits
  return jnp.repeat(jnp.repeat(logits, times, axis=-3), times, axis=-2)


def _freeze(params: Any, trainable: Any) -> Any:
  """The parameters, those that are not trained cut off from the gradient.

  Backward passes that only frozen parameters would need are then never written, and their
  gradients are exact zeros.
  """
  if trainable is None:
    return params
  return jax.tree.map(
    lambda value, learns: value if learns else jax.lax.stop_gradient(value), params, trainable
  )


def _device_key(state: TrainState, axis_name: str | None) -> jax.Array:
  """A key that differs between steps and between devices."""
  key = jax.random.fold_in(state.rng, state.step)
  if axis_name is None:
    return key
  return jax.random.fold_in(key, jax.lax.axis_index(axis_name))
