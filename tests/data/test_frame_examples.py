import json
import pickle
import shutil

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image
from small_datasets import face, moving_faces, write_video

import tfds_300vw
from fmx.data import prepared
from tfds_300vw import annotations
from tfds_300vw.options import ClipOptions

BOTH = 'the300vw_mask/photos+the300vw_mask/videos'
OTHERS = {'1_1': [[0, 0, 20, 30]], '001/000003': [[1, 2, 3, 4], [5, 6, 7, 8]], '001/000004': []}


def build(name, source, manual_dir, data_dir, region='frames', **options):
  tfds_300vw.Builder(
    config=tfds_300vw.MaskConfig(
      name=name, source=source, options=ClipOptions(region=region, **options)
    ),
    data_dir=data_dir,
    file_format='array_record',
  ).download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=manual_dir))


@pytest.fixture(scope='module')
def data_dir(tmp_path_factory):
  """Six photographs, the first with two faces, and three videos in clips of four frames."""
  root = tmp_path_factory.mktemp('sources')
  for number in range(1, 7):
    frame = next(moving_faces(1, 120, 180, number))[0]
    for index in (1, 2) if number == 1 else (1,):
      path = root / f'photos/{number}_{index}.jpg'
      path.parent.mkdir(exist_ok=True)
      Image.fromarray(frame).save(path)
      annotations.write_pts(path.with_suffix('.pts'), face(40 * index, 60, 40))
  for number in range(1, 4):
    write_video(root / f'videos/{number:03d}', 14, seed=number)
  lists = {'train': ['001', '003'], 'test': ['002']}
  data_dir = root / 'data'
  build('photos', 'stills', root / 'photos', data_dir, others=OTHERS)
  build(
    'videos',
    'videos',
    root / 'videos',
    data_dir,
    clip_length=4,
    fraction=1.0,
    others=OTHERS,
    splits=lists,
    bad_frames={'003': [(1, 2)]},
  )
  build('mouths', 'videos', root / 'videos', data_dir, region='mouth', clip_length=4)
  build('single', 'videos', root / 'videos', data_dir, 'eye', clip_length=4, fraction=1.0)
  return data_dir


@pytest.fixture
def dataset(data_dir):
  return prepared.open_dataset(BOTH, data_dir)


def test_whole_frames_are_a_region_of_their_own(dataset):
  assert dataset.region == 'frames'
  assert [part.source for part in dataset.parts] == ['stills', 'videos']
  assert len(dataset.class_names) == 5


def test_what_a_frame_is_stands_ready_before_it_is_decoded(dataset):
  frames = prepared.FrameExamples(dataset, 'train')
  # Four photographs train of six: the fifth tests, another validates. Then three clips of a video
  # and three of one whose first two frames are bad.
  assert len(frames) == len(frames.video_ids) == len(frames.frame_numbers) == 4 + 12 + 12
  assert frames.from_people.tolist() == [True] * 4 + [False] * 24
  assert set(frames.video_ids[:4]) < {f'{number}_1' for number in range(1, 7)}
  assert frames.video_ids[4:].tolist() == ['001'] * 12 + ['003'] * 12
  assert frames.frame_numbers[4:].tolist() == [*range(1, 13), *range(3, 15)]
  assert prepared.FrameExamples(dataset, 'test').video_ids.tolist() == ['5_1'] + ['002'] * 12
  # The videos have no validation split.
  assert prepared.FrameExamples(dataset, 'validation').from_people.tolist() == [True]


def test_a_frame_has_the_faces_of_its_source(dataset):
  frames = prepared.FrameExamples(dataset, 'train')
  for index in (0, 3, 6, 17, len(frames) - 1):
    found = frames[index]
    assert found.video_id == frames.video_ids[index]
    assert found.frame_number == frames.frame_numbers[index]
    assert found.from_people == frames.from_people[index]
    assert found.image.dtype == np.uint8
    assert found.landmarks.dtype == found.others.dtype == np.float32
    assert found.landmarks.shape == ((2 if found.video_id == '1_1' else 1), 68, 2)
    assert found.image.shape == ((120, 180, 3) if found.from_people else (96, 112, 3))
  third = frames[int(np.flatnonzero((frames.video_ids == '001') & (frames.frame_numbers == 3))[0])]
  np.testing.assert_allclose(third.others, OTHERS['001/000003'])
  landmarks = [*moving_faces(3, 96, 112, 1)][2][1]
  np.testing.assert_allclose(third.landmarks, [landmarks], atol=1e-3)


def test_rows_of_nan_are_no_faces(dataset, monkeypatch):
  frames = prepared.FrameExamples(dataset, 'train')
  record = frames._parts[0].record(0)
  landmarks = np.full((1, 3, 68, 2), np.nan, np.float32)
  landmarks[0, 1] = 7
  others = np.array([[[np.nan] * 4, [1, 2, 3, 4]]], np.float32)
  monkeypatch.setattr(
    type(frames._parts[0]), 'record', lambda *_: record | {'landmarks': landmarks, 'others': others}
  )
  assert frames[0].landmarks.tolist() == [[[7, 7]] * 68]
  assert frames[0].others.tolist() == [[1, 2, 3, 4]]


def test_only_the_frame_that_is_asked_for_is_decoded(dataset, monkeypatch):
  decoded = []
  original = tfds.features.Image.decode_example_np
  monkeypatch.setattr(
    tfds.features.Image,
    'decode_example_np',
    lambda self, example: decoded.append(example) or original(self, example),
  )
  frames = prepared.FrameExamples(dataset, 'train')
  assert not decoded
  frames[9]
  assert len(decoded) == 1


def test_frames_travel_to_other_processes_before_and_after_reading(dataset):
  frames = prepared.FrameExamples(dataset, 'train')
  fresh = pickle.dumps(frames)
  expected = frames[5]
  for copy in (pickle.loads(fresh), pickle.loads(pickle.dumps(frames))):
    np.testing.assert_array_equal(copy[5].image, expected.image)
    assert copy.video_ids.tolist() == frames.video_ids.tolist()
  assert len(pickle.dumps(frames)) < 5_000  # No open file goes along.


def test_a_single_eye_is_named_in_its_window(data_dir):
  dataset = prepared.open_dataset('the300vw_mask/single', data_dir)
  windows = prepared.Windows(dataset, 'train', 4, keep_rest=True)
  names = [windows[index].clip for index in range(len(windows))]
  video_id = windows[0].video_id
  assert names[:2] == [f'{video_id}_right_000001', f'{video_id}_left_000001']
  assert len(set(names)) == len(names)
  assert windows.describe(1) == f'video {video_id}, left eye, frames 1 to 4'


def test_mistakes_get_one_sentence(data_dir, dataset):
  with pytest.raises(IndexError, match='no frame -1 among 28'):
    prepared.FrameExamples(dataset, 'train')[-1]
  with pytest.raises(ValueError, match="no split 'dev'"):
    prepared.FrameExamples(dataset, 'dev')
  mouths = prepared.open_dataset('the300vw_mask/mouths', data_dir)
  with pytest.raises(ValueError, match=r'mouths holds crops \(mouth\), not whole frames'):
    prepared.FrameExamples(mouths, 'train')
  with pytest.raises(ValueError, match='videos holds whole frames without labels'):
    prepared.Windows(
      prepared.open_dataset('the300vw_mask/videos', data_dir), 'train', 2, keep_rest=True
    )
  with pytest.raises(ValueError, match='one has whole frames, the other crops'):
    prepared.open_dataset('the300vw_mask/mouths+the300vw_mask/videos', data_dir)


def test_a_damaged_frame_is_named(dataset, monkeypatch):
  frames = prepared.FrameExamples(dataset, 'train')

  class Damaged:
    def __getitem__(self, position):
      raise OSError('image file is truncated')

  record = frames._parts[1].record(0)
  monkeypatch.setattr(type(frames._parts[1]), 'record', lambda *_: record | {'frames': Damaged()})
  with pytest.raises(ValueError, match='Frame 2 of video 001 cannot be decoded'):
    frames[5]


def test_whole_frames_without_their_list_are_refused(data_dir, tmp_path):
  shutil.copytree(data_dir / 'the300vw_mask/videos', tmp_path / 'the300vw_mask/videos')
  (file,) = tmp_path.glob('the300vw_mask/*/*/metadata.json')
  content = json.loads(file.read_text())
  del content['clip_starts']
  file.write_text(json.dumps(content))
  dataset = prepared.open_dataset('the300vw_mask/videos', tmp_path)
  with pytest.raises(ValueError, match='lacks the list of its clips'):
    prepared.FrameExamples(dataset, 'train')
