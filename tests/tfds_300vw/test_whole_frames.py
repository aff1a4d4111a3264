import hashlib
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
from small_datasets import face, moving_faces, write_video

import tfds_300vw
from tfds_300vw import __main__ as command
from tfds_300vw import annotations, contact_sheet, stills, video, videos, whole_frames
from tfds_300vw.options import ClipOptions

# Centres and sizes of the faces of each photograph; the sixth is large, the seventh grey.
PHOTOGRAPHS = {f'{n}': [(60, 70, 60)] for n in range(1, 8)} | {
  '2': [(60, 70, 60), (160, 90, 40), (110, 30, 20)],
  '5': [(60, 70, 60), (150, 90, 50)],
  '6': [(300, 250, 200), (700, 300, 120)],
}


def write_photograph(folder, name, faces):
  folder.mkdir(parents=True, exist_ok=True)
  height, width = (600, 900) if name == '6' else (140, 200)
  image = Image.fromarray(next(moving_faces(1, height, width, int(name)))[0])
  for number, (x, y, size) in enumerate(faces, start=1):
    path = folder / f'{name}_{number}.jpg'
    (image.convert('L') if name == '7' else image).save(path, quality=90)
    annotations.write_pts(path.with_suffix('.pts'), face(x, y, size))


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
  root = tmp_path_factory.mktemp('photos')
  for name, faces in PHOTOGRAPHS.items():
    write_photograph(root / 'afw', name, faces)
  return root


def build(manual_dir, data_dir, source='stills', how=None, **options):
  config = tfds_300vw.MaskConfig(
    name='tested', source=source, options=ClipOptions(region='frames', **options)
  )
  builder = tfds_300vw.Builder(
    config=config, data_dir=data_dir, file_format='array_record', **(how or {})
  )
  builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=manual_dir))
  return builder


def clips(builder):
  return [clip for split in builder.info.splits for clip in builder.as_data_source(split)]


def digests(folder):
  return {
    path.name: hashlib.sha256(path.read_bytes()).hexdigest()
    for path in pathlib.Path(folder).glob('*')
  }


def test_a_photograph_is_one_frame_with_all_its_faces(photos, tmp_path):
  found = {
    clip['video_id'].decode(): clip for clip in clips(build(photos, tmp_path, frame_side=1000))
  }
  assert set(found) == {f'afw_{name}_1' for name in PHOTOGRAPHS}
  for name, faces in PHOTOGRAPHS.items():
    clip = found[f'afw_{name}_1']
    expected = np.stack([face(*place) for place in faces])
    np.testing.assert_allclose(clip['landmarks'], expected[None], atol=1e-4)
    assert clip['others'].shape == (1, 0, 4)
    assert clip['frame_numbers'].tolist() == [1]
    (frame,) = clip['frames']
    whole = np.asarray(Image.open(photos / f'afw/{name}_1.jpg').convert('RGB'))
    if name != '7':  # A file of three channels is taken as it is.
      np.testing.assert_array_equal(frame['image'], whole)
    assert frame['image'].shape == whole.shape


def test_every_fifth_photograph_tests_though_it_has_two_faces(photos, tmp_path):
  builder = build(photos, tmp_path)
  assert [clip['video_id'] for clip in builder.as_data_source('test')] == [b'afw_5_1']
  assert builder.info.splits['test'].num_examples == 1
  split_of = {
    still.video_id: still.split for still in stills.find(photos, ClipOptions(region='primary'))
  }
  for split in builder.info.splits:  # The crops of the same photographs are split alike.
    for clip in builder.as_data_source(split):
      assert split_of[clip['video_id'].decode()] == split


def test_a_large_frame_is_scaled_with_its_landmarks(photos, tmp_path):
  builder = build(photos, tmp_path, frame_side=450)
  (clip,) = [clip for clip in clips(builder) if clip['video_id'] == b'afw_6_1']
  (frame,) = clip['frames']
  assert frame['image'].shape == (300, 450, 3)
  # Half the size: the middle of pixel 3 is at 3.5, becomes 1.75, which is 1.25 from pixel 0's.
  expected = (face(*PHOTOGRAPHS['6'][1]) + 0.5) / 2 - 0.5
  np.testing.assert_allclose(clip['landmarks'][0, 1], expected, atol=1e-3)


@pytest.mark.parametrize(('height', 'width', 'shape'), [(10, 900, (1, 90)), (901, 450, (90, 45))])
def test_scaling_keeps_the_shape_and_at_least_a_pixel(height, width, shape):
  frame = np.zeros((height, width, 3), np.uint8)
  assert whole_frames.shrink(frame, 90).shape[:2] == shape
  assert whole_frames.shrink(frame, 901) is frame


def test_a_scaled_landmark_stays_on_its_pixels():
  frame = np.zeros((401, 300, 3), np.uint8)
  frame[200:209, 100:109] = 255  # Its middle is at (104, 204).
  clip = whole_frames.cut_clip(
    iter([frame]),
    np.full((1, 1, 68, 2), (104.0, 204.0)),
    np.array([[[100.0, 200.0, 109.0, 209.0]]]),
    ClipOptions(region='frames', frame_side=133),
  )
  small = whole_frames.shrink(frame, 133)[..., 0].astype(float)
  rows, columns = np.indices(small.shape)
  middle = [(grid * small).sum() / small.sum() for grid in (columns, rows)]
  np.testing.assert_allclose(clip['landmarks'][0, 0, 0], middle, atol=0.02)
  x0, y0, x1, y1 = clip['others'][0, 0]
  np.testing.assert_allclose([(x0 + x1 - 1) / 2, (y0 + y1 - 1) / 2], middle, atol=0.02)
  assert (x1 - x0) * (y1 - y0) == pytest.approx(small.sum() / 255, rel=0.02)


def test_a_video_gives_its_frames_with_its_landmarks(video_tree, tmp_path):
  builder = build(
    video_tree, tmp_path, 'videos', clip_length=6, fraction=1.0, frame_side=60, jpeg_quality=100
  )
  found = clips(builder)
  assert sum(len(clip['frames']) for clip in found) > 90
  assert set(builder.info.splits) == {'train', 'validation', 'test'}
  for clip in found[::3]:
    path = video_tree / clip['video_id'].decode()
    first = int(clip['frame_numbers'][0]) - 1
    source = [frame.image for frame in video.read_frames(path / 'vid.avi', [(first, first + 6)])]
    for t, frame in enumerate(clip['frames']):
      small = whole_frames.shrink(source[t], 60)
      assert max(small.shape) == 60
      assert abs(frame['image'].astype(int) - small).mean() < 2
      landmarks = annotations.read_pts(path / f'annot/{clip["frame_numbers"][t]:06d}.pts')
      scale = np.array(small.shape[1::-1]) / source[t].shape[1::-1]
      np.testing.assert_allclose(clip['landmarks'][t], [(landmarks + 0.5) * scale - 0.5], atol=1e-3)
    assert clip['others'].shape == (6, 0, 4)


def test_videos_are_split_as_for_crops(video_tree):
  whole = videos.find(video_tree, ClipOptions(region='frames', seed=3))
  crops = videos.find(video_tree, ClipOptions(region='mouth', seed=3))
  assert [(one.video_id, one.split) for one in whole] == [
    (one.video_id, one.split) for one in crops
  ]


@pytest.mark.parametrize('source', ['stills', 'videos'])
def test_the_result_is_the_same_for_any_number_of_workers_and_in_any_process(
  photos, video_tree, tmp_path, source
):
  root = photos if source == 'stills' else video_tree
  name = 'stills_frames' if source == 'stills' else 'frames'
  for workers in (1, 3):
    done = subprocess.run(
      [sys.executable, '-m', 'tfds_300vw', f'--config={name}', f'--workers={workers}',
       f'--manual_dir={root}', f'--data_dir={tmp_path / str(workers)}'],
      capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
  one, three = (digests(tmp_path / f'{n}/the300vw_mask/{name}/1.0.0') for n in (1, 3))
  assert one == three
  assert len(one) > 4


def test_boxes_of_unannotated_faces_go_along(photos, video_tree, tmp_path):
  names = {
    'afw/6_2': [[0, 0, 90, 60], [450, 300, 960, 610]],  # Any file of the picture names it.
    'afw/1_1': [],
    '001/000003': [[0, 0, 56, 48]],
    '001/000005': [],
  }
  found = clips(build(photos, tmp_path / 'photos', frame_side=450, others=names))
  by_name = {clip['video_id'].decode(): clip['others'] for clip in found}
  np.testing.assert_allclose(by_name['afw_6_1'], [[[0, 0, 45, 30], [225, 150, 480, 305]]])
  assert all(boxes.size == 0 for name, boxes in by_name.items() if name != 'afw_6_1')
  builder = build(
    video_tree, tmp_path, 'videos', clip_length=6, fraction=1.0, frame_side=56, others=names
  )
  for clip in clips(builder):
    if clip['video_id'] == b'001' and clip['frame_numbers'][0] == 1:
      assert clip['others'].shape == (6, 1, 4)
      named = ~np.isnan(clip['others']).any(axis=(1, 2))
      assert named.tolist() == [False, False, True, True, False, False]
      np.testing.assert_allclose(clip['others'][2, 0], [0, 0, 28, 24])
    else:
      assert clip['others'].shape[1] == 0


def test_the_command_takes_boxes_under_a_name_and_notices_others(photos, tmp_path, capsys):
  file = tmp_path / 'others.json'
  file.write_text(json.dumps({'afw/1_1': [[0, 0, 20, 20]]}))
  flags = ['--config=stills_frames', '--workers=1', f'--manual_dir={photos}']
  flags += [f'--data_dir={tmp_path / "data"}', f'--others={file}']
  assert command.main(flags) == 1
  assert '--name=stills_frames_mine' in capsys.readouterr().err
  assert command.main([*flags, '--name=mine']) == 0
  assert command.main([*flags, '--name=mine']) == 0
  assert 'Already built' in capsys.readouterr().out
  file.write_text(json.dumps({'afw/1_1': [[0, 0, 20, 21]]}))
  assert command.main([*flags, '--name=mine']) == 1
  assert 'was built with others' in capsys.readouterr().err
  file.write_text(json.dumps({'helen/1_1': [[0, 0, 20, 21]]}))
  assert command.main([*flags, '--name=another']) == 1
  assert 'names are paths below the folder' in capsys.readouterr().err
  assert command.main([*flags, '--name=another', '--config=stills_eyes']) == 1
  assert 'are for whole frames' in capsys.readouterr().err


def damaged(photos, root, how):
  root = shutil.copytree(photos, root)
  if how == 'no points':
    (root / 'afw/2_3.pts').unlink()
  elif how == 'outside':
    annotations.write_pts(root / 'afw/2_3.pts', face(-900, -900, 60))
  elif how == 'unreadable':
    for path in root.glob('afw/2_*.jpg'):
      path.write_bytes(b'no image')
  return root


DAMAGES = {
  'no points': r'afw/2_3\.jpg has no landmarks',
  'outside': r'afw/2_3\.pts: The landmarks lie wholly outside',
  'unreadable': r'afw/2_1\.jpg cannot be read as an image',
}


@pytest.mark.parametrize('how', DAMAGES)
def test_damage_names_the_file_and_can_be_left_out(photos, tmp_path, how):
  root = damaged(photos, tmp_path / 'photos', how)
  with pytest.raises((ValueError, FileNotFoundError), match=DAMAGES[how]):
    build(root, tmp_path / 'data')
  assert not [*(tmp_path / 'data/the300vw_mask').glob('tested/*')]
  left_out = []
  builder = build(root, tmp_path / 'data', how={'left_out': left_out})
  assert [video.video_id for video in left_out] == ['afw_2_1']
  assert len(clips(builder)) == len(PHOTOGRAPHS) - 1


def test_a_box_outside_names_the_picture(photos, video_tree, tmp_path):
  with pytest.raises(ValueError, match=r'afw/1_1\.jpg: the box .*wholly outside'):
    build(photos, tmp_path, others={'afw/1_1': [[200, 0, 210, 9]]})
  with pytest.raises(ValueError, match=r'000001\.pts to .*the box .*wholly outside'):
    build(video_tree, tmp_path, 'videos', fraction=1.0, others={'001/000001': [[0, -9, 9, 0]]})


def test_another_face_of_a_picture_makes_another_dataset(photos, tmp_path, capsys):
  root = shutil.copytree(photos, tmp_path / 'photos')
  flags = ['--config=stills_frames', '--workers=1', f'--manual_dir={root}']
  flags += [f'--data_dir={tmp_path / "data"}']
  assert command.main(flags) == 0
  write_photograph(root / 'afw', '1', [(60, 70, 60), (150, 60, 50)])
  assert command.main(flags) == 1
  assert 'other videos' in capsys.readouterr().err


def test_the_released_zip_has_no_whole_frames(tmp_path):
  with pytest.raises(ValueError, match='cut-out faces'):
    build(tmp_path, tmp_path / 'data', 'released')


def test_a_contact_sheet_shows_the_faces(photos, tmp_path):
  build(photos, tmp_path, others={'afw/2_1': [[0, 0, 20, 20]]})
  sheet = contact_sheet.draw('the300vw_mask/tested', tmp_path, 'train', 3, 1, 80)
  assert sheet.shape[0] > 3 * 2 * 80


def test_clips_of_whole_frames_are_short_unless_asked(tmp_path):
  write_video(tmp_path / 'videos/001', 25)
  write_video(tmp_path / 'videos/002', 25)
  flags = ['--config=frames', '--workers=1', f'--manual_dir={tmp_path / "videos"}']
  assert command.main([*flags, f'--data_dir={tmp_path}']) == 0
  builder = tfds.builder('the300vw_mask/frames', data_dir=tmp_path)
  assert builder.info.metadata['clip_lengths'] == {'train': [10], 'test': [10]}
  assert [video_id for video_id, _ in builder.info.metadata['clip_starts']['train']] in (
    ['001'],
    ['002'],
  )


@pytest.mark.skipif('FMX_REAL_DATA' not in os.environ, reason='FMX_REAL_DATA is not set')
def test_real_photographs_have_all_their_faces_on_one_side():
  root = pathlib.Path(os.environ['FMX_REAL_DATA']) / 'photos'
  found = stills.find(root, ClipOptions(region='frames'))
  assert sum(len(photograph.files) for photograph in found) == len([*root.rglob('*.pts')])
  assert max(len(photograph.files) for photograph in found) > 5
  split_of = {}
  for photograph in found:
    for path in photograph.files:
      name = path.parent / path.stem.rpartition('_')[0]
      assert split_of.setdefault(name, photograph.split) == photograph.split
  tested = sum(split == 'test' for split in split_of.values())
  assert tested == len(split_of) // 5
