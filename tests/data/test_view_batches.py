"""Batches of windows out of prepared whole frames."""

import itertools
import pickle

import numpy as np
import pytest
import tiny_runs

from fmx.data import eval_batches, pipeline
from fmx.data.prepared import FrameExamples, open_dataset
from fmx.data.spoiling import Spoiling
from fmx.data.transforms import resize_frame
from fmx.data.views import FrameWindows, TrainView, View

VIEW = View(
  region='eye', margin=2.0, scale=0.3, shift=0.1, roll=10.0, flip=0.5, people=0.5, empty=0.1
)
SPOILING = Spoiling(occluders=0.5, noise=9.0, jpeg=0.5)


@pytest.fixture(scope='module')
def dataset():
  return open_dataset(tiny_runs.FRAMES, tiny_runs.frames_dir())


@pytest.fixture(scope='module')
def view(dataset):
  return TrainView(FrameWindows(dataset, 'train', VIEW), VIEW, SPOILING, 24)


def training(view, number, **options):
  options = {'batch_size': 4, 'num_devices': 1, 'seed': 3} | options
  batches = pipeline.view_batches(view, **options)
  found = list(itertools.islice(batches, number))
  batches.close()
  return found


def assert_same(found, expected):
  for one, other in zip(found, expected, strict=True):
    assert one.keys() == other.keys() == {'video', 'labels', 'window'}
    for name, value in one.items():
      np.testing.assert_array_equal(value, other[name])


def test_faces_are_counted_without_decoding_them(dataset):
  for split in dataset.clip_lengths:
    frames = FrameExamples(dataset, split)
    numbers = [frames.num_faces(index) for index in range(len(frames))]
    assert numbers == [len(frame.landmarks) for frame in frames]
    assert (max(numbers) == 2) == ('1_1' in frames.video_ids)


def test_the_windows_of_a_split_are_its_photographs_and_every_fifth_frame(dataset):
  windows = FrameWindows(dataset, 'train', VIEW)
  frames = windows._frames
  assert (frames.frame_numbers[windows.videos] % 5 == 1).all()
  assert not frames.from_people[windows.videos].any()
  assert frames.from_people[windows.stills].all()
  # Two eyes of each face; a video's clip of ten frames gives 1 and 6.
  faces = sum(frames.num_faces(index) for index in windows.stills)
  assert len(windows) == 2 * (faces + len(windows.videos))
  assert len(windows.videos) == 2 * len({frames.video_ids[index] for index in windows.videos})


def test_a_batch_holds_draws_for_each_device(view):
  batch, other = training(view, 2, num_devices=2)
  assert batch['video'].shape == (2, 2, 1, 24, 24, 3)
  assert batch['labels'].shape == (2, 2, 1, 24, 24)
  assert batch['window'].shape == (2, 2)
  assert batch['video'].dtype == batch['labels'].dtype == np.uint8
  assert batch['labels'].max() == 1
  assert (batch['video'] != other['video']).any()
  for index in batch['window'].ravel():
    assert ', frame ' in view.windows.describe(int(index))


def test_a_step_is_the_same_whatever_was_before_and_whoever_reads_it(view):
  whole = training(view, 5, num_devices=4)
  assert_same(training(view, 3, num_devices=4, start_step=2), whole[2:])
  options = {'num_devices': 2, 'process_count': 2}
  first, second = (training(view, 5, process_index=p, **options) for p in range(2))
  joined = [{name: np.concatenate([a[name], b[name]]) for name in a} for a, b in zip(first, second)]
  assert_same(joined, whole)
  (other,) = training(view, 1, num_devices=4, seed=4)
  assert (other['video'] != whole[0]['video']).any()


def test_a_worker_process_draws_the_same(view):
  assert_same(training(view, 3, workers=1), training(view, 3))


def test_what_goes_to_a_worker_is_small(view):
  view.windows[0]
  assert len(pickle.dumps(view)) < 10_000


def test_a_batch_that_does_not_divide_is_refused(view):
  with pytest.raises(ValueError, match='batch of 3 does not divide over 2 devices'):
    training(view, 1, batch_size=3, num_devices=2)


def test_evaluation_has_each_window_once(dataset):
  windows = FrameWindows(dataset, 'test', VIEW, 40)
  batches = list(
    eval_batches.eval_batches(windows, image_size=24, clip_length=1, batch_size=4, num_devices=2)
  )
  kept = [window for batch in batches for window in batch.windows]
  assert [window.clip for window in kept] == [window.clip for window in windows]
  assert [int(batch.lengths.sum()) for batch in batches] == [
    min(4, len(windows) - start) for start in range(0, len(windows), 4)
  ]
  first = windows[0]
  np.testing.assert_array_equal(batches[0].video[0, 0, 0], resize_frame(first.frames[0], 24))
  np.testing.assert_array_equal(kept[0].labels[0], first.labels[0])
