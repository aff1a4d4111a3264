import dataclasses
import json

import jax
import numpy as np
import pytest
import tiny_models
import tiny_runs
from small_datasets import centered_labels, write_released

from fmx import jobs
from fmx.baselines.dense_crf import DenseCRF
from fmx.data.eval_batches import clip_windows, eval_batches
from fmx.data.prepared import Windows, open_dataset
from fmx.data.transforms import resize_frame
from fmx.evaluation import protocol, run, systems, tables
from fmx.evaluation.systems import LANDMARKS, evaluate
from tfds_300vw import __main__ as command

SPLIT = 'test'  # A clip of 6 frames and one of 3: with windows of 4 frames, 4 + 2 and 3.
LENGTH = 4
CRF = DenseCRF(2, 1.0, 2.0, 2.0, 10.0, 10.0)
NAMES = ('background', 'facial_skin', 'eyes', 'outer_mouth', 'inner_mouth')


@pytest.fixture(scope='module')
def dataset():
  return open_dataset(tiny_runs.DATASET, tiny_runs.data_dir())


@pytest.fixture(scope='module')
def models():
  return tiny_models.models('fcn', 'primary', 'eyes', 'mouth', length=LENGTH)


@pytest.fixture(scope='module')
def results(dataset, models):
  return evaluate(
    models,
    dataset,
    SPLIT,
    batch_size=2,
    stream=False,
    label_landmarks=labels_like_the_truth,
    dense_crf=CRF,
  )


def labels_like_the_truth(frames, boxes):
  """The labels of `write_released` depend on the size alone; the second clip's are left out."""
  assert len(frames) == len(boxes)
  assert [frame.shape[:2] for frame in frames] == [(b[3] - b[1], b[2] - b[0]) for b in boxes]
  empty = len(frames) == 3
  return [centered_labels(*frame.shape[:2]) * np.uint8(not empty) for frame in frames]


def clips(dataset):
  return list(clip_windows(dataset, SPLIT, clip_length=LENGTH))


def expected_counts(model, dataset, *, whole_clips):
  """The counts of a network that is given windows, or clips whole."""
  apply = jax.jit(model.network.apply)
  total = 0
  for clip in clips(dataset):
    stretches = [clip] if whole_clips else [[window] for window in clip]
    for stretch in stretches:
      frames = [frame for window in stretch for frame in window.frames]
      labels = [labels for window in stretch for labels in window.labels]
      video = np.stack([resize_frame(frame, tiny_models.SIZE) for frame in frames])
      logits, _ = apply(model.variables, video[None])
      for frame_logits, frame_labels in zip(np.asarray(logits)[0], labels):
        score = protocol.score_frame(
          frame_logits, frame_labels, video='', clip='', frame=0, position=1
        )
        total = total + score.counts
  return total


def assert_nearly_equal(counts, expected):
  """But for ties of rounding."""
  counts, expected = np.array(counts), np.array(expected)
  assert counts.sum() == expected.sum() > 0
  assert np.abs(counts - expected).sum() <= 1e-3 * expected.sum()


def test_there_is_a_row_for_each_model_and_for_what_they_are_together(results):
  assert list(results) == [
    'FCN',
    'FCN + temporal smoothing',
    'FCN + dense CRF',
    'ConvLSTM-FCN',
    'ConvLSTM-FCN + zoomed-in models',
    '68-landmark tracker',
  ]
  rows = tables.comparison_rows(results)
  assert rows[0] == ['model', *NAMES, 'mIoU', 'gain', 'p']
  assert len(rows) == 7
  json.dumps(results)


def test_every_frame_is_scored_once_at_its_stored_size(results, dataset):
  pixels = sum(frame.size for clip in clips(dataset) for window in clip for frame in window.labels)
  for result in results.values():
    assert result['frames'] == 9
    assert np.sum(result['counts']) == pixels
    assert list(result['clips']) == ['004_000001', '005_000001']
    assert list(result['positions']) == ['1', '2', '3', '4']


@pytest.mark.parametrize(('row', 'name'), [('FCN', 'fcn'), ('ConvLSTM-FCN', 'primary')])
def test_each_window_is_labelled_as_its_network_labels_it_alone(
  results, dataset, models, row, name
):
  expected = expected_counts(models[name], dataset, whole_clips=False)
  assert_nearly_equal(results[row]['counts'], expected)
  assert np.count_nonzero(expected.sum(axis=0)) > 1  # It tells classes apart.


def test_streaming_is_labelling_a_clip_whole(results, dataset, models):
  streamed = evaluate({'primary': models['primary']}, dataset, SPLIT, batch_size=2, stream=True)
  expected = expected_counts(models['primary'], dataset, whole_clips=True)
  assert_nearly_equal(streamed['ConvLSTM-FCN']['counts'], expected)
  with pytest.raises(AssertionError):
    assert_nearly_equal(results['ConvLSTM-FCN']['counts'], expected)


def test_smoothing_and_the_crf_are_those_of_the_evaluation_of_a_checkpoint(
  results, dataset, models
):
  apply = jax.jit(models['fcn'].network.apply)
  listed = Windows(dataset, SPLIT, LENGTH, keep_rest=True)
  batches = eval_batches(
    listed, image_size=32, clip_length=LENGTH, batch_size=1, num_devices=1, keep_frames=True
  )
  windows = list(
    run.window_logits(lambda video: apply(models['fcn'].variables, video[0])[0][None], batches)
  )
  for title, changed in (
    ('FCN + temporal smoothing', run.smooth_clips(windows)),
    ('FCN + dense CRF', run.refine_windows(windows, CRF)),
  ):
    expected = run.evaluate(changed, NAMES)
    assert_nearly_equal(results[title]['counts'], expected['counts'])
    assert results[title]['counts'] != results['FCN']['counts']


def test_the_zoomed_in_models_change_the_primary_mask(results):
  plain, zoomed = (
    np.array(results[row]['counts']) for row in ('ConvLSTM-FCN', 'ConvLSTM-FCN + zoomed-in models')
  )
  np.testing.assert_array_equal(plain.sum(axis=1), zoomed.sum(axis=1))
  assert np.abs(plain - zoomed).sum() > 100


@pytest.mark.parametrize('batch_size', [1, 5])
def test_the_number_of_clips_at_once_does_not_matter(results, dataset, models, batch_size):
  found = evaluate(models, dataset, SPLIT, batch_size=batch_size, stream=False)
  for row, result in found.items():
    assert_nearly_equal(result['counts'], results[row]['counts'])


def test_stillness_is_measured_at_one_size_and_within_clips(results):
  # In the first clip the drawn face fills frames of different shapes alike, so at one size it
  # hardly moves. The tracker leaves the second clip blank, which counts for nothing.
  tracker = results['68-landmark tracker']
  first = tracker['clips']['004_000001']
  assert np.array_equal(first, np.diag(np.diag(first)))
  truth = tracker['temporal_labels']
  assert (truth['frames'], truth['pairs']) == (9, 7)
  for found in (truth, tracker['temporal']):
    assert found['iou']['facial_skin'] > 0.8
    assert found['miou'] > 0.5
  rows = tables.temporal_rows(results)
  assert rows[0] == ['model', *NAMES[1:], 'mIoU', 'flicker']
  assert [row[0] for row in rows[1:]] == [*results, 'labels']
  assert rows[-1][-2] == f'{100 * truth["miou"]:.2f}'


def test_a_dataset_of_a_region_has_the_row_of_its_model(models, tmp_path):
  write_released(tmp_path / 'released', videos=tiny_runs.VIDEOS)
  command.main(
    [
      '--config=released_eyes',
      '--workers=1',
      f'--manual_dir={tmp_path / "released"}',
      f'--data_dir={tmp_path / "data"}',
    ]
  )
  eyes = open_dataset('the300vw_mask/released_eyes', tmp_path / 'data')
  found = evaluate(models, eyes, SPLIT, batch_size=2, stream=False)
  assert list(found) == ['ConvLSTM-FCN (eyes)']
  assert found['ConvLSTM-FCN (eyes)']['classes'] == ['background', 'eyes']
  assert_nearly_equal(
    found['ConvLSTM-FCN (eyes)']['counts'],
    expected_counts(models['eyes'], eyes, whole_clips=False),
  )


def test_spoiled_frames_are_scored_apart_from_the_others(dataset, models, monkeypatch):
  def blacken_first(clip):
    black = [
      dataclasses.replace(w, frames=[np.zeros_like(w.frames[0]), *w.frames[1:]]) for w in clip
    ]
    return black, np.concatenate([np.arange(len(window.frames)) == 0 for window in clip])

  def nothing_where_black(frames, boxes):
    labels = labels_like_the_truth(frames, boxes)
    return [of_frame * np.uint8(frame.any()) for frame, of_frame in zip(frames, labels)]

  monkeypatch.setattr(systems, 'spoil_frames', blacken_first)
  found = evaluate(
    models,
    dataset,
    SPLIT,
    batch_size=2,
    stream=False,
    spoiled=True,
    label_landmarks=nothing_where_black,
  )
  for title, result in found.items():
    spoiled, others = result['spoiled']['spoiled'], result['spoiled']['others']
    assert (spoiled['frames'], others['frames']) == (3, 6)  # Of windows of 4 + 2 and 3 frames.
    if title == 'FCN':  # Without a memory the others are as they were.
      untouched = sum(np.array(result['clips'][clip]) for clip in result['clips'])
      black = np.array(spoiled['counts']).sum(axis=1)  # Labelled pixels of the first frames.
      total = np.array(others['counts']).sum(axis=1) + black
      np.testing.assert_array_equal(total, untouched.sum(axis=1))
  tracker = found[LANDMARKS]['spoiled']
  assert not np.array(tracker['spoiled']['counts'])[:, 1:].any()  # All of it is background.
  whole = next(clip for clip in tracker['others']['clips'] if clip.startswith('004'))
  counts = np.array(tracker['others']['clips'][whole])
  np.testing.assert_array_equal(counts, np.diag(np.diag(counts)))
  rows = tables.spoiled_rows(found)
  assert rows[0] == ['model', 'spoiled frames', 'gain', 'p', 'others', 'gain', 'p']
  assert rows[1][0] == 'FCN'
  assert rows[1][2:4] == [tables.ABSENT] * 2
  assert len(rows) == 1 + len(found)


def test_weights_that_do_not_fit_the_data_are_refused(dataset, models):
  with pytest.raises(ValueError, match="hold eyes, but the300vw_mask/released_primary is of 'pri"):
    evaluate({'eyes': models['eyes']}, dataset, SPLIT, batch_size=2, stream=False)
  other = dataclasses.replace(dataset, class_names=('background', 'face'))
  with pytest.raises(
    ValueError, match="'fcn' knows background, .* has the classes background, face"
  ):
    evaluate(models, other, SPLIT, batch_size=2, stream=False)
  eyes = dataclasses.replace(dataset, region='eyes', class_names=('background', 'eyes'))
  with pytest.raises(ValueError, match='landmark tracker labels whole faces'):
    evaluate(models, eyes, SPLIT, batch_size=2, stream=False, label_landmarks=labels_like_the_truth)
  mixed = models | {'mouth': tiny_models.model('mouth', length=5)}
  with pytest.raises(ValueError, match='mouth: 5'):
    evaluate(mixed, dataset, SPLIT, batch_size=2, stream=False)


def test_the_job_evaluates_weights_and_writes_the_tables(models, tmp_path, monkeypatch, capsys):
  monkeypatch.setattr(jobs.weights, 'load', lambda folder: models)
  config = tiny_runs.config(
    job='evaluate', weights='somewhere', evaluation__batch_size=3, evaluation__spoiled=True
  )
  results = jobs.evaluate(config, tmp_path / 'out')
  assert json.loads((tmp_path / 'out/results.json').read_text()) == results
  markdown = (tmp_path / 'out/results.md').read_text()
  assert '| ConvLSTM-FCN + zoomed-in models |' in markdown
  assert '| labels ' in markdown
  output = capsys.readouterr().out
  assert 'From frame to frame:' in output
  assert 'One or two of five frames spoiled:' in output
  assert '| model ' in markdown.partition('spoiled frames')[0].rpartition('\n')[2]


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'checkpoint': 'runs/fcn'}, 'Both checkpoint .* and weights'),
    ({'evaluation__state': 'keep'}, "evaluation.state is 'keep'; it must be one of stream, reset"),
    ({'evaluation__batch_size': 0}, 'evaluation.batch_size is 0'),
    ({'evaluation__split': 'tst'}, "no split 'tst'"),
    ({'weights': '/nowhere'}, '/nowhere holds no weights'),
  ],
)
def test_mistakes_are_told_before_anything_is_computed(
  options, message, models, tmp_path, monkeypatch
):
  if 'weights' not in options:
    monkeypatch.setattr(jobs.weights, 'load', lambda folder: models)
  config = tiny_runs.config(**{'job': 'evaluate', 'weights': 'somewhere'} | options)
  with pytest.raises((ValueError, OSError), match=message):
    jobs.evaluate(config, tmp_path / 'out')
  assert not (tmp_path / 'out').exists()
