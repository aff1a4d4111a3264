"""Losses over the pixels of a global batch: cross-entropy, the IoU loss and SegLoss.

Every function takes logits [..., K] and labels [...], and returns one float32 scalar. With
`axis_name` the sums run over all devices of that pmapped axis before any ratio is formed, so each
device returns the loss of the whole batch, however the batch is spread.

Gradients follow one convention, and `fmx.train.step` relies on it: differentiate the value that a
device returns, then take the mean over devices (`jax.lax.pmean`), and the result is the gradient on
a single device that holds the whole batch. (Under pmap the transpose of psum is psum, so `jax.grad`
on one device gives the derivative of the sum of all devices' equal losses by that device's copy of
the parameters.)
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

Loss = Callable[..., jax.Array]


@functools.partial(jax.jit, static_argnames='axis_name')
def cross_entropy(
  logits: jax.Array, labels: jax.Array, *, axis_name: str | None = None
) -> jax.Array:
  """The mean cross-entropy over the pixels of all devices, in nats.

  Args:
    logits: [..., K] unnormalised class scores, of any float type.
    labels: [...] integer class ids in [0, K).
    axis_name: The pmapped axis whose devices share the batch, if any.

  Returns:
    A float32 scalar, at least 0.

  Raises:
    ValueError: the shapes of logits and labels do not belong together.
  """
  logits, truth = _scores_and_truth(logits, labels)
  total = jnp.sum(jax.nn.logsumexp(logits, axis=-1) - _true_score(logits, truth))
  total, pixels = _over_devices((total, labels.size), axis_name)
  return total / _as_float(pixels)


@functools.partial(jax.jit, static_argnames='axis_name')
def soft_iou(logits: jax.Array, labels: jax.Array, *, axis_name: str | None = None) -> jax.Array:
  """One minus the mean soft IoU over classes (Eq. 3), over the pixels of all devices.

  The mean is over all K classes, as Eq. 3 has it. A class without a labelled pixel has soft IoU 0
  and no gradient.

  Args:
    logits: [..., K] unnormalised class scores, of any float type.
    labels: [...] integer class ids in [0, K).
    axis_name: The pmapped axis whose devices share the batch, if any.

  Returns:
    A float32 scalar in [0, 1].

  Raises:
    ValueError: the shapes of logits and labels do not belong together.
  """
  logits, truth = _scores_and_truth(logits, labels)
  probs = jax.nn.softmax(logits, axis=-1)
  shared = _sum_pixels(jnp.where(truth, probs, 0.0))
  probable = _sum_pixels(probs)
  shared, probable, labelled = _over_devices((shared, probable, _count(truth)), axis_name)
  union = probable + _as_float(labelled) - shared
  # A class that is absent and whose probability underflows everywhere has union 0.
  return 1.0 - jnp.mean(shared / jnp.where(union > 0, union, 1.0))


@functools.partial(jax.jit, static_argnames=('weight', 'axis_name'))
def cross_entropy_iou(
  logits: jax.Array, labels: jax.Array, *, weight: float = 0.5, axis_name: str | None = None
) -> jax.Array:
  """Cross-entropy plus a share of the soft IoU loss over the classes that are not background.

  Ours: cross-entropy settles most pixels quickly, and the IoU makes small classes count as much as
  large ones. A class that the batch does not have does not count in the IoU.

  Args:
    logits: [..., K] unnormalised class scores, of any float type.
    labels: [...] integer class ids in [0, K).
    weight: Of the IoU loss.
    axis_name: The pmapped axis whose devices share the batch, if any.

  Returns:
    A float32 scalar, at least 0.

  Raises:
    ValueError: the shapes of logits and labels do not belong together.
  """
  logits, truth = _scores_and_truth(logits, labels)
  log_probs = jax.nn.log_softmax(logits, axis=-1)
  probs = jnp.exp(log_probs)
  sums = (
    -jnp.sum(jnp.where(truth, log_probs, 0.0)),
    _sum_pixels(jnp.where(truth, probs, 0.0)),
    _sum_pixels(probs),
    _count(truth),
    labels.size,
  )
  total, shared, probable, labelled, pixels = _over_devices(sums, axis_name)
  union = probable + _as_float(labelled) - shared
  present = (labelled > 0).at[0].set(False)
  iou = jnp.where(present, shared / jnp.where(union > 0, union, 1.0), 0.0)
  number = jnp.maximum(jnp.sum(present), 1)
  lost = jnp.where(jnp.any(present), 1.0 - jnp.sum(iou) / number, 0.0)
  return total / _as_float(pixels) + weight * lost


@functools.partial(jax.jit, static_argnames='axis_name')
def restlessness(
  logits: jax.Array, labels: jax.Array, *, axis_name: str | None = None
) -> jax.Array:
  """How differently from the labels probabilities change from frame to frame.

  The mean over pixels and pairs of frames of Σ_k ((p_t - p_{t-1}) - (y_t - y_{t-1}))², the temporal
  coherence of Sun et al. 2021 and of Lin et al. 2022 (matting) for K classes. Ours: the paper has
  nothing of the kind.

  Args:
    logits: [B, T, H, W, K] unnormalised class scores, of any float type.
    labels: [B, T, H, W] integer class ids in [0, K).
    axis_name: The pmapped axis whose devices share the batch, if any.

  Returns:
    A float32 scalar in [0, 4]; 0 for clips of one frame.

  Raises:
    ValueError: the shapes of logits and labels do not belong together.
  """
  logits, truth = _scores_and_truth(logits, labels)
  wrong = jax.nn.softmax(logits, axis=-1) - truth
  changes = jnp.diff(wrong, axis=1)
  total, pixels = _over_devices((jnp.sum(changes**2), changes[..., 0].size), axis_name)
  return total / jnp.maximum(_as_float(pixels), 1.0)


@functools.partial(jax.jit, static_argnames=('form', 'margin', 'axis_name'))
def seg_loss(
  logits: jax.Array,
  labels: jax.Array,
  *,
  form: str = 'linear',
  margin: float = 0.0,
  axis_name: str | None = None,
) -> jax.Array:
  """SegLoss (Eq. 7) over the pixels of all devices.

  For class t, with |A∩B| and |A∪B| counted over the global batch between the arg-max predictions A
  and the labels B, W_p = 1 / |A∪B| and W_n = |A∩B| / |A∪B|². They are constants: no gradient flows
  through them. Where the paper is silent: the sum over classes includes the background, and a class
  that is neither labelled nor predicted has both weights 0.

  Args:
    logits: [..., K] unnormalised class scores, of any float type.
    labels: [...] integer class ids in [0, K).
    form: How one pixel counts: 'linear' (Eq. 9), 'hinge' (Eq. 8), or ours, 'log'.
    margin: g of Eq. 8 and 9, in units of the logits, at least 0; 'log' has none.
    axis_name: The pmapped axis whose devices share the batch, if any.

  Returns:
    A float32 scalar; at least 0 for 'hinge' and 'log', of any sign for 'linear'.

  Raises:
    ValueError: an unknown form, a margin for one without, or shapes of logits and labels that do
      not belong together.
  """
  if form not in SEG_LOSS_FORMS:
    raise ValueError(f'SegLoss has no form {form!r}; choose one of {sorted(SEG_LOSS_FORMS)}.')
  if margin and form == 'log':
    raise ValueError(f"SegLoss's form 'log' has no margin, but {margin} is given; set it to 0.")
  logits, truth = _scores_and_truth(logits, labels)
  positive, negative = SEG_LOSS_FORMS[form](logits, truth, margin)
  sums = (
    _sum_pixels(jnp.where(truth, positive[..., None], 0.0)),
    _sum_pixels(jnp.where(truth, 0.0, negative)),
  )
  predicted = _one_hot(jnp.argmax(logits, axis=-1), logits.shape[-1])
  counts = (_count(truth & predicted), _count(truth | predicted), labels.size)
  (positives, negatives), (shared, union, pixels) = _over_devices((sums, counts), axis_name)
  weight_p, weight_n = _seg_loss_weights(shared, union)
  weighted = jnp.sum(weight_p * positives + weight_n * negatives)
  return weighted / (_as_float(pixels) * jnp.sum(weight_p + weight_n))


def _seg_loss_weights(shared: jax.Array, union: jax.Array) -> tuple[jax.Array, jax.Array]:
  """W_p and W_n [K] of Eq. 7 from integer counts [K]."""
  present = union > 0
  safe = jnp.where(present, _as_float(union), 1.0)
  weight_p = jnp.where(present, 1.0 / safe, 0.0)
  weight_n = _as_float(shared) / safe**2  # An absent class shares nothing, so 0.
  return jax.lax.stop_gradient((weight_p, weight_n))


def _hinge(logits: jax.Array, truth: jax.Array, margin: float) -> tuple[jax.Array, jax.Array]:
  """L_p [...] and L_n [..., K] of Eq. 8; L_n is 0 at the true class, where it is not used.

  PR∘GT⁻¹ in Eq. 8 puts a 0 in the true class's place, which would win over negative scores. The
  maximum here is over the other classes only, which is what the text describes.
  """
  excess = logits - _true_score(logits, truth)[..., None] + margin
  negative = jnp.where(truth, 0.0, jax.nn.relu(excess))
  return jnp.max(negative, axis=-1), negative  # max(max_t(x_t), 0) = max_t(max(x_t, 0)).


def _linear(logits: jax.Array, truth: jax.Array, margin: float) -> tuple[jax.Array, jax.Array]:
  """L_p [...] and L_n [..., K] of Eq. 9."""
  true_score = _true_score(logits, truth)
  wins = true_score[..., None] > logits + margin
  return -true_score, jnp.where(wins, 0.0, logits)


def _log(logits: jax.Array, truth: jax.Array, margin: float) -> tuple[jax.Array, jax.Array]:
  """L_p [...] and L_n [..., K] as logarithms of probabilities: -ln p_true and -ln(1 - p_t).

  Ours; the paper leaves both open. With the weights of Eq. 7 the expected loss of a pixel is least
  where class t has the odds that make it win as soon as its probability exceeds IoU / (1 + IoU),
  the decision that is best for IoU.
  """
  del margin
  log_probs = jax.nn.log_softmax(logits, axis=-1)
  # Of at most one class is 1 - p small: that one's is what the others' scores say together.
  largest = _one_hot(jnp.argmax(logits, axis=-1), logits.shape[-1])
  rest = jax.nn.logsumexp(jnp.where(largest, -jnp.inf, logits), axis=-1, keepdims=True)
  rest -= jax.nn.logsumexp(logits, axis=-1, keepdims=True)
  others = jnp.log1p(-jnp.exp(jnp.where(largest, -1.0, log_probs)))
  return -_true_score(log_probs, truth), -jnp.where(largest, rest, others)


SEG_LOSS_FORMS = {'linear': _linear, 'hinge': _hinge, 'log': _log}

LOSSES: dict[str, Loss] = {
  'cross_entropy': cross_entropy,
  'soft_iou': soft_iou,
  'cross_entropy_iou': cross_entropy_iou,
  'seg_loss_linear': functools.partial(seg_loss, form='linear'),
  'seg_loss_hinge': functools.partial(seg_loss, form='hinge'),
  'seg_loss_log': functools.partial(seg_loss, form='log'),
}


def build(name: str, *, margin: float = 0.0, bounded: bool = True, stillness: float = 0.0) -> Loss:
  """The loss that a configuration names.

  Args:
    name: A key of LOSSES.
    margin: g of SegLoss, in units of the logits; 0 for a loss without one.
    bounded: Whether the logits lie in (-1, 1), as a ConvLSTM's hidden states do. Eq. 9 has no
      minimum over unbounded logits, so SegLoss's linear form then takes their soft sign
      x / (1 + |x|), which keeps their order.
    stillness: Weight of `restlessness`, which is added; logits and labels are then of clips.

  Returns:
    A function of (logits, labels, *, axis_name=None).

  Raises:
    ValueError: an unknown name, a negative margin or weight, or a margin for a loss that has none.
  """
  if stillness < 0:
    raise ValueError(f'The stillness of a loss is {stillness}; it must be 0 or more.')
  if stillness:
    loss = build(name, margin=margin, bounded=bounded)
    return lambda logits, labels, **how: (
      loss(logits, labels, **how) + stillness * restlessness(logits, labels, **how)
    )
  if name not in LOSSES:
    raise ValueError(f'No loss is called {name!r}; choose one of {sorted(LOSSES)}.')
  if margin < 0:
    raise ValueError(f'The margin of a loss is {margin}; it must be 0 or more.')
  if name.startswith('seg_loss'):
    loss = functools.partial(LOSSES[name], margin=float(margin))
    if name == 'seg_loss_linear' and not bounded:
      return lambda logits, labels, **how: loss(jax.nn.soft_sign(logits), labels, **how)
    return loss
  if margin:
    raise ValueError(f'The loss {name!r} has no margin, but {margin} is given; set it to 0.')
  return LOSSES[name]


def _scores_and_truth(logits: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
  """float32 logits [..., K] and the labels as one-hot booleans [..., K]."""
  if logits.shape[:-1] != labels.shape:
    raise ValueError(
      f'Logits of shape {logits.shape} need labels of shape {logits.shape[:-1]}, '
      f'not {labels.shape}.'
    )
  return logits.astype(jnp.float32), _one_hot(labels, logits.shape[-1])


def _one_hot(ids: jax.Array, num_classes: int) -> jax.Array:
  """Class ids [...] as booleans [..., K]."""
  return ids[..., None] == jnp.arange(num_classes)


def _true_score(logits: jax.Array, truth: jax.Array) -> jax.Array:
  """The score [...] of each pixel's labelled class."""
  return jnp.sum(jnp.where(truth, logits, 0.0), axis=-1)


def _sum_pixels(values: jax.Array, dtype: jax.typing.DTypeLike = jnp.float32) -> jax.Array:
  """The sum [K] of values [..., K] over everything but the classes."""
  return jnp.sum(values, axis=tuple(range(values.ndim - 1)), dtype=dtype)


def _count(mask: jax.Array) -> jax.Array:
  """How many pixels of each class [K] are True: int32, as float32 is exact only up to 2²⁴."""
  return _sum_pixels(mask, dtype=jnp.int32)


def _as_float(count: jax.Array | int) -> jax.Array:
  return jnp.asarray(count, jnp.float32)


def _over_devices(sums: Any, axis_name: str | None) -> Any:
  """The tree of sums over all devices, unchanged without an axis."""
  return sums if axis_name is None else jax.lax.psum(sums, axis_name)
