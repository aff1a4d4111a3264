import numpy as np

from fmx.data.eval_batches import EvalWindow
from fmx.evaluation import pictures
from tfds_300vw import pictures as painting


def window_of_two():
  """Two frames of different sizes, and logits by which the left half is skin."""
  rng = np.random.default_rng(0)
  sizes = [(20, 16), (24, 32)]
  logits = np.zeros((2, 8, 8, 5), np.float32)
  logits[..., :4, 1] = 1
  logits[..., 4:, 0] = 1
  window = EvalWindow(
    video_id='007',
    clip='007_000011',
    start=0,
    frame_numbers=np.array([11, 12], np.int32),
    labels=[np.full(size, 2, np.uint8) for size in sizes],
    frames=[rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes],
  )
  return window, logits


def test_frames_labels_and_predictions_lie_under_one_another():
  window, logits = window_of_two()
  frames, labels, predictions = pictures.window_rows(window, logits, 'primary')
  assert list(frames.captions) == ['007  frame 11', '007  frame 12']
  for time, frame in enumerate(window.frames):
    np.testing.assert_array_equal(frames.pictures[time], frame)
    painted = painting.overlay(frame, window.labels[time], 'primary')
    np.testing.assert_array_equal(labels.pictures[time], painted)
    halves = np.zeros(frame.shape[:2], np.uint8)
    halves[:, : frame.shape[1] // 2] = 1
    painted = painting.overlay(frame, halves, 'primary')
    np.testing.assert_array_equal(predictions.pictures[time], painted)
    assert (predictions.pictures[time] != labels.pictures[time]).any()
  assert set(labels.captions) | set(predictions.captions) == {'labels', 'prediction'}


def test_windows_make_one_sheet():
  window, logits = window_of_two()
  rows = [*pictures.window_rows(window, logits, 'primary')] * 2
  sheet = painting.sheet(rows, 'primary')
  assert sheet.dtype == np.uint8
  assert sheet.shape[2] == 3
  assert sheet.shape[0] > 6 * 20
