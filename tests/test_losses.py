import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fmx import losses

NAMES = sorted(losses.LOSSES)


def random_batch(seed, shape=(4, 2, 3, 4), num_classes=5):
  rng = np.random.default_rng(seed)
  logits = 2 * rng.normal(size=(*shape, num_classes)).astype(np.float32)
  return logits, rng.integers(num_classes, size=shape).astype(np.int32)


def loop_seg_loss(logits, labels, form, margin):
  """Eq. 7 with Eq. 8, 9 or logarithms, pixel by pixel and class by class, in float64."""
  num_classes = logits.shape[-1]
  pixels = [
    (list(map(float, scores)), int(label))
    for scores, label in zip(logits.reshape(-1, num_classes), labels.ravel())
  ]
  numerator = weights = 0.0
  for t in range(num_classes):
    g = f = 0
    for scores, label in pixels:
      predicted = scores.index(max(scores))
      g += predicted == t and label == t
      f += predicted == t or label == t
    w_p, w_n = (1 / f, g / f**2) if f else (0.0, 0.0)
    weights += w_p + w_n
    for scores, label in pixels:
      true = scores[label]
      if form == 'log':
        total = sum(math.exp(score) for score in scores)
        log_p = scores[t] - math.log(total)
        log_rest = math.log(sum(math.exp(s) for c, s in enumerate(scores) if c != t) / total)
        numerator += -w_p * log_p if label == t else -w_n * log_rest
      elif label == t:
        rival = max(s for c, s in enumerate(scores) if c != label)
        numerator += w_p * (-true if form == 'linear' else max(rival - true + margin, 0))
      elif form == 'linear':
        numerator += w_n * (0 if true > scores[t] + margin else scores[t])
      else:
        numerator += w_n * max(scores[t] - true + margin, 0)
  return numerator / (len(pixels) * weights)


def test_cross_entropy_of_two_pixels_by_hand():
  # Pixel 1: logits (ln 3, 0), label 0: p = 3/4. Pixel 2: logits (0, 0), label 1: p = 1/2.
  # Mean of -ln: (ln 4/3 + ln 2) / 2 = ln(8/3) / 2.
  logits = jnp.array([[math.log(3), 0.0], [0.0, 0.0]])
  assert losses.cross_entropy(logits, jnp.array([0, 1])) == pytest.approx(math.log(8 / 3) / 2)


def test_soft_iou_of_two_pixels_by_hand():
  # Probabilities: pixel 1 (3/4, 1/4), label 0; pixel 2 (1/2, 1/2), label 1.
  # Class 0: sum PR·GT = 3/4; sum PR + GT - PR·GT = (3/4 + 1 - 3/4) + (1/2 + 0) = 3/2; ratio 1/2.
  # Class 1: sum PR·GT = 1/2; (1/4 + 0 - 0) + (1/2 + 1 - 1/2) = 5/4; ratio 2/5.
  # Eq. 3: 1 - (1/2 + 2/5) / 2 = 0.55.
  logits = jnp.array([[math.log(3), 0.0], [0.0, 0.0]])
  assert losses.soft_iou(logits, jnp.array([0, 1])) == pytest.approx(0.55)


def test_cross_entropy_with_iou_by_hand():
  # The two pixels of above: the cross-entropy is ln(8/3) / 2, the IoU of the class that is not
  # background 2/5. With weight 1/2: ln(8/3) / 2 + (1 - 2/5) / 2.
  logits = jnp.array([[math.log(3), 0.0], [0.0, 0.0]])
  loss = losses.cross_entropy_iou(logits, jnp.array([0, 1]))
  assert loss == pytest.approx(math.log(8 / 3) / 2 + 0.3)
  loss = losses.cross_entropy_iou(logits, jnp.array([0, 1]), weight=2.0)
  assert loss == pytest.approx(math.log(8 / 3) / 2 + 1.2)


def test_the_iou_beside_cross_entropy_is_over_the_classes_that_the_batch_has():
  # Probabilities (1/2, 1/4, 1/4), label 0, and (1/4, 1/2, 1/4), label 1: cross-entropy ln 2. Class
  # 1 shares 1/2 of 1/4 + 1/2 + 1 - 1/2 = 5/4; class 2 is probable and nowhere labelled.
  logits = jnp.log(jnp.array([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]]))
  loss = losses.cross_entropy_iou(logits, jnp.array([0, 1]))
  assert loss == pytest.approx(math.log(2) + 0.5 * (1 - 2 / 5))
  background = jnp.zeros(2, int)
  loss = losses.cross_entropy_iou(logits, background)
  assert loss == pytest.approx(float(losses.cross_entropy(logits, background)))


def test_without_weight_cross_entropy_is_left():
  logits, labels = random_batch(8)
  loss, gradient = jax.value_and_grad(losses.cross_entropy_iou)(logits, labels, weight=0.0)
  expected, slope = jax.value_and_grad(losses.cross_entropy)(logits, labels)
  assert loss == pytest.approx(float(expected), rel=1e-6)
  np.testing.assert_allclose(gradient, slope, atol=1e-7)


def test_the_iou_lets_a_small_class_pull_harder():
  # One pixel of class 1 among 99 of class 0, nothing known: its share of the gradient grows.
  logits, labels = jnp.zeros((100, 2)), jnp.zeros(100, int).at[0].set(1)

  def share(loss):
    gradient = jnp.abs(jax.grad(loss)(logits, labels)).sum(axis=1)
    return float(gradient[0] / gradient.sum())

  assert share(losses.cross_entropy) == pytest.approx(0.01, rel=1e-4)
  # The IoU has S = 1/2 and U = 50 + 1 - 1/2: its slope is 1/U at that pixel and S/U² elsewhere,
  # times 1/2 (the weight) and 1/4 (of the softmax); that of the cross-entropy is 1/2 of 1/100.
  small, large = 0.005 + 0.125 / 50.5, 0.005 + 0.125 * 0.5 / 50.5**2
  expected = small / (small + 99 * large)
  assert expected > 0.014
  assert share(losses.cross_entropy_iou) == pytest.approx(expected, rel=1e-3)


# Three pixels of three classes, for Eq. 7 to 9 by hand. Labels 0, 1, 1; arg-max 0, 1, 0.
# Class 0: g = 1 (pixel 1), f = 2 (pixels 1, 3): W_p = 1/2, W_n = 1/4.
# Class 1: g = 1 (pixel 2), f = 2 (pixels 2, 3): W_p = 1/2, W_n = 1/4.
# Class 2: g = 0, f = 0: both weights are 0. Sum of the weights: 3/2. K = 3. Denominator 9/2.
HAND_LOGITS = np.array([[2.0, 1.0, -1.0], [-1.0, 3.0, 0.5], [4.0, 1.0, 2.0]], np.float32)
HAND_LABELS = np.array([0, 1, 1])


def test_linear_seg_loss_by_hand():
  # L_p (Eq. 9): -2, -3, -1.
  # L_n of class 0: pixel 2: 3 > -1, so 0; pixel 3: 1 > 4 fails, so 4.
  # L_n of class 1: pixel 1: 2 > 1, so 0.
  # Class 0: 1/2·(-2) + 1/4·(0 + 4) = 0.  Class 1: 1/2·(-3 - 1) + 1/4·0 = -2.
  # Eq. 7: (0 - 2) / (9/2) = -4/9.
  assert losses.seg_loss(HAND_LOGITS, HAND_LABELS) == pytest.approx(-4 / 9)


def test_linear_seg_loss_with_a_margin_by_hand():
  # g = 1: pixel 1 no longer wins over class 1 (2 > 1 + 1 fails), so L_n = 1 there; pixel 2 still
  # wins over class 0 (3 > -1 + 1).
  # Class 1: 1/2·(-4) + 1/4·1 = -7/4.  Eq. 7: (0 - 7/4) / (9/2) = -7/18.
  assert losses.seg_loss(HAND_LOGITS, HAND_LABELS, margin=1.0) == pytest.approx(-7 / 18)


def test_hinge_seg_loss_by_hand():
  # L_p (Eq. 8, g = 0): max(1, -1) - 2 < 0: 0; max(-1, 0.5) - 3 < 0: 0; max(4, 2) - 1 = 3.
  # L_n of class 0: pixel 2: -1 - 3 < 0: 0; pixel 3: 4 - 1 = 3.  Of class 1: pixel 1: 1 - 2 < 0: 0.
  # Class 0: 1/2·0 + 1/4·(0 + 3) = 3/4.  Class 1: 1/2·(0 + 3) + 1/4·0 = 3/2.  (9/4) / (9/2) = 1/2.
  assert losses.seg_loss(HAND_LOGITS, HAND_LABELS, form='hinge') == pytest.approx(0.5)


def test_hinge_seg_loss_with_a_margin_by_hand():
  # g = 2: L_p: 1 - 2 + 2 = 1; 0.5 - 3 + 2 < 0: 0; 4 - 1 + 2 = 5.
  # L_n of class 0: pixel 2: -1 - 3 + 2 < 0: 0; pixel 3: 4 - 1 + 2 = 5.  Of class 1: pixel 1: 1.
  # Class 0: 1/2·1 + 1/4·5 = 7/4.  Class 1: 1/2·(0 + 5) + 1/4·1 = 11/4.  (18/4) / (9/2) = 1.
  loss = losses.seg_loss(HAND_LOGITS, HAND_LABELS, form='hinge', margin=2.0)
  assert loss == pytest.approx(1.0)


def test_hinge_compares_with_the_other_classes_even_where_all_scores_are_negative():
  # One pixel, scores (-1, -3), label 0: the only other score is -3, so L_p = max(-3 + 1, 0) = 0.
  # With PR∘GT⁻¹ read literally the rival would be 0 and L_p would be 1.
  assert losses.seg_loss(jnp.array([[-1.0, -3.0]]), jnp.array([0]), form='hinge') == 0


@pytest.mark.parametrize(
  ('form', 'margin'),
  [('linear', 0.0), ('linear', 0.7), ('hinge', 0.0), ('hinge', 0.7), ('log', 0.0)],
)
@pytest.mark.parametrize('seed', [0, 1])
def test_seg_loss_is_equation_7_written_as_loops(form, margin, seed):
  logits, labels = random_batch(seed)
  expected = loop_seg_loss(logits, labels, form, margin)
  actual = losses.seg_loss(logits, labels, form=form, margin=margin)
  assert actual == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize('form', ['linear', 'hinge'])
def test_no_gradient_flows_through_the_weights_of_seg_loss(form):
  # With W held fixed the loss is piecewise linear in the logits, so finite differences are exact
  # while no pixel changes side; the loops recompute W, but a small step changes no arg-max either.
  logits, labels = random_batch(2, shape=(2, 3))
  gradient = jax.grad(losses.seg_loss)(logits, labels, form=form, margin=0.3)
  for index in [(0, 0, 0), (0, 2, 3), (1, 1, 4), (1, 2, int(labels[1, 2]))]:
    step = np.zeros_like(logits, dtype=np.float64)
    step[index] = 1e-4
    above, below = (loop_seg_loss(logits + s, labels, form, 0.3) for s in (step, -step))
    assert gradient[index] == pytest.approx((above - below) / 2e-4, abs=1e-5)


def test_logarithms_of_sure_and_wrong_pixels_are_exact():
  # One pixel, scores (50, 0), label 1: F = 1 and G = 0 for both classes, so W_p = 1, W_n = 0, and
  # the weights add up to 2. -ln p_1 = 50 + ln(1 + e^-50). A second one of label 0 adds to class 0:
  # G = 1, F = 2, W_p = 1/2, W_n = 1/4, -ln(1 - p_0) = 50; class 1: F = 1, G = 0, W_p = 1, W_n = 0.
  wrong = losses.seg_loss(jnp.array([[50.0, 0.0]]), jnp.array([1]), form='log')
  assert wrong == pytest.approx(50 / 2)
  both = losses.seg_loss(jnp.array([[50.0, 0.0]] * 2), jnp.array([1, 0]), form='log')
  assert both == pytest.approx((50 / 4 + 50) / (2 * 1.75))


def test_the_best_answer_to_logarithms_is_the_best_decision_for_iou():
  # Equal pixels of which a share q is of class 1; the rest of the picture fixes its IoU at 0.6.
  # W_p q (-ln p) + W_n (1 - q) (-ln(1 - p)) is least at p > 1/2 if and only if q > iou / (1 + iou).
  iou, union = 0.6, 1000.0
  for share, wins in ((0.37, False), (0.38, True)):  # 0.6 / 1.6 = 0.375
    weight_p, weight_n = losses._seg_loss_weights(jnp.array([iou * union]), jnp.array([union]))
    best = weight_p * share / (weight_p * share + weight_n * (1 - share))
    assert (float(best[0]) > 0.5) == wins


def test_logarithms_have_no_margin():
  with pytest.raises(ValueError, match="form 'log' has no margin, but 0.5"):
    losses.build('seg_loss_log', margin=0.5)(HAND_LOGITS, HAND_LABELS)


def test_a_weight_without_its_stop_gradient_would_be_noticed():
  shared, union = jnp.array([1.0, 2.0]), jnp.array([2.0, 5.0])
  gradient = jax.grad(lambda f: sum(map(jnp.sum, losses._seg_loss_weights(shared, f))))(union)
  np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('label', [0, 3])
def test_a_batch_of_one_class_has_a_finite_loss_and_gradient(name, label):
  logits = random_batch(3)[0]
  labels = np.full(logits.shape[:-1], label)
  for scores in (logits, 300 * logits, np.zeros_like(logits), 100.0 * np.eye(5)[labels]):
    value, gradient = jax.value_and_grad(losses.LOSSES[name])(jnp.float32(scores), labels)
    assert jnp.isfinite(value)
    assert jnp.isfinite(gradient).all()


def test_soft_iou_counts_an_absent_class_as_equation_3_does():
  # Certain and right everywhere: class 0 has ratio 1, the absent class 0/0, taken as its limit 0.
  logits = jnp.array([[200.0, -200.0]] * 3)
  assert losses.soft_iou(logits, jnp.zeros(3, int)) == pytest.approx(0.5)


@pytest.mark.parametrize('name', NAMES)
def test_four_devices_give_the_value_and_gradient_of_one(name):
  # The gradient goes through a parameter that all devices share, as in training.
  loss = losses.build(name, margin=0.2 if name in ('seg_loss_linear', 'seg_loss_hinge') else 0.0)
  video, labels = random_batch(4)
  labels[0] = 1  # What one device holds is far from what the others hold.
  params = jnp.linspace(0.5, 1.5, 5)

  def fit(params, video, labels, axis_name=None):
    return loss(params * video, labels, axis_name=axis_name)

  def on_device(params, video, labels):
    value, gradient = jax.value_and_grad(fit)(params, video, labels, 'devices')
    return value, jax.lax.pmean(gradient, 'devices')

  value, gradient = jax.value_and_grad(fit)(params, video, labels)
  mapped = jax.pmap(on_device, axis_name='devices', in_axes=(None, 0, 0))
  values, gradients = mapped(params, video, labels)
  np.testing.assert_allclose(values, np.full(4, value), rtol=2e-6)
  np.testing.assert_allclose(gradients, np.tile(gradient, (4, 1)), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize('name', NAMES)
def test_the_order_of_pixels_does_not_matter(name):
  logits, labels = random_batch(5)
  order = np.random.default_rng(6).permutation(labels.size)
  shuffled = logits.reshape(-1, 5)[order], labels.ravel()[order]
  expected = losses.LOSSES[name](logits, labels)
  assert losses.LOSSES[name](*shuffled) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize('name', NAMES)
def test_bfloat16_logits_are_summed_in_float32(name):
  # 4096 pixels: a bfloat16 sum would lose two digits.
  logits, labels = random_batch(7, shape=(4096,))
  logits = jnp.asarray(logits, jnp.bfloat16)
  loss = losses.LOSSES[name](logits, labels)
  assert loss.dtype == jnp.float32
  assert loss == losses.LOSSES[name](logits.astype(jnp.float32), labels)


def test_counts_stay_exact_beyond_what_float32_can_count():
  # float32 has no 2²⁴ + 1: the next number after 2²⁴ is 2²⁴ + 2.
  pixels = (1 << 24) + 1
  assert int(losses._count(jnp.ones((pixels, 1), bool))[0]) == pixels


def test_labels_of_another_shape_are_refused():
  with pytest.raises(ValueError, match=r'need labels of shape \(4, 4\), not \(4, 1\)'):
    losses.cross_entropy(jnp.zeros((4, 4, 2)), jnp.zeros((4, 1), int))


def test_build_binds_the_margin_of_seg_loss_only():
  expected = losses.seg_loss(HAND_LOGITS, HAND_LABELS, form='hinge', margin=2.0)
  assert losses.build('seg_loss_hinge', margin=2.0)(HAND_LOGITS, HAND_LABELS) == expected
  assert losses.build('soft_iou') is losses.soft_iou


@pytest.mark.parametrize(
  ('name', 'margin', 'message'),
  [
    ('iou', 0.0, "No loss is called 'iou'; choose one of"),
    ('soft_iou', 0.5, "'soft_iou' has no margin"),
    ('seg_loss_linear', -1.0, 'must be 0 or more'),
  ],
)
def test_build_refuses_what_it_cannot_build(name, margin, message):
  with pytest.raises(ValueError, match=message):
    losses.build(name, margin=margin)


def test_an_unknown_form_of_seg_loss_is_refused():
  with pytest.raises(ValueError, match="no form 'cubic'; choose one of"):
    losses.seg_loss(HAND_LOGITS, HAND_LABELS, form='cubic')


def test_linear_seg_loss_of_unbounded_logits_is_that_of_their_soft_sign():
  logits = jnp.array([[3.0, -1.0], [0.0, 9.0]])
  labels = jnp.array([0, 0])
  # Soft signs: 3/4, -1/2; 0, 9/10. Large logits cannot outweigh the rest.
  squashed = jnp.array([[0.75, -0.5], [0.0, 0.9]])
  expected = losses.seg_loss(squashed, labels)
  unbounded = losses.build('seg_loss_linear', bounded=False)
  np.testing.assert_allclose(unbounded(logits, labels), expected, rtol=1e-6)
  assert abs(losses.build('seg_loss_linear')(logits, labels) - expected) > 0.1
  assert jnp.abs(unbounded(1e6 * logits, labels)) < 1


@pytest.mark.parametrize('name', sorted(losses.LOSSES.keys() - {'seg_loss_linear'}))
def test_other_losses_take_unbounded_logits_as_they_are(name):
  logits, labels = jnp.array([[3.0, -1.0], [0.0, 9.0]]), jnp.array([0, 1])
  values = [losses.build(name, bounded=bounded)(logits, labels) for bounded in (False, True)]
  assert values[0] == values[1]


def test_restlessness_by_hand():
  # One pixel in three frames, label 0 throughout; p_0 is 3/4, 1/2, 1/2: it changes by 1/4 once, and
  # so does p_1. The mean of 2/16 and 0.
  logits = jnp.array([[math.log(3), 0.0], [0.0, 0.0], [0.0, 0.0]])[None, :, None, None]
  labels = jnp.zeros((1, 3, 1, 1), int)
  assert losses.restlessness(logits, labels) == pytest.approx(1 / 16)
  # Where the label changes with it, it is no unrest.
  sure = 50 * jax.nn.one_hot(jnp.array([0, 1, 1]), 2)[None, :, None, None]
  moving = jnp.array([0, 1, 1])[None, :, None, None]
  assert losses.restlessness(sure, moving) == pytest.approx(0, abs=1e-6)
  assert losses.restlessness(sure, labels) == pytest.approx(1)
  assert losses.restlessness(logits[:, :1], labels[:, :1]) == 0


def test_stillness_is_added_to_a_loss_on_one_device_and_on_four():
  loss = losses.build('cross_entropy', stillness=3.0)
  video, labels = random_batch(7, (4, 3, 2, 5))
  both = losses.cross_entropy(video, labels) + 3 * losses.restlessness(video, labels)
  assert loss(video, labels) == pytest.approx(float(both))
  each = jax.pmap(lambda *x: loss(*x, axis_name='d'), axis_name='d')(
    video[:, None], labels[:, None]
  )
  np.testing.assert_allclose(each, both, rtol=1e-5)
  with pytest.raises(ValueError, match='stillness of a loss is -1'):
    losses.build('cross_entropy', stillness=-1)
