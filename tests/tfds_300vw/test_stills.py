import hashlib
import json
import os
import pathlib

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image
from small_datasets import face, moving_faces

import tfds_300vw
from tfds_300vw import __main__ as command
from tfds_300vw import annotations, boxes, face_mask, stills
from tfds_300vw.options import ClipOptions

NAMES = ['afw/1_1', 'afw/1_2', 'afw/2_1', 'helen/10_1', 'helen/11_1', 'helen/9_1', 'helen/9_2']
NAMES += ['helen/a', 'helen/b', 'lfpw/deep/1', 'lfpw/deep/2']
TEST_IDS = {'helen_9_1', 'helen_9_2'}  # Both faces of the fifth photograph out of nine.


def write_still(path, seed=0, height=224, width=240):
  path.parent.mkdir(parents=True, exist_ok=True)
  frame, landmarks = next(moving_faces(1, height, width, seed))
  Image.fromarray(frame).save(path, quality=95)
  annotations.write_pts(path.with_suffix('.pts'), landmarks)


@pytest.fixture(scope='module')
def tree(tmp_path_factory):
  """Eleven faces in three folders, one of them a PNG."""
  root = tmp_path_factory.mktemp('stills')
  for seed, name in enumerate(NAMES):
    write_still(root / f'{name}.{"png" if name == "helen/a" else "jpg"}', seed)
  return root


def build(manual_dir, data_dir, region='primary', how=None, **options):
  options = {'clip_length': 4} | options
  config = tfds_300vw.MaskConfig(
    name='tested', source='stills', options=ClipOptions(region=region, **options)
  )
  builder = tfds_300vw.Builder(
    config=config, data_dir=data_dir, file_format='array_record', **(how or {})
  )
  builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=manual_dir))
  return builder


def ids(builder, split):
  return [clip['video_id'].decode() for clip in builder.as_data_source(split)]


def path_of(tree, clip):
  name = next(name for name in NAMES if name.replace('/', '_') == clip['video_id'].decode())
  return next(path for path in tree.glob(f'{name}.*') if path.suffix != '.pts')


@pytest.mark.parametrize('region', ['primary', 'eyes', 'mouth', 'eye'])
def test_clips_have_the_masks_of_their_moved_landmarks(tree, tmp_path, region):
  builder = build(tree, tmp_path, region)
  assert set(builder.info.splits) == {'train', 'validation', 'test'}
  for split in builder.info.splits:
    for clip in builder.as_data_source(split):
      assert len(clip['frames']) == (1 if split == 'test' else 4)
      assert clip['frame_numbers'].tolist() == list(range(1, len(clip['frames']) + 1))
      assert clip['frame_rate'] == 25
      for frame, landmarks, box in zip(clip['frames'], clip['landmarks'], clip['boxes']):
        assert frame['image'].shape[:2] == (box[3] - box[1], box[2] - box[0])
        drawn = face_mask.landmarks_to_mask(landmarks, *frame['image'].shape[:2])
        labels = frame['labels'][..., 0]
        # Landmarks are stored as float32, so a pixel on an edge may fall to either side.
        assert (labels != face_mask.region_labels(drawn, region)).mean() < 1e-3
        assert labels.max() == len(face_mask.class_names(region)) - 1


def test_each_eye_is_a_clip_of_its_own(tree, tmp_path):
  builder = build(tree, tmp_path, 'eye', region_margin=2.4, box_shift=0.0, box_scale=0.0)
  for split in builder.info.splits:
    found = list(builder.as_data_source(split))
    assert [clip['part'] for clip in found] == [b'right', b'left'] * (len(found) // 2)
    for right, left in zip(found[::2], found[1::2]):
      assert right['video_id'] == left['video_id']
      # The person's right eye is on the left of the image.
      assert (right['boxes'][:, 0] < left['boxes'][:, 0]).all()
      moved = [clip['landmarks'] + clip['boxes'][:, None, :2] for clip in (right, left)]
      np.testing.assert_allclose(*moved, atol=1e-3)  # The camera films both at once.
      for clip, indices in ((right, range(36, 42)), (left, range(42, 48))):
        eye = clip['landmarks'][:, indices].reshape(-1, 2)  # The box stays for the clip.
        sides = clip['boxes'][0, 2:] - clip['boxes'][0, :2]
        assert sides[0] == pytest.approx(2.4 * np.ptp(eye[:, 0]), abs=2.5)
        centre = (eye.min(axis=0) + eye.max(axis=0)) / 2
        np.testing.assert_allclose(centre, (sides - 1) / 2, atol=3)


def test_an_eye_outside_its_image_is_left_out(tmp_path):
  for name, shift in {'1': 0, '2': -115}.items():
    path = tmp_path / 'faces' / f'{name}.png'
    write_still(path)
    landmarks = annotations.read_pts(path.with_suffix('.pts'))
    annotations.write_pts(path.with_suffix('.pts'), landmarks + (shift, 0))
  # Both eyes of the first are inside, of the second only the left one.
  lists = {'test': ['1', '2']}
  found = build(tmp_path / 'faces', tmp_path, 'eye', splits=lists).as_data_source('test')
  seen = [(clip['video_id'], clip['part']) for clip in found]
  assert seen == [(b'1', b'right'), (b'1', b'left'), (b'2', b'left')]


def test_masks_follow_the_pixels(tree, tmp_path):
  # The faces are drawn in the class colours over noise: skin is red, eyes are green.
  for clip in build(tree, tmp_path).as_data_source('train'):
    for frame in clip['frames']:
      image, labels = frame['image'].astype(int), frame['labels'][..., 0]
      assert image[labels == 1].mean(0)[0] > image[labels == 0].mean(0)[0] + 80
      assert image[labels == 2].mean(0)[1] > image[labels == 1].mean(0)[1] + 60


def test_a_test_image_is_itself_without_camera_and_noise(tree, tmp_path):
  builder = build(tree, tmp_path)
  assert set(ids(builder, 'test')) == TEST_IDS
  for clip in builder.as_data_source('test'):
    path = path_of(tree, clip)
    landmarks = annotations.read_pts(path.with_suffix('.pts'))
    box = boxes.face_box(landmarks, 224, 240)
    np.testing.assert_array_equal(clip['boxes'], [box])
    np.testing.assert_allclose(clip['landmarks'][0], landmarks - box[:2], atol=1e-4)
    whole = np.asarray(Image.open(path)).astype(int)
    difference = boxes.crop(whole, box) - list(clip['frames'])[0]['image']
    assert abs(difference).mean() < 4  # JPEG of a noisy picture.


def test_training_clips_move_and_each_image_in_its_own_way(tree, tmp_path):
  clips = [*build(tree, tmp_path).as_data_source('train')]
  shapes = []
  for clip in clips:
    moved = clip['landmarks'] + clip['boxes'][:, None, :2]
    assert np.abs(np.diff(moved, axis=0)).max() > 0.1
    shapes.append(moved[0] - moved[0].mean(axis=0))
  assert all(np.abs(shapes[0] - shape).max() > 0.5 for shape in shapes[1:])


def test_without_camera_motion_a_clip_repeats_its_image(tree, tmp_path):
  for clip in build(tree, tmp_path, camera_motion=0.0).as_data_source('train'):
    landmarks = annotations.read_pts(path_of(tree, clip).with_suffix('.pts'))
    moved = clip['landmarks'] + clip['boxes'][:, None, :2]
    offset = landmarks[0] - moved[0, 0]  # Of what the camera sees in the image.
    np.testing.assert_allclose(offset, offset.round(), atol=1e-3)
    np.testing.assert_allclose(moved + offset, np.stack([landmarks] * 4), atol=1e-3)
    images = [frame['image'] for frame in clip['frames']]
    assert all((image == images[0]).all() for image in images)


def test_only_training_boxes_are_noisy(tree, tmp_path):
  noisy = build(tree, tmp_path / 'noisy', 'eyes')
  exact = build(tree, tmp_path / 'exact', 'eyes', box_shift=0.0, box_scale=0.0)
  for split in ('train', 'validation', 'test'):
    pairs = list(zip(noisy.as_data_source(split), exact.as_data_source(split)))
    assert any((a['boxes'] != b['boxes']).any() for a, b in pairs) == (split == 'train')


def test_the_result_is_the_same_for_any_number_of_workers(tree, tmp_path):
  def digests(num_workers):
    data_dir = tmp_path / str(num_workers)
    folder = pathlib.Path(build(tree, data_dir, 'mouth', {'num_workers': num_workers}).data_dir)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob('*')}

  assert digests(1) == digests(3)


def test_no_photograph_is_in_two_splits(tree, tmp_path):
  builder = build(tree, tmp_path)
  found = {split: set(ids(builder, split)) for split in builder.info.splits}
  assert sum(map(len, found.values())) == len(NAMES)
  for one, other in (('afw_1_1', 'afw_1_2'), ('helen_9_1', 'helen_9_2')):
    assert sum({one, other} <= of_split for of_split in found.values()) == 1


def test_the_users_lists_are_honoured(tree, tmp_path):
  lists = {'train': ['afw_1_1', 'helen_11_1'], 'test': ['helen_a']}
  builder = build(tree, tmp_path, splits=lists)
  assert {split: ids(builder, split) for split in builder.info.splits} == lists
  with pytest.raises(ValueError, match="'helen_zz'"):
    stills.find(tree, ClipOptions(splits={'train': ['helen_zz']}))


def test_paths_that_would_share_an_id_are_named(tmp_path):
  write_still(tmp_path / 'a/b.jpg')
  write_still(tmp_path / 'a_b.jpg')
  with pytest.raises(ValueError, match=r'a/b\.jpg and .*a_b\.jpg would both be called a_b'):
    stills.find(tmp_path, ClipOptions())


def test_a_large_face_is_filmed_at_a_moderate_size():
  # A face of 1000 px beside the middle of 3000 x 2400: 1.5 sizes to each side, then 400 px.
  landmarks = face(1600, 1200, 1000)
  image = np.zeros((2400, 3000, 3), np.uint8)
  part, moved = stills.surroundings(image, landmarks)
  assert np.ptp(moved, axis=0).mean() == pytest.approx(400, abs=1)
  assert max(part.shape) <= 1202
  again, unmoved = stills.surroundings(part, moved)
  assert again.shape == part.shape
  np.testing.assert_allclose(unmoved, moved, atol=1e-9)


def test_a_shrunk_image_keeps_its_landmarks_on_their_pixels():
  landmarks = face(900, 700, 800)
  image = np.zeros((1400, 1800, 3), np.uint8)
  x, y = landmarks[30].round().astype(int)
  image[y - 8 : y + 9, x - 8 : x + 9] = 255
  part, moved = stills.surroundings(image, landmarks)
  rows, columns = np.nonzero(part[..., 0] > 127)
  offset = (landmarks[30] - (x, y)) / 2
  assert np.abs([columns.mean(), rows.mean()] + offset - moved[30]).max() < 0.5


def break_still(root, how):
  """Damages the face helen/9_1 of a tree."""
  image, points = root / 'helen/9_1.jpg', root / 'helen/9_1.pts'
  if how == 'no points':
    points.unlink()
  elif how == 'no image':
    image.unlink()
  elif how == 'unreadable':
    image.write_bytes(b'no image')
  elif how == 'cut short':
    image.write_bytes(image.read_bytes()[:700])
  elif how == 'too few':
    points.write_text('version: 1\nn_points: 67\n{\n' + '1 2\n' * 67 + '}\n')
  elif how == 'outside':
    annotations.write_pts(points, face(-900, -900, 60))


DAMAGES = {
  'no points': r'helen/9_1\.jpg has no landmarks',
  'no image': r'helen/9_1\.pts has no image',
  'unreadable': r'helen/9_1\.jpg cannot be read as an image',
  'cut short': r'helen/9_1\.jpg cannot be read as an image',
  'too few': r'helen/9_1\.pts, line 70: 67 points',
  'outside': r'helen/9_1\.pts: The landmarks lie wholly outside',
}


@pytest.mark.parametrize('how', DAMAGES)
def test_damage_names_the_file(tmp_path, how):
  for seed, name in enumerate(NAMES[3:8]):
    write_still(tmp_path / 'faces' / f'{name}.jpg', seed)
  break_still(tmp_path / 'faces', how)
  with pytest.raises((ValueError, FileNotFoundError), match=DAMAGES[how]):
    build(tmp_path / 'faces', tmp_path / 'data')


def test_no_image_at_all_says_what_is_expected(tmp_path):
  (tmp_path / 'faces').mkdir()
  (tmp_path / 'faces/notes.txt').write_text('not here')
  with pytest.raises(FileNotFoundError, match=r'(?s)No image in .*100032540_1\.pts'):
    build(tmp_path / 'faces', tmp_path / 'data')


def test_bad_frames_are_refused(tree):
  with pytest.raises(ValueError, match='no bad frames'):
    stills.find(tree, ClipOptions(bad_frames={'afw_1_1': [(1, 1)]}))


def test_the_command_builds_clips_of_five_frames_and_other_motion_under_another_name(
  tree, tmp_path, capsys
):
  flags = ['--config=stills_eyes', '--workers=1', f'--manual_dir={tree}', f'--data_dir={tmp_path}']
  assert command.main(flags) == 0
  assert command.main(flags) == 0
  assert 'Already built' in capsys.readouterr().out
  clip = tfds.builder('the300vw_mask/stills_eyes', data_dir=tmp_path).as_data_source('train')[0]
  assert len(clip['frames']) == 5
  assert command.main([*flags, '--camera_motion=0.5']) == 1
  assert '--name=stills_eyes_mine' in capsys.readouterr().err
  assert command.main([*flags, '--camera_motion=2', '--name=wild']) == 1
  assert 'camera_motion is 2.0' in capsys.readouterr().err


def test_a_dataset_that_divides_photographs_is_not_taken_for_one_that_does_not(
  tree, tmp_path, capsys
):
  flags = ['--config=stills_mouth', '--workers=1', f'--manual_dir={tree}']
  flags += [f'--data_dir={tmp_path}']
  assert command.main(flags) == 0
  (file,) = tmp_path.glob('the300vw_mask/*/*/metadata.json')
  metadata = json.loads(file.read_text())
  del metadata['clip_starts']  # As datasets had it before.
  file.write_text(json.dumps(metadata))
  assert command.main(flags) == 1
  assert 'the older split' in capsys.readouterr().err


@pytest.mark.skipif('FMX_REAL_DATA' not in os.environ, reason='FMX_REAL_DATA is not set')
def test_real_stills_give_clips_with_every_class():
  root = pathlib.Path(os.environ['FMX_REAL_DATA']) / 'stills'
  found = stills.find(root, ClipOptions(clip_length=5))
  assert {still.split for still in found} == {'train', 'validation', 'test'}
  for still in found[::200]:
    ((key, example),) = still.examples()
    assert key == f'{still.video_id}_000001'
    for landmarks, box in zip(example['landmarks'], example['boxes']):
      labels = face_mask.landmarks_to_mask(landmarks, box[3] - box[1], box[2] - box[0])
      assert 0.2 < (labels == 1).mean() < 0.6
      assert 0.002 < (labels == 2).mean() < 0.1
