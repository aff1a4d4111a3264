import dataclasses
import itertools
import json
import multiprocessing
import os
import pathlib
import pickle
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import tfds_300vw
from fmx.data import dataset as dataset_module
from fmx.data import pipeline
from fmx.data.transforms import Augmentation, resize_frame, resize_labels
from tfds_300vw.options import ClipOptions

NAME = 'the300vw_mask/released_primary'
# Frame numbers of each clip; a gap starts a new clip.
CLIPS = {
  'train': {'001': [range(1, 13), range(20, 23)], '005': [range(3, 13)], '006': [range(1, 12)]},
  'validation': {'002': [range(1, 8)]},
  'test': {'003': [range(5, 16)], '004': [range(1, 4)]},
}
AUGMENTATION = Augmentation(flip=0.5, shift=0.2, brightness=0.2, noise=5)


@pytest.fixture(scope='module')
def released(tmp_path_factory):
  """A released tree of noise images; their sizes differ."""
  root = tmp_path_factory.mktemp('released')
  rng = np.random.default_rng(0)
  for folder in ('images_orig', 'labels_orig', 'data_splits/split_1'):
    (root / folder).mkdir(parents=True)
  for split, videos in CLIPS.items():
    lines = []
    for video_id, clips in videos.items():
      for number in itertools.chain(*clips):
        height, width = rng.integers(12, 30, 2)
        name = f'{video_id}_{number:06d}'
        frame = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(frame).save(root / f'images_orig/{name}.jpg', quality=95)
        labels = rng.integers(0, 5, (height, width), dtype=np.uint8)
        Image.fromarray(labels).save(root / f'labels_orig/{name}.png')
        lines.append(f'/images_orig/{name}.jpg /labels_orig/{name}.png\n')
    name = 'val' if split == 'validation' else split
    (root / f'data_splits/split_1/{name}_per10.txt').write_text(''.join(lines))
  return root


@pytest.fixture(scope='module')
def data_dir(released, tmp_path_factory):
  """The folder of the dataset prepared from that tree."""
  folder = tmp_path_factory.mktemp('data')
  builder = tfds_300vw.Builder(
    config='released_primary', data_dir=folder, file_format='array_record'
  )
  builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=released))
  return folder


@pytest.fixture
def dataset(data_dir):
  return pipeline.open_dataset(NAME, data_dir)


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


def evaluation(dataset, **options):
  options = {'image_size': 16, 'clip_length': 5, 'batch_size': 4, 'num_devices': 2} | options
  windows = pipeline.Windows(dataset, 'test', options['clip_length'], keep_rest=True)
  return list(pipeline.eval_batches(windows, **options))


def assert_same_batches(found, expected):
  assert len(found) == len(expected)
  for one, other in zip(found, expected):
    for name in ('video', 'labels', 'window'):
      np.testing.assert_array_equal(one[name], other[name])


def hand_made(**clip_lengths):
  return pipeline.Dataset('hand-made', pathlib.Path('nowhere'), 'primary', ('a',), clip_lengths)


def test_the_dataset_says_what_it_is(dataset):
  assert dataset.region == 'primary'
  assert dataset.class_names == ('background', *dataset.class_names[1:])
  assert len(dataset.class_names) == 5
  assert dataset.clip_lengths == {
    split: tuple(len(clip) for clips in videos.values() for clip in clips)
    for split, videos in CLIPS.items()
  }
  assert dataset.num_clips('train') == len(dataset.clips('train')) == 4


def test_windows_hold_the_files_on_disk(dataset, released):
  for split, videos in CLIPS.items():
    seen = []
    for index, window in enumerate(pipeline.Windows(dataset, split, 5, keep_rest=True)):
      assert window.index == index
      for number, frame, labels in zip(window.frame_numbers, window.frames, window.labels):
        name = f'{window.video_id}_{number:06d}'
        np.testing.assert_array_equal(frame, Image.open(released / f'images_orig/{name}.jpg'))
        np.testing.assert_array_equal(labels, Image.open(released / f'labels_orig/{name}.png'))
        seen.append((window.video_id, number))
    assert seen == [
      (video_id, number) for video_id, clips in videos.items() for number in itertools.chain(*clips)
    ]


def test_several_datasets_are_read_as_one(data_dir, dataset, released, tmp_path):
  data_dir = shutil.copytree(data_dir, tmp_path / 'data')
  options = ClipOptions(clip_length=4)
  tfds_300vw.Builder(
    config=tfds_300vw.MaskConfig(name='again', source='released', options=options),
    data_dir=data_dir,
    file_format='array_record',
  ).download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=released))
  again = pipeline.open_dataset('the300vw_mask/again', data_dir)
  both = pipeline.open_dataset(f'{dataset.name}+{again.name}', data_dir)
  assert (both.region, both.class_names) == (dataset.region, dataset.class_names)
  for split in dataset.clip_lengths:
    clips = [*dataset.clips(split), *again.clips(split)]
    joined = pickle.loads(pickle.dumps(both.clips(split)))
    assert len(joined) == len(clips) == len(both.clip_lengths[split])
    for clip, expected, length in zip(joined, clips, both.clip_lengths[split], strict=True):
      assert clip.video_id == expected.video_id
      np.testing.assert_array_equal(clip.frame_numbers, expected.frame_numbers)
      assert len(clip.frames) == length
  with pytest.raises(IndexError, match='There is no clip -1'):
    both.clips('train')[-1]
  with pytest.raises(ValueError, match='names the300vw_mask/again twice'):
    pipeline.open_dataset(f'{again.name}+{again.name}', data_dir)


def test_windows_know_their_place(dataset):
  windows = pipeline.Windows(dataset, 'train', 5, keep_rest=True)
  found = [(window.clip, window.start, len(window.frames)) for window in windows]
  assert found[:5] == [
    ('001_000001', 0, 5),
    ('001_000001', 5, 5),
    ('001_000001', 10, 2),
    ('001_000020', 0, 3),
    ('005_000003', 0, 5),
  ]
  assert windows.describe(1) == 'video 001, frames 6 to 10'
  assert pipeline.Windows(dataset, 'train', 1, keep_rest=False).describe(12) == (
    'video 001, frame 20'
  )


def test_the_rest_of_a_clip_is_kept_or_left_out():
  dataset = hand_made(train=(12, 3, 5))
  kept = pipeline.Windows(dataset, 'train', 5, keep_rest=True)
  # 12 = 5 + 5 + 2, 3 = 3, 5 = 5.
  assert (len(kept), kept.num_frames, kept.num_left_out) == (5, 20, 0)
  full = pipeline.Windows(dataset, 'train', 5, keep_rest=False)
  assert (len(full), full.num_frames, full.num_left_out) == (3, 15, 5)


def test_only_the_frames_of_the_window_are_decoded(dataset, monkeypatch):
  decoded = []
  original = tfds.features.Image.decode_example_np
  monkeypatch.setattr(
    tfds.features.Image,
    'decode_example_np',
    lambda self, example: decoded.append(example) or original(self, example),
  )
  pipeline.Windows(dataset, 'train', 3, keep_rest=False)[1]
  assert len(decoded) == 2 * 3  # 3 frames and their labels, of a clip of 12.


def test_windows_travel_to_other_processes_before_and_after_reading(dataset):
  windows = pipeline.Windows(dataset, 'test', 5, keep_rest=True)
  fresh = pickle.loads(pickle.dumps(windows))
  expected = windows[2]
  for copy in (fresh, pickle.loads(pickle.dumps(windows))):
    np.testing.assert_array_equal(copy[2].frames[0], expected.frames[0])
  assert len(pickle.dumps(windows)) < 2_000  # No open file goes along.


def test_a_damaged_image_is_named(dataset, monkeypatch):
  windows = pipeline.Windows(dataset, 'validation', 1, keep_rest=True)
  clip = dataset.clips('validation')[0]

  class Damaged:
    def __getitem__(self, position):
      if position == 2:
        raise OSError('image file is truncated')
      return clip.frames[position]

  monkeypatch.setattr(
    dataset_module.Clips, '__getitem__', lambda *_: dataclasses.replace(clip, frames=Damaged())
  )
  windows[1]
  with pytest.raises(ValueError, match='Frame 3 of video 002 cannot be decoded'):
    windows[2]


def test_mistakes_get_one_sentence(dataset, data_dir, tmp_path):
  with pytest.raises(
    FileNotFoundError, match=r'faces is not built in .*built there: the300vw_mask/released_primary.'
  ):
    pipeline.open_dataset('faces', data_dir)
  with pytest.raises(FileNotFoundError, match=r'python -m tfds_300vw --config=eyes .*--data_dir='):
    pipeline.open_dataset('the300vw_mask/eyes', data_dir)
  with pytest.raises(ValueError, match="no split 'dev'; it has train, validation, test"):
    dataset.clips('dev')
  with pytest.raises(ValueError, match='has 13 frames .the longest has 12.: set a shorter window'):
    pipeline.train_batches(
      dataset, image_size=16, clip_length=13, batch_size=1, num_devices=1, seed=0
    )
  with pytest.raises(IndexError, match='no clip 4 among the 4 of train'):
    dataset.clips('train')[4]


@pytest.mark.parametrize(
  ('name', 'key', 'value', 'message'),
  [
    ('metadata.json', 'clip_lengths', None, 'lacks the lengths of its clips'),
    ('dataset_info.json', 'fileFormat', 'tfrecord', 'holds tfrecord files'),
  ],
)
def test_datasets_of_another_make_are_refused(data_dir, tmp_path, name, key, value, message):
  shutil.copytree(data_dir, tmp_path, dirs_exist_ok=True)
  (file,) = tmp_path.glob(f'the300vw_mask/*/*/{name}')
  content = json.loads(file.read_text())
  assert key in content
  content[key] = value
  if value is None:
    del content[key]
  file.write_text(json.dumps(content))
  with pytest.raises(ValueError, match=message):
    pipeline.open_dataset(NAME, tmp_path)


@pytest.mark.parametrize('batch_size', [0, 3, 6])
def test_a_batch_that_does_not_divide_over_devices_is_refused(dataset, batch_size):
  match = f'batch of {batch_size} does not divide over 4 devices .2 in each of 2 processes'
  with pytest.raises(ValueError, match=match):
    training(dataset, 1, batch_size=batch_size, num_devices=2, process_count=2)
  with pytest.raises(ValueError, match=match):
    evaluation(dataset, batch_size=batch_size, num_devices=2, process_count=2)


def test_training_batches_hold_resized_windows(dataset):
  windows = pipeline.Windows(dataset, 'train', 5, keep_rest=False)
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
  num_windows = len(pipeline.Windows(dataset, 'train', 1, keep_rest=False))
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


def test_evaluation_in_a_worker_is_the_same(dataset):
  for found, expected in zip(evaluation(dataset, workers=1), evaluation(dataset), strict=True):
    np.testing.assert_array_equal(found.video, expected.video)
    np.testing.assert_array_equal(found.windows[0].labels[0], expected.windows[0].labels[0])


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
  ends = pipeline._shares(starts, total, process_count)
  assert (ends[0], ends[-1], len(ends)) == (0, total, process_count + 1)
  assert ends == sorted(ends)
  assert {*ends} <= {*starts.tolist(), total}
  assert np.diff(ends).max() <= total / process_count + max(numbers)


TRAIN_SCRIPT = """
import os, signal, sys
sys.modules['jax'] = None  # To import it fails; in workers too, which run this line as well.
from fmx.data import pipeline

if __name__ == '__main__':
  batches = pipeline.train_batches(
    pipeline.open_dataset(sys.argv[1], sys.argv[2]), image_size=16, clip_length=5, batch_size=2,
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
