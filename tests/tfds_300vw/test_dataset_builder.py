import hashlib
import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image
from small_datasets import face, write_released, write_video

import tfds_300vw
from tfds_300vw import __main__ as command
from tfds_300vw import annotations, boxes, face_mask, video
from tfds_300vw.options import ClipOptions


def build(manual_dir, data_dir, region='primary', source='videos', how=None, **options):
  """Prepares a dataset in array_record and returns its builder."""
  config = tfds_300vw.MaskConfig(
    name='tested', source=source, options=ClipOptions(region=region, **options)
  )
  builder = tfds_300vw.Builder(
    config=config, data_dir=data_dir, file_format='array_record', **(how or {})
  )
  builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=manual_dir))
  return builder


def clips(builder, *splits):
  """All clips of the splits (by default of all) with their images and labels as lists."""
  found = []
  for split in splits or builder.info.splits:
    for clip in builder.as_data_source(split):
      frames = list(clip['frames'])
      clip['images'] = [frame['image'] for frame in frames]
      clip['labels'] = [frame['labels'][..., 0] for frame in frames]
      found.append(clip)
  return found


def digests(folder):
  return {
    str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
    for path in sorted(pathlib.Path(folder).rglob('*'))
    if path.is_file()
  }


@pytest.mark.parametrize('region', ['primary', 'eyes', 'mouth'])
def test_prepared_labels_are_the_masks_drawn_from_the_annotations(video_tree, tmp_path, region):
  builder = build(video_tree, tmp_path, region, clip_length=10, fraction=1.0)
  found = clips(builder)
  assert len(found) == sum((9 + n * 3 - n // 4) // 10 for n in range(1, 7))
  for clip in found:
    video_id = clip['video_id'].decode()
    for t, number in enumerate(clip['frame_numbers']):
      landmarks = annotations.read_pts(video_tree / video_id / f'annot/{number:06d}.pts')
      box = clip['boxes'][t]
      drawn = face_mask.landmarks_to_mask(landmarks - box[:2], box[3] - box[1], box[2] - box[0])
      labels = clip['labels'][t]
      np.testing.assert_array_equal(labels, face_mask.region_labels(drawn, region))
      assert labels.max() == len(face_mask.class_names(region)) - 1
      assert clip['images'][t].shape[:2] == labels.shape
      np.testing.assert_allclose(clip['landmarks'][t], landmarks - box[:2], atol=1e-4)


def test_prepared_frames_are_the_videos_frames_inside_the_boxes(video_tree, tmp_path):
  builder = build(video_tree, tmp_path, 'mouth', clip_length=10, fraction=1.0)
  for clip in clips(builder, 'test'):
    path = video_tree / clip['video_id'].decode() / 'vid.avi'
    first = int(clip['frame_numbers'][0]) - 1
    whole = [frame.image for frame in video.read_frames(path, [(first, first + 10)])]
    for frame, image, box in zip(whole, clip['images'], clip['boxes']):
      difference = boxes.crop(frame, box).astype(int) - image
      assert abs(difference).mean() < 4  # JPEG of a noisy picture.
    assert clip['frame_rate'] == 30


def test_face_boxes_follow_each_frame_and_region_boxes_stay_for_five(video_tree, tmp_path):
  faces = clips(build(video_tree, tmp_path / 'faces', clip_length=12, fraction=1.0))
  assert any(len({image.shape for image in clip['images']}) > 1 for clip in faces)
  for clip in clips(build(video_tree, tmp_path / 'eyes', 'eyes', clip_length=12, fraction=1.0)):
    by_window = [clip['boxes'][first : first + 5] for first in range(0, 12, 5)]
    assert all((window == window[0]).all() for window in by_window)
    assert (by_window[0][0] != by_window[1][0]).any()


def test_each_eye_of_a_video_is_a_clip_with_both_in_step(video_tree, tmp_path):
  builder = build(video_tree, tmp_path, 'eye', clip_length=6, fraction=1.0)
  found = clips(builder)
  assert len(found) == 2 * sum((9 + n * 3 - n // 4) // 6 for n in range(1, 7))
  for right, left in zip(found[::2], found[1::2]):
    assert (right['part'], left['part']) == (b'right', b'left')
    assert (right['frame_numbers'] == left['frame_numbers']).all()
    for clip, indices in ((right, range(36, 42)), (left, range(42, 48))):
      for t, number in enumerate(clip['frame_numbers']):
        path = video_tree / clip['video_id'].decode() / f'annot/{number:06d}.pts'
        landmarks, box = annotations.read_pts(path), clip['boxes'][t]
        drawn = face_mask.landmarks_to_mask(landmarks - box[:2], box[3] - box[1], box[2] - box[0])
        labels = clip['labels'][t]
        np.testing.assert_array_equal(labels, face_mask.region_labels(drawn, 'eye'))
        assert labels.any()
        eye = landmarks[indices]
        assert (eye.min(axis=0) >= box[:2] - 2).all()
        assert (eye.max(axis=0) <= box[2:] + 2).all()
        assert clip['images'][t].shape[:2] == labels.shape


def test_a_released_zip_has_no_single_eyes(tmp_path):
  write_released(tmp_path)
  with pytest.raises(ValueError, match="no 'eye' of it"):
    build(tmp_path, tmp_path / 'data', 'eye', source='released')


def test_the_result_is_the_same_in_another_process(video_tree, tmp_path):
  for folder in 'ab':  # Protocol buffers order their maps by a number drawn for each process.
    flags = ['--config=eyes', f'--manual_dir={video_tree}', f'--data_dir={tmp_path / folder}']
    command_line = [sys.executable, '-m', 'tfds_300vw', '--workers=1', *flags]
    done = subprocess.run(command_line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
  assert digests(tmp_path / 'a/the300vw_mask') == digests(tmp_path / 'b/the300vw_mask')


def test_only_training_boxes_are_noisy(video_tree, tmp_path):
  options = {'clip_length': 5, 'fraction': 1.0, 'region': 'eyes'}
  noisy = build(video_tree, tmp_path / 'noisy', **options)
  exact = build(video_tree, tmp_path / 'exact', box_shift=0.0, box_scale=0.0, **options)
  for split in ('train', 'validation', 'test'):
    pairs = list(zip(noisy.as_data_source(split), exact.as_data_source(split)))
    assert any((a['boxes'] != b['boxes']).any() for a, b in pairs) == (split == 'train')


def test_face_boxes_can_stay_and_be_off_centre_in_every_split(video_tree, tmp_path):
  options = {'clip_length': 10, 'fraction': 1.0, 'face_window': 4}
  for clip in clips(build(video_tree, tmp_path / 'centred', **options)):
    for first in (0, 4, 8):
      window = clip['boxes'][first : first + 4]
      assert (window == window[0]).all()
      around = clip['landmarks'][first : first + 4].reshape(-1, 2)
      centre = (around.min(axis=0) + around.max(axis=0)) / 2
      size = window[0][2:] - window[0][:2]
      np.testing.assert_allclose(centre, (size - 1) / 2, atol=1)
  shifted = build(video_tree, tmp_path / 'shifted', face_shift=0.2, **options)
  centred = build(video_tree, tmp_path / 'again', face_shift=0.0, **options)
  for split in ('train', 'validation', 'test'):
    pairs = zip(shifted.as_data_source(split), centred.as_data_source(split))
    assert any((one['boxes'] != other['boxes']).any() for one, other in pairs)


def test_the_result_is_the_same_for_any_number_of_workers(video_tree, tmp_path):
  one = build(video_tree, tmp_path / 'one', 'eyes', clip_length=6, fraction=0.5)
  three = build(
    video_tree, tmp_path / 'three', 'eyes', clip_length=6, fraction=0.5, how={'num_workers': 3}
  )
  assert digests(one.data_dir) == digests(three.data_dir)
  assert len(digests(one.data_dir)) > 4


def test_another_seed_chooses_other_clips(video_tree, tmp_path):
  def chosen(seed):
    lists = {'train': [f'{n:03d}' for n in range(1, 7)]}
    builder = build(
      video_tree, tmp_path / str(seed), clip_length=3, fraction=0.3, seed=seed, splits=lists
    )
    return [(clip['video_id'], int(clip['frame_numbers'][0])) for clip in clips(builder)]

  assert chosen(0) != chosen(1)


def test_the_users_split_is_honoured(video_tree, tmp_path):
  lists = {'train': ['002', '005'], 'test': ['001']}
  builder = build(video_tree, tmp_path, clip_length=10, fraction=1.0, splits=lists)
  found = {
    split: {clip['video_id'].decode() for clip in builder.as_data_source(split)}
    for split in builder.info.splits
  }
  assert found == {'train': {'002', '005'}, 'test': {'001'}}


def test_bad_frames_are_left_out_and_no_clip_straddles_their_gap(video_tree, tmp_path):
  bad = {'006': [(8, 9)], '005': [(1, 100)]}
  builder = build(video_tree, tmp_path, clip_length=5, fraction=1.0, bad_frames=bad)
  numbers = {}
  for clip in clips(builder):
    assert (np.diff(clip['frame_numbers']) == 1).all()
    numbers.setdefault(clip['video_id'].decode(), []).extend(clip['frame_numbers'].tolist())
  assert numbers['006'] == [*range(1, 6), *range(10, 25)]
  assert '005' not in numbers


def test_a_video_shorter_than_a_clip_gives_one_short_clip(video_tree, tmp_path):
  builder = build(video_tree, tmp_path, clip_length=30)
  lengths = {clip['video_id'].decode(): len(clip['frames']) for clip in clips(builder)}
  assert lengths['001'] == 12


def test_many_clips_are_spread_over_shards_in_order(video_tree, tmp_path, monkeypatch):
  module = sys.modules[tfds_300vw.Builder.__module__]
  monkeypatch.setattr(module, 'CLIPS_PER_SHARD', 3)
  builder = build(video_tree, tmp_path, clip_length=3, fraction=1.0)
  assert builder.info.splits['train'].num_shards > 2
  keys = [(c['video_id'], c['frame_numbers'][0]) for c in builder.as_data_source('train')]
  assert keys == sorted(keys)
  assert len(keys) == builder.info.splits['train'].num_examples == len(set(keys))


def break_video(root, how):
  """Damages the video 003 of a copy of the tree."""
  folder = root / '003'
  if how == 'no annotations':
    shutil.rmtree(folder / 'annot')
  elif how == 'too few':
    (folder / 'annot/000018.pts').unlink()
  elif how == 'too many':
    shutil.copy(folder / 'annot/000001.pts', folder / 'annot/000019.pts')
  elif how == 'one missing':
    (folder / 'annot/000004.pts').unlink()
  elif how == 'undecodable':
    (folder / 'vid.avi').write_bytes(b'not a video at all' * 99)
  elif how == 'malformed':
    (folder / 'annot/000002.pts').write_text('version: 1\nn_points: 68\n{\n1 nan\n')
  elif how == 'outside':
    annotations.write_pts(folder / 'annot/000003.pts', face(-500, -500, 60))


DAMAGES = {
  'no annotations': r'003.vid\.avi has no annotations',
  'too few': r'003.vid\.avi has 18 frames but 17 annotations',
  'too many': r'003.vid\.avi has 18 frames but 19 annotations',
  'one missing': r'000004\.pts is missing',
  'undecodable': r'003.vid\.avi.* not a video',
  'malformed': r'000002\.pts, line 4',
  'outside': r'000001\.pts to .*outside the image',
}


@pytest.mark.parametrize('how', DAMAGES)
def test_the_first_unusable_video_stops_the_build_and_leaves_nothing(video_tree, tmp_path, how):
  root = tmp_path / 'videos'
  shutil.copytree(video_tree, root)
  break_video(root, how)
  with pytest.raises((ValueError, FileNotFoundError), match=DAMAGES[how]):
    build(root, tmp_path / 'data', clip_length=10, fraction=1.0)
  assert not [*(tmp_path / 'data/the300vw_mask').glob('tested/*')]


def test_missing_files_are_noticed_before_any_work(video_tree, tmp_path, capsys):
  root = tmp_path / 'videos'
  shutil.copytree(video_tree, root)
  break_video(root, 'one missing')
  lists = {'train': ['001', '002'], 'test': ['003']}
  with pytest.raises(ValueError, match='000004'):
    build(root, tmp_path / 'data', splits=lists)
  assert 'video/s' not in capsys.readouterr().err


@pytest.mark.parametrize('num_workers', [1, 2])
def test_going_on_leaves_unusable_videos_out_and_tells(video_tree, tmp_path, num_workers):
  root = tmp_path / 'videos'
  shutil.copytree(video_tree, root)
  break_video(root, 'malformed')
  left_out = []
  builder = build(
    root,
    tmp_path / 'data',
    clip_length=10,
    fraction=1.0,
    how={'left_out': left_out, 'num_workers': num_workers},
  )
  assert [video.video_id for video in left_out] == ['003']
  assert '000002.pts, line 4' in left_out[0].reason
  assert {clip['video_id'].decode() for clip in clips(builder)} == {
    '001', '002', '004', '005', '006'
  }  # fmt: skip
  assert json.loads(pathlib.Path(builder.data_dir, 'metadata.json').read_text())['left_out']


def test_nothing_usable_is_an_error(tmp_path):
  write_video(tmp_path / 'videos/001', 6)
  (tmp_path / 'videos/001/annot/000001.pts').write_text('')
  with pytest.raises(ValueError, match='no dataset'):
    build(tmp_path / 'videos', tmp_path / 'data', how={'left_out': []})


def test_no_data_says_what_is_expected(tmp_path):
  (tmp_path / 'empty').mkdir()
  (tmp_path / 'empty/notes.txt').write_text('not here')
  with pytest.raises(FileNotFoundError, match=r'(?s)No video in .*001/.*annot/000001\.pts'):
    build(tmp_path / 'empty', tmp_path / 'data')


def test_a_split_that_names_a_missing_video_is_an_error(video_tree, tmp_path):
  with pytest.raises(ValueError, match="'099'"):
    build(video_tree, tmp_path, splits={'train': ['001', '099']})
  with pytest.raises(ValueError, match='099'):
    build(video_tree, tmp_path, bad_frames={'099': [(1, 2)]})


@pytest.mark.parametrize('mode', ['L', 'P', 'RGB'])
def test_the_released_zip_is_read_whatever_its_label_encoding(tmp_path, mode):
  write_released(tmp_path / '300VW-Mask-Dataset', mode)
  builder = build(tmp_path, tmp_path / 'data', source='released', clip_length=10)
  starts = [(c['video_id'].decode(), c['frame_numbers'].tolist()) for c in clips(builder)]
  assert starts == [
    ('001', list(range(31, 41))),
    ('002', list(range(1, 8))),
    ('002', list(range(20, 26))),
    ('003', list(range(1, 6))),
    ('004', list(range(1, 7))),
  ]
  for clip in clips(builder):
    assert clip['landmarks'].shape == (0, 68, 2)
    for image, labels, number in zip(clip['images'], clip['labels'], clip['frame_numbers']):
      name = f'{clip["video_id"].decode()}_{number:06d}'
      released = tmp_path / '300VW-Mask-Dataset'
      np.testing.assert_array_equal(image, Image.open(released / f'images_orig/{name}.jpg'))
      height, width = labels.shape[:2]
      expected = face_mask.landmarks_to_mask(
        face(width / 2, height / 2, width * 0.8), height, width
      )
      np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize('region', ['eyes', 'mouth'])
def test_released_regions_are_cut_around_their_labels(tmp_path, region):
  write_released(tmp_path)
  builder = build(tmp_path, tmp_path / 'data', region, source='released', clip_length=10)
  for clip in clips(builder):
    for labels, box in zip(clip['labels'], clip['boxes']):
      assert labels.shape[:2] == (box[3] - box[1], box[2] - box[0])
      tight = boxes.mask_box(labels > 0)
      side = max(labels.shape)
      assert side / 3 < max(tight[2] - tight[0], tight[3] - tight[1]) < side / 1.1
      assert labels.max() == (1 if region == 'eyes' else 2)


def test_only_released_training_boxes_are_noisy(tmp_path):
  write_released(tmp_path)
  options = {'clip_length': 10, 'region': 'eyes', 'source': 'released'}
  noisy = build(tmp_path, tmp_path / 'noisy', **options)
  exact = build(tmp_path, tmp_path / 'exact', box_shift=0.0, box_scale=0.0, **options)
  for split in ('train', 'validation', 'test'):
    pairs = list(zip(noisy.as_data_source(split), exact.as_data_source(split)))
    assert any((a['boxes'] != b['boxes']).any() for a, b in pairs) == (split == 'train')


def test_released_windows_without_the_region_take_the_box_before(tmp_path):
  write_released(tmp_path)
  for number in range(36, 41):  # The second window of the video 001.
    path = tmp_path / f'labels_orig/001_{number:06d}.png'
    labels = np.array(Image.open(path))
    Image.fromarray(np.where(labels == 2, 1, labels).astype(np.uint8)).save(path)
  builder = build(tmp_path, tmp_path / 'data', 'eyes', source='released', clip_length=10)
  clip = clips(builder, 'train')[0]
  assert [labels.any() for labels in clip['labels']] == [True] * 5 + [False] * 5
  assert (clip['boxes'][5:, :2] == clip['boxes'][4, :2]).all()


def released_damage(root, how):
  if how == 'value':
    Image.fromarray(np.full((90, 80), 7, np.uint8)).save(root / 'labels_orig/003_000003.png')
  elif how == 'colour':
    Image.fromarray(np.full((90, 80, 3), 9, np.uint8)).save(root / 'labels_orig/003_000003.png')
  elif how == 'missing':
    (root / 'images_orig/003_000003.jpg').unlink()
  elif how == 'truncated':
    path = root / 'images_orig/003_000003.jpg'
    path.write_bytes(path.read_bytes()[:300])
  elif how == 'size':
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(root / 'labels_orig/003_000003.png')
  elif how == 'split line':
    (root / 'data_splits/split_1/val_per10.txt').write_text('/images_orig/003_000003.jpg\n')
  elif how == 'pair':
    (root / 'data_splits/split_1/val_per10.txt').write_text(
      '/images_orig/003_000003.jpg /labels_orig/003_000004.png\n'
    )
  elif how == 'no split':
    (root / 'data_splits/split_1/val_per10.txt').unlink()
  elif how == 'empty split':
    (root / 'data_splits/split_1/val_per10.txt').write_text('\n')


RELEASED_DAMAGES = {
  'value': r'003_000003\.png holds the value 7',
  'colour': r'003_000003\.png: Colour \(9, 9, 9\)',
  'missing': r'003_000003\.jpg is listed',
  'truncated': r'003_000003\.jpg cannot be read',
  'size': r'003_000003\.png is 9 × 9',
  'split line': r'val_per10\.txt, line 1',
  'pair': r'val_per10\.txt, line 1',
  'no split': r'val_per10\.txt',
  'empty split': r'val_per10\.txt lists no frame',
}


@pytest.mark.parametrize('how', RELEASED_DAMAGES)
def test_damage_in_the_released_zip_names_the_file(tmp_path, how):
  write_released(tmp_path / 'zip')
  released_damage(tmp_path / 'zip', how)
  with pytest.raises((ValueError, OSError), match=RELEASED_DAMAGES[how]):
    build(tmp_path / 'zip', tmp_path / 'data', source='released')
  assert not [*(tmp_path / 'data/the300vw_mask').glob('tested/*')]


@pytest.mark.parametrize(
  ('option', 'value'),
  [('fraction', 0.0), ('fraction', 1.1), ('clip_length', 0), ('region', 'nose'),
   ('jpeg_quality', 80), ('region_margin', 0.5), ('box_shift', 0.7), ('seed', -1),
   ('box_window', 0), ('face_margin', 0.0), ('box_scale', 1.0),
   ('face_window', 0), ('face_shift', 0.5), ('frame_side', 8)],
)  # fmt: skip
def test_an_option_out_of_range_is_named(option, value):
  with pytest.raises(ValueError, match=f'^{option} is '):
    ClipOptions(**{option: value})


def test_the_dataset_is_documented_for_tfds():
  metadata = tfds_300vw.Builder.get_metadata()
  assert '300VW-Mask' in metadata.description
  assert 'wang2019face' in metadata.citation
  assert 'content.data-type.video' in metadata.tags
  assert set(tfds_300vw.Builder.builder_configs) == {
    f'{source}{region}'
    for source, regions in {
      '': ('primary', 'eyes', 'eye', 'mouth', 'frames'),
      'released_': ('primary', 'eyes', 'mouth'),
      'stills_': ('primary', 'eyes', 'eye', 'mouth', 'frames'),
    }.items()
    for region in regions
  }


def test_built_by_command_and_read_in_a_new_process_without_tensorflow_and_jax(
  video_tree, tmp_path
):
  data_dir = tmp_path / 'data'
  built = subprocess.run(
    [sys.executable, '-m', 'tfds_300vw', '--config=eyes', '--workers=2',
     f'--manual_dir={video_tree}', f'--data_dir={data_dir}'],
    capture_output=True, text=True, check=False,
  )  # fmt: skip
  assert built.returncode == 0, built.stderr
  assert 'train' in built.stdout
  program = f"""
import sys
import tfds_300vw, tensorflow_datasets as tfds
clips = tfds.builder('the300vw_mask/eyes', data_dir={str(data_dir)!r}).as_data_source('train')
clip = clips[0]
ids = max(int(frame['labels'].max()) for frame in clip['frames'])
print(len(clips), len(clip['frames']), clip['frames'][0]['image'].dtype, ids)
assert 'jax' not in sys.modules and 'tensorflow' not in sys.modules, sorted(sys.modules)
"""
  read = subprocess.run(
    [sys.executable, '-c', program], capture_output=True, text=True, check=False
  )
  assert read.returncode == 0, read.stderr
  assert read.stdout.split()[2:] == ['uint8', '1']


def test_the_command_builds_once_and_refuses_another_dataset_in_its_place(
  video_tree, tmp_path, capsys
):
  flags = ['--workers=1', f'--data_dir={tmp_path}', '--name=mine', '--clip_length=6']
  here = [*flags, f'--manual_dir={video_tree}']
  assert command.main([*here, '--fraction=1']) == 0
  assert command.main([*here, '--fraction=1']) == 0
  assert 'Already built' in capsys.readouterr().out
  assert command.main([*here, '--fraction=0.5']) == 1
  assert 'fraction 1.0, not 0.5' in capsys.readouterr().err
  other = tmp_path / 'other'
  write_video(other / '001', 12)
  assert command.main([*flags, '--fraction=1', f'--manual_dir={other}']) == 1
  assert 'other videos' in capsys.readouterr().err


def test_the_users_named_dataset_reads_by_its_name(video_tree, tmp_path):
  flags = ['--workers=1', f'--data_dir={tmp_path}', '--name=mine', '--clip_length=6']
  assert command.main([*flags, f'--manual_dir={video_tree}']) == 0
  builder = tfds.builder('the300vw_mask/mine', data_dir=tmp_path)
  assert len(builder.as_data_source('train')[0]['frames']) == 6
  assert builder.info.metadata['options']['clip_length'] == 6


@pytest.mark.parametrize(
  ('flags', 'message'),
  [
    (['--fraction=1'], '--name=primary_mine'),
    (['--fraction=1', '--name=eyes'], '--name=primary_mine'),
    (['--name=x', '--fraction=2'], 'fraction is 2.0'),
    (['--manual_dir=/nowhere/at/all'], 'There is nothing in /nowhere/at/all'),
    (['--splits=/nowhere.json'], 'nowhere.json'),
    (['--workers=0'], 'number of workers'),
  ],
)
def test_the_command_says_what_is_wrong_in_one_sentence(
  video_tree, tmp_path, capsys, flags, message
):
  where = [f'--manual_dir={video_tree}', f'--data_dir={tmp_path}']
  assert command.main([*where, *flags]) == 1
  error = capsys.readouterr().err
  assert message in error
  assert 'Traceback' not in error


def test_split_and_bad_frame_files_are_read(tmp_path):
  (tmp_path / 'splits.json').write_text('{"train": ["001"], "test": ["002"]}')
  assert command.read_splits(tmp_path / 'splits.json') == {'train': ['001'], 'test': ['002']}
  (tmp_path / 'bad.txt').write_text('# comment\n031 120-140\n031 7\n\n009 1 - 3 # blurred\n')
  assert command.read_bad_frames(tmp_path / 'bad.txt') == {
    '031': [(120, 140), (7, 7)],
    '009': [(1, 3)],
  }


@pytest.mark.parametrize('text', ['{"train": "001"}', '[1]', '{', '{"train": [1]}'])
def test_a_wrong_split_file_is_named(tmp_path, text):
  (tmp_path / 'splits.json').write_text(text)
  with pytest.raises(ValueError, match=r'splits\.json'):
    command.read_splits(tmp_path / 'splits.json')


@pytest.mark.parametrize('text', ['031', '031 5-3', '031 0', '031 a', '031 1-2-3'])
def test_a_wrong_line_of_bad_frames_is_named(tmp_path, text):
  (tmp_path / 'bad.txt').write_text(f'001 1\n{text}\n')
  with pytest.raises(ValueError, match=r'bad\.txt, line 2'):
    command.read_bad_frames(tmp_path / 'bad.txt')


@pytest.mark.skipif('FMX_REAL_DATA' not in os.environ, reason='FMX_REAL_DATA is not set')
def test_real_videos_build_with_every_class_in_every_split(tmp_path):
  root = pathlib.Path(os.environ['FMX_REAL_DATA']) / '300VW_mini'
  lists = {'train': ['001', '017'], 'validation': ['013'], 'test': ['020']}
  builder = build(root, tmp_path, fraction=0.4, splits=lists)
  for split in lists:
    for clip in clips(builder, split):
      assert len(clip['frames']) == 30
      shares = np.mean([np.bincount(m.ravel(), minlength=5) / m.size for m in clip['labels']], 0)
      assert 0.2 < shares[1] < 0.6
      assert 0.002 < shares[2] < 0.1
      assert 0.005 < shares[3] < 0.15


@pytest.mark.skipif(
  importlib.util.find_spec('tensorflow') is None, reason='TensorFlow is not installed'
)
def test_tfds_own_builder_test_passes(video_tree, tmp_path):
  program = pathlib.Path(__file__).with_name('tfds_builder_case.py')
  write_released(tmp_path / '300VW-Mask-Dataset')
  shutil.copytree(video_tree, tmp_path / '300VW_Dataset_2015_12_14')
  done = subprocess.run(
    [sys.executable, program],
    env=os.environ | {'MANUAL_DIR': str(tmp_path)},
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr[-3000:]
