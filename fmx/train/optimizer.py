"""The optimiser: rules over parameter paths name groups, and each group has its learning rate."""

import collections
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import optax

# The paper names only 'Adam' and 'RMSprop'; the constants are the defaults of Keras 2.0.
OPTIMIZERS = {
  'adam': lambda: optax.scale_by_adam(b1=0.9, b2=0.999, eps=1e-8),
  'rmsprop': lambda: optax.scale_by_rms(decay=0.9, eps=1e-8, eps_in_sqrt=False),
}
WARM_UP = 200  # Steps, at most a tenth of all, over which 'cosine' rises from 0.


def cosine(rate: float, total_steps: int) -> optax.Schedule:
  """Rises to the rate over WARM_UP steps and falls to 0 along half a cosine."""
  warm_up = min(WARM_UP, total_steps // 10)
  return optax.warmup_cosine_decay_schedule(0.0, rate, warm_up, total_steps)


SCHEDULES = {
  'linear': lambda rate, total_steps: optax.linear_schedule(rate, 0.0, total_steps),
  'cosine': cosine,
}


def label_params(params: Any, rules: Sequence[tuple[str, str]]) -> Any:
  """Names the group of each parameter by the first rule that its path matches.

  Args:
    params: A tree of parameters; a path is its keys joined by '/', e.g. 'trunk/conv1/kernel'.
    rules: Pairs (regular expression for the whole path, group name), tried in order.

  Returns:
    A tree like `params` of group names.

  Raises:
    ValueError: a parameter matches no rule, or a rule names no parameter.
  """
  patterns = [re.compile(pattern) for pattern, _ in rules]
  uses: collections.Counter[int] = collections.Counter()

  def label(path: tuple[Any, ...], _: Any) -> str:
    name = _path_name(path)
    for number, pattern in enumerate(patterns):
      if pattern.fullmatch(name):
        uses[number] += 1
        return rules[number][1]
    raise ValueError(
      f'The parameter {name!r} matches no learning-rate rule; add one, e.g. the last of them '
      "('.*', group)."
    )

  labels = jax.tree_util.tree_map_with_path(label, params)
  unused = [pattern for number, (pattern, _) in enumerate(rules) if not uses[number]]
  if unused:
    raise ValueError(
      f'The learning-rate rules {unused} name no parameter: a rule must match the whole path of '
      'one that no rule before it matches.'
    )
  return labels


def trainable(
  params: Any, rules: Sequence[tuple[str, str]], multipliers: Mapping[str, float]
) -> Any:
  """A tree like `params` of booleans: False where the multiplier is 0, so that nothing is learnt.

  Args:
    params: A tree of parameters.
    rules: As in `label_params`.
    multipliers: The learning-rate multiplier of each group, at least 0.

  Returns:
    A tree of booleans.

  Raises:
    ValueError: as `label_params`; or rules and multipliers do not name the same groups.
  """
  labels = label_params(params, rules)
  groups = {group for _, group in rules}
  if groups != set(multipliers):
    raise ValueError(
      f'The learning-rate rules name the groups {sorted(groups)}, but the multipliers are for '
      f'{sorted(multipliers)}; name the same.'
    )
  negative = {group: rate for group, rate in multipliers.items() if rate < 0}
  if negative:
    raise ValueError(f'Learning-rate multipliers must be 0 or more, not {negative}.')
  return jax.tree.map(lambda group: multipliers[group] > 0, labels)


def build(
  params: Any,
  *,
  rules: Sequence[tuple[str, str]],
  multipliers: Mapping[str, float],
  learning_rate: float,
  total_steps: int,
  name: str = 'adam',
  l2: float = 0.0,
  decay: float = 0.0,
  schedule: str = 'linear',
) -> optax.GradientTransformation:
  """The optimiser of one stage of training.

  Args:
    params: The parameters to train; only their paths are used.
    rules: As in `label_params`.
    multipliers: What the learning rate of each group is multiplied by; 0 freezes the group.
    learning_rate: The rate of the first step, before the multipliers.
    total_steps: Of the schedule.
    name: A key of OPTIMIZERS.
    l2: Added to the gradient of every trained kernel w as l2 · w, before the optimiser sees it
      ('coupled'). Biases, batch norm and peepholes are left alone.
    decay: Taken off every trained kernel w as learning rate · decay · w, past the optimiser
      ('decoupled', as in AdamW).
    schedule: A key of SCHEDULES: how the rate falls to 0 over the steps.

  Returns:
    An optax transformation for trees like `params`.

  Raises:
    ValueError: an unknown name, no steps, or as `trainable`.
  """
  if name not in OPTIMIZERS:
    raise ValueError(f'No optimiser is called {name!r}; choose one of {sorted(OPTIMIZERS)}.')
  if schedule not in SCHEDULES:
    raise ValueError(f'No schedule is called {schedule!r}; choose one of {sorted(SCHEDULES)}.')
  if total_steps < 1:
    raise ValueError(f'An optimiser needs at least one step in all, not {total_steps}.')
  learnt = trainable(params, rules, multipliers)
  decayed = jax.tree_util.tree_map_with_path(
    lambda path, learns: learns and _path_name(path).split('/')[-1] == 'kernel', learnt
  )

  def group_optimizer(multiplier: float) -> optax.GradientTransformation:
    if multiplier == 0:
      return optax.set_to_zero()
    rate = SCHEDULES[schedule](learning_rate * multiplier, total_steps)
    # Inside a group other groups' leaves are masked out; the mask must not have them either.
    decoupled = optax.add_decayed_weights(decay, mask=_is_kernel) if decay else optax.identity()
    return optax.chain(OPTIMIZERS[name](), decoupled, optax.scale_by_learning_rate(rate))

  groups = {group: group_optimizer(multiplier) for group, multiplier in multipliers.items()}
  by_group = optax.partition(groups, label_params(params, rules))
  if not l2:
    return by_group
  return optax.chain(optax.add_decayed_weights(l2, mask=decayed), by_group)


def _is_kernel(params: Any) -> Any:
  """A tree like `params` of booleans: True for kernels."""
  return jax.tree_util.tree_map_with_path(
    lambda path, _: _path_name(path).split('/')[-1] == 'kernel', params
  )


def _path_name(path: tuple[Any, ...]) -> str:
  return jax.tree_util.keystr(path, simple=True, separator='/')
