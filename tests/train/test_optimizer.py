import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fmx.train import optimizer

PARAMS = {
  'trunk': {
    'conv1': {'kernel': jnp.array([2.0, -4.0]), 'bias': jnp.array([1.0])},
    'norm1': {'scale': jnp.array([1.0])},
  },
  'head': {'convlstm': {'kernel': jnp.array([0.5]), 'peephole': jnp.array([3.0])}},
}
RULES = (('head/.*', 'new'), ('.*', 'kept'))
GRADS = jax.tree.map(jnp.ones_like, PARAMS)


def updates_of(tx, steps=1, grads=GRADS, params=PARAMS):
  """The updates of each step, the parameters held still."""
  opt_state, history = tx.init(params), []
  for _ in range(steps):
    updates, opt_state = tx.update(grads, opt_state, params)
    history.append(updates)
  return history


DEFAULTS = {
  'rules': RULES,
  'multipliers': {'new': 1.0, 'kept': 0.25},
  'learning_rate': 0.1,
  'total_steps': 4,
}


def build(**options):
  return optimizer.build(PARAMS, **DEFAULTS | options)


def test_the_first_rule_that_matches_the_whole_path_names_the_group():
  labels = optimizer.label_params(PARAMS, (('trunk/conv1/.*', 'a'), ('trunk/.*', 'b'), ('.*', 'c')))
  assert labels == {
    'trunk': {'conv1': {'kernel': 'a', 'bias': 'a'}, 'norm1': {'scale': 'b'}},
    'head': {'convlstm': {'kernel': 'c', 'peephole': 'c'}},
  }


def test_a_parameter_without_a_rule_is_refused():
  with pytest.raises(ValueError, match="'trunk/conv1/bias' matches no learning-rate rule"):
    optimizer.label_params(PARAMS, (('head/.*', 'new'),))


@pytest.mark.parametrize(
  'rules',
  [
    (('haed/.*', 'new'), ('.*', 'kept')),  # Misspelt.
    (('head', 'new'), ('.*', 'kept')),  # Part of a path only.
    (('.*', 'kept'), ('head/.*', 'new')),  # Never reached.
  ],
)
def test_a_rule_that_names_no_parameter_is_refused(rules):
  with pytest.raises(ValueError, match='name no parameter'):
    optimizer.label_params(PARAMS, rules)


def test_trainable_is_false_where_the_multiplier_is_zero():
  learnt = optimizer.trainable(PARAMS, RULES, {'new': 0.1, 'kept': 0.0})
  assert jax.tree.leaves(learnt['head']) == [True, True]
  assert not any(jax.tree.leaves(learnt['trunk']))


@pytest.mark.parametrize(
  ('multipliers', 'message'),
  [
    ({'new': 1.0}, r"groups \['kept', 'new'\], but the multipliers are for \['new'\]"),
    ({'new': 1.0, 'kept': 0.0, 'more': 1.0}, 'name the same'),
    ({'new': 1.0, 'kept': -0.1}, r"must be 0 or more, not \{'kept': -0.1\}"),
  ],
)
def test_multipliers_that_do_not_fit_the_rules_are_refused(multipliers, message):
  with pytest.raises(ValueError, match=message):
    build(multipliers=multipliers)


@pytest.mark.parametrize('options', [{'name': 'sgd'}, {'schedule': 'cosin'}, {'total_steps': 0}])
def test_an_unknown_optimiser_or_schedule_and_no_steps_are_refused(options):
  with pytest.raises(ValueError, match='No optimiser|No schedule|at least one step'):
    build(**options)


def test_each_group_has_its_own_rate_and_both_decay_linearly_to_zero():
  # Adam with a constant gradient of 1 moves by the learning rate: bias-corrected m = v = 1.
  # Rates of 4 steps: 0.1 · (1, 3/4, 1/2, 1/4), then 0; the kept layers a quarter of it.
  history = updates_of(build(), steps=6)
  new = [float(u['head']['convlstm']['kernel'][0]) for u in history]
  kept = [float(u['trunk']['norm1']['scale'][0]) for u in history]
  np.testing.assert_allclose(new, [-0.1, -0.075, -0.05, -0.025, 0, 0], rtol=1e-4)
  np.testing.assert_allclose(kept, np.divide(new, 4), rtol=1e-4)


def test_rmsprop_divides_by_the_root_of_the_running_square():
  # First step, decay 0.9: mean square 0.1 · 1², so the update is -0.1 / sqrt(0.1) = -0.3162.
  (updates,) = updates_of(build(name='rmsprop'))
  assert updates['head']['convlstm']['kernel'][0] == pytest.approx(-0.1 / 0.1**0.5, rel=1e-5)


def test_a_multiplier_of_zero_freezes_and_keeps_no_moments():
  tx = build(multipliers={'new': 1.0, 'kept': 0.0}, l2=0.1)
  (updates,) = updates_of(tx)
  assert not any(leaf.any() for leaf in jax.tree.leaves(updates['trunk']))
  shapes = [leaf.shape for leaf in jax.tree.leaves(tx.init(PARAMS)) if leaf.ndim]
  assert shapes == [(1,)] * 4  # Two moments of two parameters of the head.


def test_l2_is_added_to_the_gradient_of_kernels_only_before_the_optimiser(monkeypatch):
  # Plain descent instead of Adam shows the gradient: -0.1 · (1 + 0.5 · w) for kernels, -0.1 for the
  # rest of the head; a quarter of that for the trunk: kernel [2, -4] -> gradients [2, -1].
  monkeypatch.setitem(optimizer.OPTIMIZERS, 'plain', optax.identity)
  (updates,) = updates_of(build(name='plain', l2=0.5))
  expected = {
    'trunk': {
      'conv1': {'kernel': [-0.05, 0.025], 'bias': [-0.025]},
      'norm1': {'scale': [-0.025]},
    },
    'head': {'convlstm': {'kernel': [-0.125], 'peephole': [-0.1]}},
  }
  jax.tree.map(
    lambda e, u: np.testing.assert_allclose(u, e, rtol=1e-6),
    expected,
    updates,
    is_leaf=lambda x: isinstance(x, list),
  )


def test_l2_leaves_frozen_kernels_alone():
  (updates,) = updates_of(build(multipliers={'new': 1.0, 'kept': 0.0}, l2=0.5))
  assert not updates['trunk']['conv1']['kernel'].any()


def test_decay_is_taken_off_kernels_past_the_optimiser():
  # Adam makes 1 of a constant gradient of 1, so the updates are -0.1 · (1 + 0.5 · w) for the kernel
  # of the head, -0.1 for its peephole; a quarter of that for the trunk: kernel [2, -4] -> [2, -1].
  (updates,) = updates_of(build(decay=0.5))
  expected = {
    'trunk': {
      'conv1': {'kernel': [-0.05, 0.025], 'bias': [-0.025]},
      'norm1': {'scale': [-0.025]},
    },
    'head': {'convlstm': {'kernel': [-0.125], 'peephole': [-0.1]}},
  }
  jax.tree.map(
    lambda e, u: np.testing.assert_allclose(u, e, rtol=1e-4),
    expected,
    updates,
    is_leaf=lambda x: isinstance(x, list),
  )
  # Through Adam the same share of w changes the sign of a gradient alone.
  (coupled,) = updates_of(build(l2=0.5))
  np.testing.assert_allclose(coupled['trunk']['conv1']['kernel'], [-0.025, 0.025], rtol=1e-4)


def test_decay_falls_with_the_rate_and_gradients_of_zero_leave_it_alone():
  # Rates 0.1 · (1, 3/4, 1/2, 1/4), then 0: the kernel of 0.5 loses a twentieth of that.
  history = updates_of(build(decay=0.1), steps=5, grads=jax.tree.map(jnp.zeros_like, PARAMS))
  lost = [float(u['head']['convlstm']['kernel'][0]) for u in history]
  np.testing.assert_allclose(lost, [-0.005, -0.00375, -0.0025, -0.00125, 0], atol=1e-8)
  for updates in history:
    assert not updates['head']['convlstm']['peephole'].any()


def test_decay_leaves_frozen_kernels_alone():
  (updates,) = updates_of(build(multipliers={'new': 1.0, 'kept': 0.0}, decay=0.5))
  assert not updates['trunk']['conv1']['kernel'].any()
  assert updates['head']['convlstm']['kernel'].any()


def test_the_cosine_by_hand():
  # 40 steps: a tenth of them to warm up, 0, 1/4, 1/2, 3/4 and 1; then half a cosine over 36 steps:
  # cos 0, cos 60° a third of the way, cos 90° half-way, cos 120° and cos 180°.
  rates = [float(optimizer.cosine(0.1, 40)(step)) for step in (0, 1, 2, 3, 4, 16, 22, 28, 40, 41)]
  np.testing.assert_allclose(
    rates, [0, 0.025, 0.05, 0.075, 0.1, 0.075, 0.05, 0.025, 0, 0], atol=1e-7
  )


@pytest.mark.parametrize(
  ('total_steps', 'warm_up'), [(4000, 200), (2000, 200), (1000, 100), (9, 0), (1, 0)]
)
def test_the_warm_up_ends_in_time(total_steps, warm_up):
  rate = optimizer.cosine(1.0, total_steps)
  assert rate(warm_up) == pytest.approx(1.0)
  assert rate(total_steps) == pytest.approx(0.0, abs=1e-6)
  assert max(float(rate(step)) for step in {warm_up // 2, warm_up + total_steps // 3}) <= 1.0


def test_each_group_follows_the_cosine_at_its_own_rate():
  history = updates_of(build(schedule='cosine', total_steps=20), steps=20)
  new = [float(u['head']['convlstm']['kernel'][0]) for u in history]
  kept = [float(u['trunk']['norm1']['scale'][0]) for u in history]
  expected = [-float(optimizer.cosine(0.1, 20)(step)) for step in range(20)]
  np.testing.assert_allclose(new, expected, rtol=1e-3, atol=1e-8)
  np.testing.assert_allclose(kept, np.divide(new, 4), rtol=1e-3, atol=1e-8)
