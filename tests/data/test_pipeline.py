import itertools
import multiprocessing
import os
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest
from released_tree import NAME

from fmx.data import pipeline
from fmx.data.prepared import Windows
from fmx.data.transforms import Augmentation, resize_frame, resize_labels

AUGMENTATION = Augmentation(flip=0.5, shift=0.2, brightness=0.2, noise=5)


def training(dataset, num_batches, **options):
  """The first batches; their worker processes are ended."""
  options = {
    'image_size': 16,
    'clip_length': 5,
    'batch_size': 4,
    'num_devices': 1,
    'seed': 3,
    'augmentation': AUGMENTATION,
  } | options
  batches = pipeline.train_batches(dataset, **options)
  found = list(itertools.islice(batches, num_batches))
  batches.close()
  return found


def assert_same_batches(found, expected):
  assert len(found) == len(expected)
  for one, other in zip(found, expected):
    for name in ('video', 'labels', 'window'):
      np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize('batch_size', [0, 3, 6])
def test_a_batch_that_does_not_divide_over_devices_is_refused(dataset, batch_size):
  match = f'batch of {batch_size} does not divide over 4 devices .2 in each of 2 processes'
  with pytest.raises(ValueError, match=match):
    training(dataset, 1, batch_size=batch_size, num_devices=2, process_count=2)


def test_training_batches_hold_resized_windows(dataset):
  windows = Windows(dataset, 'train', 5, keep_rest=False)
  (batch,) = training(dataset, 1, num_devices=2, augmentation=None)
  assert batch['video'].shape == (2, 2, 5, 16, 16, 3)
  assert batch['video'].dtype == batch['labels'].dtype == np.uint8
  assert batch['window'].dtype == np.int32
  for place in np.ndindex(2, 2):
    window = windows[batch['window'][place]]
    for time_index in range(5):
      np.testing.assert_array_equal(
        batch['video'][place][time_index], resize_frame(window.frames[time_index], 16)
      )
      np.testing.assert_array_equal(
        batch['labels'][place][time_index], resize_labels(window.labels[time_index], 16)
      )


def test_every_epoch_has_each_window_once_in_an_order_of_its_own(dataset):
  num_windows = len(Windows(dataset, 'train', 1, keep_rest=False))
  assert num_windows == 36
  batches = training(dataset, 27, clip_length=1)  # Three epochs of 9 batches.
  epochs = np.concatenate([batch['window'].ravel() for batch in batches]).reshape(3, num_windows)
  for epoch in epochs:
    assert sorted(epoch) == list(range(num_windows))
  assert len({tuple(epoch) for epoch in [range(num_windows), *epochs]}) == 4
  (other,) = training(dataset, 1, clip_length=1, seed=4)
  assert (other['window'] != batches[0]['window']).any()


def test_a_window_is_augmented_anew_in_each_epoch(dataset):
  batches = training(dataset, 12, clip_length=1, batch_size=6)  # Two epochs.
  videos = {}
  for batch in batches:
    for window, video in zip(batch['window'].ravel(), batch['video'].reshape(-1, 16, 16, 3)):
      videos.setdefault(int(window), []).append(video)
  assert all((first != second).any() for first, second in videos.values())


def test_an_epoch_has_at_least_one_step():
  assert pipeline.steps_per_epoch(18570, 16) == 1160
  assert pipeline.steps_per_epoch(16, 16) == 1
  assert pipeline.steps_per_epoch(3, 16) == 1


def test_a_batch_may_be_larger_than_the_dataset(dataset):
  (batch,) = training(dataset, 1, batch_size=12)  # Of 6 windows: two epochs.
  windows = batch['window'].ravel()
  assert sorted(windows[:6]) == sorted(windows[6:]) == list(range(6))


def test_workers_change_nothing_and_end_with_the_iterator(dataset):
  before = set(multiprocessing.active_children())
  assert_same_batches(training(dataset, 5, workers=2), training(dataset, 5))
  assert set(multiprocessing.active_children()) <= before


@pytest.mark.parametrize('start_step', [1, 2, 7])
def test_a_resumed_run_goes_on_bit_for_bit(dataset, start_step):
  # 6 windows in batches of 4: steps 1, 4 and 7 straddle epochs.
  whole = training(dataset, 10)
  assert_same_batches(training(dataset, 10 - start_step, start_step=start_step), whole[start_step:])


def test_processes_together_read_what_one_would(dataset):
  one = training(dataset, 4, num_devices=4)
  options = {'num_devices': 2, 'process_count': 2}
  first, second = (training(dataset, 4, process_index=p, **options) for p in range(2))
  joined = [{name: np.concatenate([a[name], b[name]]) for name in a} for a, b in zip(first, second)]
  assert_same_batches(joined, one)
  assert_same_batches(training(dataset, 2, process_index=1, start_step=2, **options), second[2:])


def test_devices_share_the_batch_of_one(dataset):
  for spread, single in zip(training(dataset, 3, num_devices=4), training(dataset, 3)):
    for name, values in spread.items():
      np.testing.assert_array_equal(values.reshape(single[name].shape), single[name])


TRAIN_SCRIPT = """
import os, signal, sys
sys.modules['jax'] = None  # To import it fails; in workers too, which run this line as well.
from fmx.data import pipeline
from fmx.data.prepared import open_dataset

if __name__ == '__main__':
  batches = pipeline.train_batches(
    open_dataset(sys.argv[1], sys.argv[2]), image_size=16, clip_length=5, batch_size=2,
    num_devices=1, seed=0, workers=1)
  print(next(batches)['video'].shape, 'tensorflow' in sys.modules, flush=True)
  os.kill(os.getpid(), signal.SIGKILL)
"""


def test_workers_need_neither_jax_nor_tensorflow_and_die_with_their_parent(data_dir, tmp_path):
  (tmp_path / 'script.py').write_text(TRAIN_SCRIPT)
  root = str(pathlib.Path(pipeline.__file__).parents[2])
  # This returns, or runs into its time limit, when the last of the processes has let go of stdout.
  done = subprocess.run(
    [sys.executable, tmp_path / 'script.py', NAME, data_dir],
    env=os.environ | {'PYTHONPATH': os.pathsep.join([root, os.environ.get('PYTHONPATH', '')])},
    capture_output=True,
    text=True,
    timeout=60,
  )
  assert done.returncode == -signal.SIGKILL, done.stderr
  assert done.stdout == '(1, 2, 5, 16, 16, 3) False\n'
