import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fmx.evaluation.confusion import confusion_counts, iou, mean_iou

NUM_CLASSES = 4
PAIRS = hnp.arrays(np.uint8, st.tuples(st.just(2), st.integers(1, 60)), elements=st.integers(0, 3))


def test_counts_iou_and_miou_by_hand():
  # label      0 0 0 1 1 2
  # prediction 0 1 0 1 0 1
  counts = confusion_counts(np.array([0, 0, 0, 1, 1, 2]), np.array([0, 1, 0, 1, 0, 1]), 3)
  np.testing.assert_array_equal(counts, [[2, 1, 0], [1, 1, 0], [0, 1, 0]])
  # Class 0: 2 / (3 + 3 - 2) = 1/2. Class 1: 1 / (2 + 3 - 1) = 1/4. Class 2: 0 / (1 + 0 - 0) = 0.
  np.testing.assert_allclose(iou(counts), [1 / 2, 1 / 4, 0])
  # Without background: (1/4 + 0) / 2.
  assert mean_iou(counts) == 1 / 8


@settings(deadline=None)  # The first example pays for imports.
@given(PAIRS)
def test_counts_are_those_of_scikit_learn(pairs):
  metrics = pytest.importorskip('sklearn.metrics', reason='scikit-learn is not installed')
  expected = metrics.confusion_matrix(*pairs, labels=range(NUM_CLASSES))
  np.testing.assert_array_equal(confusion_counts(*pairs, NUM_CLASSES), expected)


@settings(deadline=None)
@given(PAIRS)
def test_iou_is_that_of_scikit_learn(pairs):
  metrics = pytest.importorskip('sklearn.metrics', reason='scikit-learn is not installed')
  ratios = iou(confusion_counts(*pairs, NUM_CLASSES))
  present = np.unique(pairs)
  expected = metrics.jaccard_score(*pairs, labels=present, average=None)
  np.testing.assert_allclose(ratios[present], expected)
  assert np.isnan(np.delete(ratios, present)).all()


@settings(deadline=None)
@given(PAIRS, st.integers(0, 60))
def test_counts_of_parts_add_up_to_the_counts_of_the_whole(pairs, cut):
  parts = [confusion_counts(*part, NUM_CLASSES) for part in (pairs[:, :cut], pairs[:, cut:])]
  np.testing.assert_array_equal(sum(parts), confusion_counts(*pairs, NUM_CLASSES))


@settings(deadline=None)
@given(PAIRS)
def test_iou_is_symmetric_in_labels_and_predictions(pairs):
  counts = confusion_counts(*pairs, NUM_CLASSES)
  np.testing.assert_array_equal(iou(counts), iou(counts.T))


def test_an_absent_class_has_no_iou_and_no_share_in_the_mean():
  counts = confusion_counts(np.array([0, 1]), np.array([0, 1]), 3)
  np.testing.assert_array_equal(iou(counts), [1, 1, np.nan])
  assert mean_iou(counts) == 1


def test_a_class_that_is_only_predicted_counts_as_wrong():
  counts = confusion_counts(np.array([1, 1]), np.array([1, 2]), 3)
  np.testing.assert_array_equal(iou(counts), [np.nan, 1 / 2, 0])
  assert mean_iou(counts) == 1 / 4


def test_background_alone_has_no_miou():
  assert np.isnan(mean_iou(confusion_counts(np.zeros(3, int), np.zeros(3, int), 3)))


def test_many_confusion_matrices_are_handled_at_once():
  counts = np.random.default_rng(0).integers(1, 9, size=(7, 3, 3))
  np.testing.assert_array_equal(mean_iou(counts), [mean_iou(one) for one in counts])


def test_neither_ids_nor_counts_overflow():
  # 19 · 20 + 19 = 399 does not fit uint8, and 30 billion pixels do not fit int32.
  nineteen = np.full(3, 19, np.uint8)
  counts = confusion_counts(nineteen, nineteen, 20)
  assert counts.dtype == np.int64
  assert counts[19, 19] == 3
  assert iou(counts * 10**10)[19] == 1


@pytest.mark.parametrize(
  ('labels', 'predictions', 'message'),
  [
    ([0, 4], [0, 1], 'The labels hold ids from 0 to 4, but there are 4 classes'),
    ([0, 1], [-1, 1], 'The predictions hold ids from -1 to 1'),
    ([0, 1], [[0, 1]], r'shape \(2,\) cannot be compared with predictions of shape \(1, 2\)'),
  ],
)
def test_ids_and_shapes_that_do_not_fit_are_refused(labels, predictions, message):
  with pytest.raises(ValueError, match=message):
    confusion_counts(np.array(labels), np.array(predictions), 4)
