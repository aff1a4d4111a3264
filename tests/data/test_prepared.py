import dataclasses
import itertools
import json
import pathlib
import pickle
import shutil

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image
from released_tree import CLIPS, NAME

import tfds_300vw
from fmx.data import dataset as dataset_module
from fmx.data import pipeline
from fmx.data.prepared import Dataset, Windows, open_dataset
from tfds_300vw.options import ClipOptions


def hand_made(**clip_lengths):
  return Dataset('hand-made', pathlib.Path('nowhere'), 'primary', ('a',), clip_lengths)


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
    for index, window in enumerate(Windows(dataset, split, 5, keep_rest=True)):
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
  again = open_dataset('the300vw_mask/again', data_dir)
  both = open_dataset(f'{dataset.name}+{again.name}', data_dir)
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
    open_dataset(f'{again.name}+{again.name}', data_dir)


def test_windows_know_their_place(dataset):
  windows = Windows(dataset, 'train', 5, keep_rest=True)
  found = [(window.clip, window.start, len(window.frames)) for window in windows]
  assert found[:5] == [
    ('001_000001', 0, 5),
    ('001_000001', 5, 5),
    ('001_000001', 10, 2),
    ('001_000020', 0, 3),
    ('005_000003', 0, 5),
  ]
  assert windows.describe(1) == 'video 001, frames 6 to 10'
  assert Windows(dataset, 'train', 1, keep_rest=False).describe(12) == ('video 001, frame 20')


def test_the_rest_of_a_clip_is_kept_or_left_out():
  dataset = hand_made(train=(12, 3, 5))
  kept = Windows(dataset, 'train', 5, keep_rest=True)
  # 12 = 5 + 5 + 2, 3 = 3, 5 = 5.
  assert (len(kept), kept.num_frames, kept.num_left_out) == (5, 20, 0)
  full = Windows(dataset, 'train', 5, keep_rest=False)
  assert (len(full), full.num_frames, full.num_left_out) == (3, 15, 5)


def test_only_the_frames_of_the_window_are_decoded(dataset, monkeypatch):
  decoded = []
  original = tfds.features.Image.decode_example_np
  monkeypatch.setattr(
    tfds.features.Image,
    'decode_example_np',
    lambda self, example: decoded.append(example) or original(self, example),
  )
  Windows(dataset, 'train', 3, keep_rest=False)[1]
  assert len(decoded) == 2 * 3  # 3 frames and their labels, of a clip of 12.


def test_windows_travel_to_other_processes_before_and_after_reading(dataset):
  windows = Windows(dataset, 'test', 5, keep_rest=True)
  fresh = pickle.loads(pickle.dumps(windows))
  expected = windows[2]
  for copy in (fresh, pickle.loads(pickle.dumps(windows))):
    np.testing.assert_array_equal(copy[2].frames[0], expected.frames[0])
  assert len(pickle.dumps(windows)) < 2_000  # No open file goes along.


def test_a_damaged_image_is_named(dataset, monkeypatch):
  windows = Windows(dataset, 'validation', 1, keep_rest=True)
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
    open_dataset('faces', data_dir)
  with pytest.raises(FileNotFoundError, match=r'python -m tfds_300vw --config=eyes .*--data_dir='):
    open_dataset('the300vw_mask/eyes', data_dir)
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
    open_dataset(NAME, tmp_path)
