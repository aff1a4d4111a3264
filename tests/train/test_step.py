import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fmx import losses
from fmx.train import optimizer, step

NUM_CLASSES = 3


class TinySegmenter(nn.Module):
  """A convolution with batch norm as trunk, a 1×1 convolution as head."""

  axis_name: str | None = None
  dropout: float = 0.0

  @nn.compact
  def __call__(self, video, train, carry=None):
    x = video.astype(jnp.float32) / 127.5 - 1  # [B, T, H, W, 3]
    x = nn.Conv(4, (1, 3, 3), use_bias=False, name='conv')(x)
    x = nn.BatchNorm(
      use_running_average=not train, momentum=0.9, axis_name=self.axis_name, name='norm'
    )(x)
    x = nn.Dropout(self.dropout, deterministic=not train)(nn.relu(x))
    return nn.Dense(NUM_CLASSES, name='head')(x), carry


def make_batches(count, batch_size=4, seed=0):
  rng = np.random.default_rng(seed)
  batches = []
  for _ in range(count):
    labels = rng.integers(NUM_CLASSES, size=(batch_size, 2, 6, 5)).astype(np.uint8)
    labels[0] = 2  # The shares of the devices differ in their classes.
    noise = rng.integers(60, size=(*labels.shape, 3))
    batches.append({'video': (noise + 60 * labels[..., None]).astype(np.uint8), 'labels': labels})
  return batches


RULES = (('head/.*', 'head'), ('.*', 'rest'))


def make_variables():
  return TinySegmenter().init(jax.random.key(0), jnp.zeros((1, 1, 6, 5, 3)), train=False)


@functools.cache
def make_tx(gamma=0.5, name='adam'):
  return optimizer.build(
    make_variables()['params'],
    rules=RULES,
    multipliers={'head': 1.0, 'rest': gamma},
    learning_rate=0.01,
    total_steps=10,
    name=name,
    l2=1e-4,
  )


def make_state(tx, num_devices, averaged=False):
  devices = jax.devices()[: num_devices or 1]
  key = jax.random.key(1)
  return step.create_state(make_variables(), tx, key, averaged=averaged, devices=devices)


@functools.cache
def stepper(
  tx,
  num_devices,
  loss=losses.seg_loss,
  use_batch_stats=True,
  dropout=0.0,
  learnt=None,
  average=0.0,
):
  """The compiled step on `num_devices` devices, or without pmap for None."""
  axis_name = step.AXIS if num_devices else None
  take_step = functools.partial(
    step.train_step,
    model=TinySegmenter(axis_name=axis_name, dropout=dropout),
    loss=loss,
    tx=tx,
    use_batch_stats=use_batch_stats,
    trainable=learnt and learnt(make_variables()['params']),
    average=average,
    axis_name=axis_name,
  )
  if num_devices is None:
    return jax.jit(take_step)
  return step.parallel(take_step, jax.devices()[:num_devices])


def split(batch, num_devices):
  return {k: v.reshape(num_devices, -1, *v.shape[1:]) for k, v in batch.items()}


def train(batches, num_devices, tx=None, state=None, **options):
  """Takes a step for each batch, and returns the state and the metrics of each step."""
  tx = tx or make_tx()
  state = state or make_state(tx, num_devices, averaged=options.get('average', 0) > 0)
  history = []
  for batch in batches:
    shares = split(batch, num_devices) if num_devices else batch
    state, metrics = stepper(tx, num_devices, **options)(state, shares)
    history.append(metrics)
  return state, history


def head_only(params):
  return jax.tree_util.tree_map_with_path(lambda path, _: path[0].key == 'head', params)


def nothing(params):
  return jax.tree.map(lambda _: False, params)


def leaves(state):
  return jax.tree.leaves((state.params, state.batch_stats, state.opt_state, state.average))


@pytest.mark.parametrize('loss', [losses.cross_entropy, losses.seg_loss])
def test_three_steps_on_four_devices_are_three_steps_on_one(loss):
  batches = make_batches(3)
  one, history_one = train(batches, None, loss=loss)
  four, history_four = train(batches, 4, loss=loss)
  # Sums in another order: about 1e-7 relative, which Adam's division by a small root enlarges.
  jax.tree.map(
    functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=2e-5),
    (four.params, four.batch_stats),
    (one.params, one.batch_stats),
  )
  for metrics_one, metrics_four in zip(history_one, history_four):
    np.testing.assert_array_equal(metrics_four.counts, metrics_one.counts)
    np.testing.assert_allclose(metrics_four.loss, metrics_one.loss, rtol=1e-5)
    np.testing.assert_allclose(metrics_four.grad_norm, metrics_one.grad_norm, rtol=1e-4)


def test_the_counts_of_a_step_are_those_of_the_whole_batch():
  batch = make_batches(1)[0]
  _, (metrics,) = train([batch], 4)
  np.testing.assert_array_equal(
    np.sum(metrics.counts, axis=1), np.bincount(batch['labels'].ravel(), minlength=NUM_CLASSES)
  )


def test_finer_labels_count_by_the_share_that_they_cover():
  (batch,) = make_batches(1)
  tx = make_tx()
  train = stepper(tx, None, loss=losses.cross_entropy_iou)
  same = {'video': batch['video'], 'labels': batch['labels'].repeat(2, axis=2).repeat(2, axis=3)}
  plain, metrics = train(make_state(tx, None), batch)
  finer, fine_metrics = train(make_state(tx, None), same)
  jax.tree.map(
    functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6), plain.params, finer.params
  )
  assert fine_metrics.loss == pytest.approx(float(metrics.loss), rel=1e-5)
  np.testing.assert_array_equal(fine_metrics.counts, 4 * metrics.counts)
  # A quarter of a pixel of another class: by hand, -(3 ln p_0 + ln p_1) / 4.
  probs = np.array([0.5, 0.3, 0.2])
  logits = jnp.log(jnp.broadcast_to(probs, (1, 1, 1, 1, 3)))
  labels = np.array([[0, 0], [0, 1]]).reshape(1, 1, 2, 2)
  loss = losses.cross_entropy(step._repeated(logits, 2), labels)
  assert loss == pytest.approx(-(3 * np.log(0.5) + np.log(0.3)) / 4, rel=1e-6)


def test_confusion_has_labels_as_rows():
  # One frame: label 0 predicted as 0 and 1, label 2 twice as 1.
  labels, predictions = jnp.array([[0, 0], [2, 2]]), jnp.array([[0, 1], [1, 1]])
  expected = [[1, 1, 0], [0, 0, 0], [0, 2, 0]]
  np.testing.assert_array_equal(step.confusion(labels, predictions, 3), expected)


def test_the_same_steps_give_the_same_bits():
  batches = make_batches(3)
  first, second = (train(batches, 4, dropout=0.5)[0] for _ in range(2))
  jax.tree.map(np.testing.assert_array_equal, leaves(first), leaves(second))


@pytest.mark.parametrize('average', [0.0, 0.15])
def test_half_a_run_and_the_other_half_give_the_bits_of_a_whole_run(average):
  batches = make_batches(4)
  whole, _ = train(batches, 4, dropout=0.5, average=average)
  half, _ = train(batches[:2], 4, dropout=0.5, average=average)
  saved = jax.tree.map(np.asarray, half.replace(rng=jax.random.key_data(half.rng)))
  saved = saved.replace(rng=jax.random.wrap_key_data(saved.rng))
  halves, _ = train(batches[2:], 4, state=step.replicate(saved), dropout=0.5, average=average)
  assert int(halves.step) == 4
  jax.tree.map(np.testing.assert_array_equal, leaves(whole), leaves(halves))


def as_numpy(*trees):
  """Copies that outlive the state."""
  return jax.tree.map(lambda leaf: np.array(leaf, np.float64), trees)


def test_the_average_is_the_running_mean_of_all_variables_and_changes_no_step():
  # Of itself it keeps (1 + n) / (10 + n) in the step after n, 1/10, 2/11 and so on, at most 0.15.
  batches = make_batches(4)
  plain, mean = make_state(make_tx(), None), as_numpy(*make_variables().values())
  mean = dict(zip(make_variables(), mean))
  for number, batch in enumerate(batches):
    plain, _ = train([batch], None, state=plain)
    keep = min(0.15, (1 + number) / (10 + number))
    new = dict(zip(('params', 'batch_stats'), as_numpy(plain.params, plain.batch_stats)))
    mean = {
      kind: jax.tree.map(lambda a, b, keep=keep: keep * a + (1 - keep) * b, mean[kind], new[kind])
      for kind in new
    }
  state, _ = train(batches, None, average=0.15)
  jax.tree.map(
    functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6),
    (state.average.params, state.average.batch_stats),
    (mean['params'], mean['batch_stats']),
  )
  jax.tree.map(
    functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6),
    (state.params, state.batch_stats),
    (plain.params, plain.batch_stats),
  )
  assert plain.average is None
  assert plain.variables.params is plain.params
  assert state.variables is state.average
  moved = state.average.params['head']['kernel'] - state.params['head']['kernel']
  assert np.abs(moved).max() > 1e-5


def test_before_the_first_step_the_average_is_a_copy_of_the_variables():
  state = make_state(make_tx(), 4, averaged=True)
  jax.tree.map(
    np.testing.assert_array_equal,
    (state.average.params, state.average.batch_stats),
    (state.params, state.batch_stats),
  )
  train(make_batches(1), 4, state=state, average=0.15)  # Gives up both.


def test_the_average_of_four_devices_is_that_of_one():
  batches = make_batches(3)
  one, _ = train(batches, None, average=0.15)
  four, _ = train(batches, 4, average=0.15)
  jax.tree.map(
    functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=2e-5), four.average, one.average
  )


def test_dropout_differs_between_steps_and_devices():
  state = make_state(make_tx(), 4)
  keys = jax.pmap(
    lambda s, _: jax.random.key_data(step._device_key(s, step.AXIS)),
    axis_name=step.AXIS,
    in_axes=(None, 0),
  )
  before = keys(state, np.zeros(4))
  after = keys(state.replace(step=state.step + 1), np.zeros(4))
  assert len({tuple(map(int, key)) for key in (*before, *after)}) == 8


def test_a_step_compiles_once(caplog):
  tx = make_tx()
  state, take_step = make_state(tx, 4), stepper.__wrapped__(tx, 4)  # Not compiled by another test.
  with jax.log_compiles():
    for batch in make_batches(3):
      state, _ = take_step(state, split(batch, 4))
  compiled = [r for r in caplog.messages if 'Finished XLA compilation of jit(_fun)' in r]
  assert len(compiled) == 1


def test_the_state_is_given_up_and_the_variables_and_the_key_are_not():
  variables, key = make_variables(), jax.random.key(1)
  first = step.create_state(variables, make_tx(), key)
  train(make_batches(1), 4, state=first)
  assert first.params['head']['kernel'].is_deleted()
  assert np.isfinite(variables['params']['head']['kernel']).all()
  assert jax.random.key_data(key) is not None


@pytest.mark.parametrize('num_devices', [None, 4])
def test_frozen_layers_and_running_averages_stay_bit_for_bit(num_devices):
  before = make_variables()
  state, _ = train(
    make_batches(2), num_devices, tx=make_tx(gamma=0.0), use_batch_stats=False, learnt=head_only
  )
  jax.tree.map(np.testing.assert_array_equal, state.batch_stats, before['batch_stats'])
  for layer in ('conv', 'norm'):
    jax.tree.map(np.testing.assert_array_equal, state.params[layer], before['params'][layer])
  moved = np.abs(state.params['head']['kernel'] - before['params']['head']['kernel'])
  assert moved.max() > 1e-3


def test_frozen_layers_have_no_share_in_the_gradient_norm():
  norms = [
    float(train(make_batches(1), None, learnt=learnt)[1][0].grad_norm)
    for learnt in (None, head_only, nothing)
  ]
  assert norms[0] > norms[1] > norms[2] == 0


def test_frozen_layers_leave_no_backward_pass():
  # The trunk's convolution is there once with a frozen trunk: forward only.
  tx = make_tx()
  state = make_state(tx, None)

  def convolutions(learnt):
    take_step = stepper(tx, None, use_batch_stats=False, learnt=learnt)
    return str(jax.make_jaxpr(take_step)(state, make_batches(1)[0])).count('conv_general_dilated[')

  assert convolutions(head_only) == 1
  assert convolutions(None) == 2  # Forward, and the gradient of the kernel.


def test_running_averages_move_to_the_statistics_of_all_devices():
  variables, batches = make_variables(), make_batches(1)
  conv = nn.Conv(4, (1, 3, 3), use_bias=False)
  x = batches[0]['video'].astype(np.float32) / 127.5 - 1
  mean = np.mean(conv.apply({'params': variables['params']['conv']}, x), axis=(0, 1, 2, 3))
  state, _ = train(batches, 4)
  # momentum 0.9: new = 0.9 · old + 0.1 · mean over the global batch; old is 0.
  np.testing.assert_allclose(state.batch_stats['norm']['mean'], 0.1 * mean, rtol=1e-4, atol=1e-6)


def broken_loss(logits, labels, *, axis_name=None):
  return losses.cross_entropy(logits, labels, axis_name=axis_name) * jnp.nan


def test_a_loss_that_is_not_finite_is_reported():
  batches = make_batches(1)
  assert not train(batches, 4, loss=broken_loss)[1][0].finite
  assert train(batches, 4)[1][0].finite


@pytest.mark.parametrize('name', sorted(optimizer.OPTIMIZERS))
def test_training_lowers_the_loss(name):
  tx = make_tx(gamma=1.0, name=name)
  _, history = train(make_batches(1) * 8, None, tx=tx, loss=losses.cross_entropy)
  assert history[-1].loss < 0.95 * history[0].loss


def test_eval_on_four_devices_gives_each_share_its_logits_and_keeps_the_state():
  state, batch = make_state(make_tx(), 4), make_batches(1)[0]
  evaluate = step.parallel_eval(functools.partial(step.eval_step, model=TinySegmenter()))
  logits = np.concatenate(evaluate(state, split(batch, 4)))
  expected, _ = TinySegmenter().apply(make_variables(), batch['video'], train=False)
  np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-6)
  assert logits.dtype == np.float32
  assert not state.params['head']['kernel'].is_deleted()


def test_a_state_without_batch_norm_is_a_state():
  params = {'kernel': jnp.ones(2)}
  state = step.create_state({'params': params}, optax.sgd(0.1), jax.random.key(0))
  assert state.batch_stats == {}
