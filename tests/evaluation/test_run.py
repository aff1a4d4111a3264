import itertools

import jax
import numpy as np
import pytest
import tiny_runs
from sklearn import metrics

from fmx.baselines import smoothing
from fmx.baselines.dense_crf import DenseCRF
from fmx.data.eval_batches import eval_batches
from fmx.data.prepared import Windows, open_dataset
from fmx.data.transforms import resize_frame
from fmx.evaluation import run
from fmx.labelling.classes import resize_logits
from fmx.train.step import parallel_eval

NAMES = ('background', 'facial_skin', 'eyes', 'outer_mouth', 'inner_mouth')


@pytest.fixture(scope='module')
def dataset():
  return open_dataset(tiny_runs.DATASET, tiny_runs.data_dir())


def windows(dataset, split='validation', batch_size=4, num_devices=4, predict=None, **options):
  """Every window with what a network says that sees colours and the number of the frame."""
  predict = predict or parallel_eval(lambda _, batch: brightness(batch['video']))
  batches = eval_batches(
    Windows(dataset, split, 5, keep_rest=True),
    image_size=32,
    clip_length=5,
    batch_size=batch_size,
    num_devices=num_devices,
    **options,
  )
  return run.window_logits(lambda video: predict(0, {'video': video}), batches)


def brightness(video):
  """Logits [..., 5] that are larger the nearer a pixel is to one of five colours."""
  colors = np.array([[5, 5, 5], [130, 5, 5], [5, 130, 5], [5, 130, 130], [5, 5, 130]], np.float32)
  distance = (video[..., None, :].astype(np.float32) - colors) ** 2
  return -distance.sum(axis=-1) / 1000


@pytest.mark.parametrize('split', ['validation', 'test'])
@pytest.mark.parametrize('batch_size', [4, 12])
def test_every_frame_is_there_once_with_its_own_logits(dataset, split, batch_size):
  # 'test' has a clip of 5 + 1 frames and one of 3, on four devices or in twelve places.
  listed = Windows(dataset, split, 5, keep_rest=True)
  found = list(windows(dataset, split, batch_size))
  assert len(found) == len(listed)
  for (window, logits), expected in zip(found, listed):
    assert (window.clip, window.start) == (expected.clip, expected.start)
    assert len(logits) == len(window.labels) == len(expected.frames)
    for time, frame in enumerate(expected.frames):
      own = brightness(resize_frame(frame, 32))
      np.testing.assert_allclose(logits[time], own, rtol=1e-4, atol=1e-3)
  frames = [(w.clip, w.start + t) for w, _ in found for t in range(len(w.labels))]
  assert len(set(frames)) == len(frames) == sum(dataset.clip_lengths[split])


def test_the_results_are_those_of_an_independent_library(dataset):
  results = run.evaluate(windows(dataset), NAMES)
  labels, predictions = [], []
  for window in Windows(dataset, 'validation', 5, keep_rest=True):
    for frame, truth in zip(window.frames, window.labels):
      logits = brightness(resize_frame(frame, 32))
      predictions.append(resize_logits(logits, *truth.shape).argmax(-1).ravel())
      labels.append(truth.ravel())
  labels, predictions = np.concatenate(labels), np.concatenate(predictions)
  counts = metrics.confusion_matrix(labels, predictions, labels=range(5))
  assert np.abs(counts - results['counts']).sum() <= 1e-4 * counts.sum()  # Ties and rounding.
  scores = metrics.jaccard_score(labels, predictions, labels=range(5), average=None)
  assert results['miou'] == pytest.approx(scores[1:].mean(), abs=1e-3)
  assert results['miou'] > 0.5  # The network is not blind, so the comparison means something.
  assert results['frames'] == 12
  assert list(results['iou']) == list(NAMES)


def test_the_batch_and_the_devices_do_not_matter(dataset):
  plain = jax.jit(lambda _, batch: brightness(batch['video']))
  expected = run.evaluate(windows(dataset, 'test', 1, 1, plain), NAMES)
  for batch_size in (4, 8):
    assert run.evaluate(windows(dataset, 'test', batch_size), NAMES) == expected
  assert run.evaluate(windows(dataset, 'test', 4, keep_frames=True), NAMES) == expected


def test_positions_count_from_one_in_each_window_and_frames_in_the_clip(dataset):
  scores = [
    score
    for window, logits in windows(dataset, 'test')
    for score in run.score_window(window, logits)
  ]
  found = [(score.clip, score.frame, score.position) for score in scores]
  first, second = '004_000001', '005_000001'
  assert found == [
    *((first, frame, frame + 1) for frame in range(5)),
    (first, 5, 1),
    *((second, frame, frame + 1) for frame in range(3)),
  ]
  assert [score.video for score in scores] == ['004'] * 6 + ['005'] * 3


def test_clips_are_smoothed_over_the_borders_of_their_windows_and_not_over_those_of_clips(dataset):
  plain = list(windows(dataset, 'test'))
  smoothed = list(run.smooth_clips(iter(plain)))
  assert [id(window) for window, _ in smoothed] == [id(window) for window, _ in plain]
  assert [len(probs) for _, probs in smoothed] == [5, 1, 3]
  for clip, pairs in itertools.groupby(zip(plain, smoothed), key=lambda pair: pair[0][0].clip):
    before, after = zip(*pairs)
    whole = smoothing.softmax(np.concatenate([logits for _, logits in before]))
    expected = smoothing.smooth(whole)
    found = np.concatenate([probs for _, probs in after])
    np.testing.assert_allclose(found, expected, atol=1e-6, err_msg=clip)
  # The sixth frame stands alone in its window, but not in its clip.
  alone = smoothing.softmax(plain[1][1])
  assert np.abs(smoothed[1][1] - alone).max() > 0.01


def test_a_dense_crf_sees_the_frames_at_the_size_of_the_logits(dataset):
  crf = DenseCRF(2, 1.0, 2.0, 2.0, 10.0, 10.0)
  plain = list(windows(dataset, 'test', keep_frames=True))
  refined = list(run.refine_windows(iter(plain), crf))
  assert [id(window) for window, _ in refined] == [id(window) for window, _ in plain]
  for (window, logits), (_, found) in zip(plain, refined):
    assert found.shape == logits.shape
    for time, frame in enumerate(window.frames):
      expected = crf.refine(resize_frame(frame, 32), smoothing.softmax(logits[time]))
      np.testing.assert_array_equal(found[time], expected)
  assert np.abs(refined[0][1] - smoothing.softmax(plain[0][1])).max() > 0.01


@pytest.mark.parametrize('process_count', [2, 3])
def test_processes_smooth_what_one_would(dataset, process_count):
  expected = {(w.clip, w.start): probs for w, probs in run.smooth_clips(windows(dataset, 'test'))}
  found = {}
  predict = jax.jit(lambda _, batch: brightness(batch['video']))
  for index in range(process_count):
    own = windows(
      dataset, 'test', process_count, 1, predict, process_index=index, process_count=process_count
    )
    found |= {(w.clip, w.start): probs for w, probs in run.smooth_clips(own)}
  assert found.keys() == expected.keys()
  for place, probs in found.items():
    np.testing.assert_allclose(probs, expected[place], atol=1e-5)


def test_no_window_is_an_error(dataset):
  with pytest.raises(ValueError, match='no frame to evaluate'):
    run.evaluate(iter([]), NAMES)
