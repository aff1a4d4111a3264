import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fmx.data.eval_batches import _shares, eval_batches
from fmx.data.prepared import Windows
from fmx.data.transforms import resize_frame


def evaluation(dataset, **options):
  options = {'image_size': 16, 'clip_length': 5, 'batch_size': 4, 'num_devices': 2} | options
  windows = Windows(dataset, 'test', options['clip_length'], keep_rest=True)
  return list(eval_batches(windows, **options))


@pytest.mark.parametrize('batch_size', [0, 3, 6])
def test_a_batch_that_does_not_divide_over_devices_is_refused(dataset, batch_size):
  match = f'batch of {batch_size} does not divide over 4 devices .2 in each of 2 processes'
  with pytest.raises(ValueError, match=match):
    evaluation(dataset, batch_size=batch_size, num_devices=2, process_count=2)


def test_evaluation_in_a_worker_is_the_same(dataset):
  for found, expected in zip(evaluation(dataset, workers=1), evaluation(dataset), strict=True):
    np.testing.assert_array_equal(found.video, expected.video)
    np.testing.assert_array_equal(found.windows[0].labels[0], expected.windows[0].labels[0])


@pytest.mark.parametrize(('clip_length', 'batch_size'), [(1, 2), (1, 8), (5, 2), (5, 4), (12, 6)])
def test_evaluation_has_every_frame_once_and_in_order(dataset, clip_length, batch_size):
  batches = evaluation(dataset, clip_length=clip_length, batch_size=batch_size)
  seen = [
    (window.video_id, number)
    for batch in batches
    for window in batch.windows
    for number in window.frame_numbers
  ]
  assert seen == [('003', n) for n in range(5, 16)] + [('004', n) for n in range(1, 4)]
  for batch in batches:
    assert batch.video.shape == (2, batch_size // 2, clip_length, 16, 16, 3)
    lengths = [len(window.frame_numbers) for window in batch.windows]
    padding = [0] * (batch_size - len(lengths))
    np.testing.assert_array_equal(batch.lengths.ravel(), lengths + padding)


def test_evaluation_pads_short_windows_at_their_end_and_the_last_batch(dataset):
  # Test clips of 11 and 3 frames: windows of 5, 5, 1 and 3; the third step has one window.
  batches = evaluation(dataset, batch_size=2, num_devices=1, keep_frames=True)
  assert [batch.lengths.tolist() for batch in batches] == [[[5, 5]], [[1, 3]]]
  video = batches[1].video[0]
  window = batches[1].windows[1]
  expected = [resize_frame(window.frames[i], 16) for i in (0, 1, 2, 2, 2)]
  np.testing.assert_array_equal(video[1], expected)
  assert (video[0] == video[0, :1]).all()
  (last,) = evaluation(dataset, batch_size=6, num_devices=3)
  assert last.lengths.tolist() == [[5, 5], [1, 3], [0, 0]]
  assert not last.video[2].any()


def test_evaluation_keeps_labels_at_their_own_size(dataset, released):
  for batch in evaluation(dataset):
    for window in batch.windows:
      assert window.frames is None
      for number, labels in zip(window.frame_numbers, window.labels):
        file = released / f'labels_orig/{window.video_id}_{number:06d}.png'
        np.testing.assert_array_equal(labels, Image.open(file))


def test_processes_share_an_evaluation_and_take_equally_many_steps(dataset):
  # 8 windows of 2 frames, 6 of one clip and 2 of another: the clips begin at 0 and 6, and even
  # shares at 0, 2.67 and 5.33. The first process has none, the second the long clip: six steps.
  options = {'clip_length': 2, 'batch_size': 3, 'num_devices': 1}
  shares = [evaluation(dataset, process_index=p, process_count=3, **options) for p in range(3)]
  (whole,) = evaluation(dataset, **(options | {'batch_size': 8}))
  assert [len(share) for share in shares] == [6] * 3
  batches = [batch for share in shares for batch in share if batch.windows]
  found = np.concatenate([batch.video[:, 0] for batch in batches])
  np.testing.assert_array_equal(found, whole.video[0])
  assert [batch.lengths.item() for batch in batches] == whole.lengths.ravel().tolist()
  clips = [{window.clip for batch in share for window in batch.windows} for share in shares]
  assert clips == [set(), {whole.windows[0].clip}, {whole.windows[-1].clip}]


@given(
  numbers=st.lists(st.integers(1, 9), min_size=1, max_size=20), process_count=st.integers(1, 6)
)
@settings(deadline=None)
def test_shares_are_whole_clips_and_as_even_as_these_allow(numbers, process_count):
  starts, total = np.cumsum([0, *numbers[:-1]]), sum(numbers)
  ends = _shares(starts, total, process_count)
  assert (ends[0], ends[-1], len(ends)) == (0, total, process_count + 1)
  assert ends == sorted(ends)
  assert {*ends} <= {*starts.tolist(), total}
  assert np.diff(ends).max() <= total / process_count + max(numbers)
