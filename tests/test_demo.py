import dataclasses
import json
import os

import numpy as np
import pytest
import tensorflow_datasets as tfds
import tiny_runs
from PIL import Image

from configs import demo as demo_config
from configs import primary
from fmx import demo
from fmx.drawing.disturbances import Difficulty, Disturbances
from fmx.models import segmenter
from tfds_300vw import video

TINY = {
  'demo.num_videos': 6,
  'demo.num_frames': 10,
  'demo.size': 48,
  'data.image_size': 32,
  'data.workers': 0,
  'fcn.epochs': 1,
  'fcn.batch_size': 20,
  'convlstm.epochs': 1,
  'convlstm.batch_size': 8,
  'evaluation.batch_size': 8,
}


def tiny(**overrides):
  config = demo_config.get_config()
  config.update_from_flattened_dict(TINY | overrides)
  return config.lock()


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """The folder of a finished demo, with a tiny network as long as the tests here run."""
  folder = tmp_path_factory.mktemp('demo')
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(os, 'cpu_count', lambda: 1)  # Processes would take longer to start than to work.
    patch.setattr(segmenter, 'build', tiny_runs.build)
    demo.run(tiny(), folder)
    yield folder


def test_the_demo_compares_the_models_and_their_smoothing(folder):
  results = json.loads((folder / 'run/results.json').read_text())
  assert list(results) == ['FCN', 'FCN + temporal smoothing', 'ConvLSTM-FCN']
  for result in results.values():
    assert len(result['clips']) == len(videos_of_test(folder))
    assert 0 < result['miou'] < 1


def test_the_picture_has_two_windows(folder):
  # Columns: 2 windows of 5 frames, 160 + 4 pixels each. Rows: frame, labels, FCN, ConvLSTM-FCN.
  size = 4 + 164 * 10, 4 * (160 + 4 + 18) + 4 + 18
  assert Image.open(folder / 'masks.png').size == size


def test_the_video_plays_and_has_every_frame_of_a_clip_of_each_test_video(folder):
  frames = list(video.read_frames(folder / 'masks.mp4'))
  assert len(frames) == 10 * len(videos_of_test(folder))
  images = np.stack([frame.image for frame in frames])
  assert images.shape[2] == 4 + 4 * (240 + 4)
  assert np.abs(np.diff(images.astype(int), axis=0)).max() > 50  # Something moves.


def test_a_repeated_command_trains_nothing_and_gives_the_same(folder, caplog):
  before = (folder / 'run/results.json').read_text()
  with caplog.at_level('INFO', 'fmx'):
    demo.run(tiny(), folder)
  assert [m for m in caplog.messages if 'already trained' in m] == [
    'FCN: already trained, 2 steps.',
    'ConvLSTM-FCN: already trained, 1 steps.',
  ]
  assert (folder / 'run/results.json').read_text() == before


@pytest.mark.parametrize(
  ('option', 'value', 'named'),
  [
    ('fcn.epochs', 3, r'fcn\.epochs is 3, there 1'),
    ('demo.num_videos', 7, r'demo\.num_videos is 7, there 6'),
    ('demo.difficulty.dropouts', 0.5, r'demo\.difficulty\.dropouts is 0\.5'),
  ],
)
def test_other_settings_in_the_same_folder_are_named(folder, option, value, named):
  with pytest.raises(ValueError, match=named):
    demo.run(tiny(**{option: value}), folder)


def test_other_faces_are_refused_before_anything_is_trained(tmp_path):
  demo.claim(tiny(), tmp_path)
  with pytest.raises(ValueError, match='holds other drawn faces: demo.seed is 1, there 0'):
    demo.claim(tiny(**{'demo.seed': 1}), tmp_path)


def test_the_windows_of_median_and_of_largest_disagreement_are_drawn(tmp_path):
  def shown(start, differs):
    masks = np.zeros((2, 8, 8), np.uint8)
    masks[1, :differs] = 1
    frame = np.full((8, 8, 3), 10 * start, np.uint8)
    return demo.ShownFrame('', start, frame, masks[0], {'a': masks[0], 'b': masks[1]})

  clip = [shown(0, 1), shown(0, 2), shown(5, 4), shown(5, 3), shown(10, 0), shown(10, 8)]
  assert clip[1].disagreement == 2 * 8 / 64
  demo.write_picture([clip], tmp_path / 'masks.png')
  picture = np.asarray(Image.open(tmp_path / 'masks.png'))
  # Means: (1 + 2) / 2, (4 + 3) / 2 and (0 + 8) / 2 rows of 8; two columns for each window.
  np.testing.assert_array_equal(picture[80, 80], (50, 50, 50))
  np.testing.assert_array_equal(picture[80, 80 + 2 * 164], (100, 100, 100))


def test_difficulty_has_every_option_there_is():
  difficulty = primary.get_config().demo.difficulty.to_dict()
  assert difficulty == dataclasses.asdict(Difficulty())


def test_the_crop_stays_for_a_clip_and_misses_the_face_s_centre_in_every_split(folder):
  builder = tfds.builder('the300vw_mask/drawn', data_dir=folder / 'data')
  for split in ('train', 'validation', 'test'):
    for clip in builder.as_data_source(split):
      box, points = clip['boxes'][0], clip['landmarks'].reshape(-1, 2)
      assert (clip['boxes'] == box).all()
      centre = (points.min(axis=0) + points.max(axis=0)) / 2
      assert np.abs(centre / (box[2:] - box[:2]) - 0.5).max() > 0.02


def test_about_four_frames_in_ten_are_spoilt():
  difficulty = Difficulty(**demo_config.get_config().demo.difficulty)
  chequers = (60 + 140 * (np.indices((48, 48)).sum(axis=0) // 6 % 2)).astype(np.uint8)
  picture = np.repeat(chequers[..., None], 3, axis=2)
  spoilt = []
  for video_index in range(100):
    rng = np.random.default_rng(video_index)
    trouble = Disturbances(difficulty, rng, 10, 30.0, np.ones(3), np.ones(3))
    difference = [np.abs(trouble.film(picture, t).astype(int) - picture).mean() for t in range(10)]
    spoilt.append(np.greater(difference, 20))  # Grey levels; noise alone has 5 at most.
  # 16 events a second, each in one of 30 frames: 1 - exp(-16 / 30) = 0.41.
  assert 0.36 < np.mean(spoilt) < 0.46


def test_videos_walk_through_their_clips_in_order(folder):
  shown = demo.shown_clips(ready(folder), folder / 'run')
  assert [frame.start for frame in shown[0]] == np.repeat(range(0, 10, 5), 5).tolist()
  assert shown[0][0].caption.endswith('frame 1')
  assert shown[0][-1].caption.endswith('frame 10')


def ready(folder):
  return tiny(**{'data.data_dir': str(folder / 'data'), 'data.dataset': 'the300vw_mask/drawn'})


def videos_of_test(folder):
  dataset = demo.open_dataset('the300vw_mask/drawn', folder / 'data')
  return [clip.video_id for clip in dataset.clips('test')]
