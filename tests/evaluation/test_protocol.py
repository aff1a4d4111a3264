import json

import numpy as np
import pytest

from fmx.evaluation import protocol
from fmx.evaluation.confusion import confusion_counts, mean_iou

CLASSES = ['background', 'skin', 'eyes']


def make_score(video='v', clip='c', frame=0, position=1, counts=None):
  counts = np.diag([5, 3, 2]) if counts is None else np.asarray(counts)
  return protocol.FrameScore(video, clip, frame, position, counts)


def random_scores(seed=0):
  """Two videos with three clips of four frames, in windows of two."""
  rng = np.random.default_rng(seed)
  return [
    make_score(f'v{clip % 2}', f'c{clip}', frame, frame % 2 + 1, rng.integers(1, 99, size=(3, 3)))
    for clip in range(3)
    for frame in range(4)
  ]


def test_a_frame_is_scored_at_the_size_of_its_labels_by_hand():
  # Predicted: class 2 in the right half, columns 22 to 43 of 44. Labelled: from column 20 on.
  labels = np.zeros((31, 44), np.uint8)
  labels[:, 20:] = 2
  logits = np.zeros((16, 16, 3), np.float16)
  logits[..., 2] = np.where(np.arange(16) < 8, -1, 1)
  logits[..., 1] = -9
  score = protocol.score_frame(logits, labels, video='v', clip='c', frame=3, position=4)
  np.testing.assert_array_equal(score.counts, [[31 * 20, 0, 0], [0, 0, 0], [31 * 2, 0, 31 * 22]])
  assert score[:4] == ('v', 'c', 3, 4)


def test_results_are_ratios_of_counts_over_the_whole_set():
  scores = random_scores()
  result = protocol.summarize(scores, CLASSES)
  total = sum(score.counts for score in scores)
  assert result['miou'] == mean_iou(total)
  assert result['frames'] == 12
  np.testing.assert_array_equal(result['counts'], total)
  skin = total[1, 1] / (total[1].sum() + total[:, 1].sum() - total[1, 1])
  assert result['iou']['skin'] == pytest.approx(skin)
  assert list(result['iou']) == CLASSES


def test_counts_over_frames_are_those_of_all_pixels_at_once():
  rng = np.random.default_rng(1)
  labels, predictions = rng.integers(3, size=(2, 6, 8, 9))
  scores = [
    make_score(frame=i, counts=confusion_counts(*pair, 3))
    for i, pair in enumerate(zip(labels, predictions))
  ]
  whole = confusion_counts(labels, predictions, 3)
  np.testing.assert_array_equal(protocol.summarize(scores, CLASSES)['counts'], whole)


def test_each_position_in_the_window_has_the_miou_of_its_frames():
  scores = random_scores()
  positions = protocol.summarize(scores, CLASSES)['positions']
  assert list(positions) == ['1', '2']
  second = sum(score.counts for score in scores if score.position == 2)
  assert positions['2'] == mean_iou(second)


def test_positions_beyond_nine_stay_in_order():
  scores = [make_score(frame=i, position=i + 1) for i in range(11)]
  assert list(protocol.summarize(scores, CLASSES)['positions']) == [str(i) for i in range(1, 12)]


def test_subjects_have_the_mean_and_deviation_of_their_frames_by_hand():
  # Frame 1: skin 1/2, eyes 1: mIoU 3/4. Frame 2: skin 1, no eyes: mIoU 1. Frame 3: background only.
  # Mean 7/8, deviation 1/8, of two frames.
  frames = [[[3, 0, 0], [1, 1, 0], [0, 0, 1]], np.diag([2, 1, 0]), np.diag([9, 0, 0])]
  scores = [make_score(frame=i, counts=counts) for i, counts in enumerate(frames)]
  scores.append(make_score('w', 'd', counts=np.diag([1, 0, 0])))
  subjects = protocol.summarize(scores, CLASSES)['subjects']
  assert subjects['v'] == {'mean': 7 / 8, 'std': 1 / 8, 'frames': 2}
  assert subjects['w'] == {'mean': None, 'std': None, 'frames': 0}


def test_clips_keep_their_counts():
  scores = random_scores()
  clips = protocol.summarize(scores, CLASSES)['clips']
  assert list(clips) == ['c0', 'c1', 'c2']
  np.testing.assert_array_equal(clips['c1'], sum(s.counts for s in scores if s.clip == 'c1'))


def test_the_order_of_frames_does_not_matter_and_json_takes_the_results():
  scores = random_scores()
  result = protocol.summarize(scores, CLASSES)
  assert protocol.summarize(reversed(scores), CLASSES) == result
  assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_an_absent_class_is_none_in_the_results():
  result = protocol.summarize([make_score(counts=np.diag([1, 1, 0]))], CLASSES)
  assert result['iou']['eyes'] is None
  json.dumps(result, allow_nan=False)


def test_a_frame_that_is_there_twice_is_refused():
  with pytest.raises(ValueError, match='Frame 0 of clip c is evaluated twice'):
    protocol.summarize([make_score(), make_score(position=2)], CLASSES)


def test_an_empty_set_is_refused():
  with pytest.raises(ValueError, match='no frame to evaluate'):
    protocol.summarize([], CLASSES)


def test_names_of_another_number_of_classes_are_refused():
  with pytest.raises(ValueError, match='2 class names are given for 3 classes'):
    protocol.summarize([make_score()], CLASSES[:2])
