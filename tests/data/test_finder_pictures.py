import pickle

import numpy as np
import pytest
from finder_scenes import frame

from fmx.data.finder_disturbances import disturb
from fmx.data.finder_pictures import Painter, Scenes, batches

FRAMES = [frame((40, 50, 40)), frame((80, 40, 30, 0.4), (30, 40, 20)), frame()]


def painter(room=10**9):
  return Painter(64, ((Scenes(FRAMES, room=room), 1.0),), (np.full((90, 80, 3), 9, np.uint8),))


def test_the_same_seed_draws_the_same_picture():
  for seed in range(12):
    first, second = (painter()(None, np.random.default_rng(seed)) for _ in range(2))
    for name, value in first.items():
      np.testing.assert_array_equal(value, second[name], err_msg=name)
    assert first['image'].shape == (64, 64, 3)
    assert first['image'].dtype == np.uint8
    assert first['told'].shape == (8, 8, 14)


def test_pictures_have_faces_of_all_sizes_and_sometimes_none():
  rng = np.random.default_rng(0)
  drawn = [painter().picture(rng) for _ in range(200)]
  sizes = np.concatenate([each.faces[:, 2] for each in drawn])
  assert sizes.min() < 18
  assert sizes.max() > 64
  assert 0.05 < np.mean([each.is_empty for each in drawn]) < 0.5
  assert max(len(each.faces) for each in drawn) >= 3


def test_a_step_is_the_same_whether_or_not_those_before_it_were_drawn():
  options = {'batch_size': 2, 'num_devices': 1, 'seed': 3, 'steps': 4}
  whole = list(batches(painter(), **options))
  rest = list(batches(painter(), start_step=2, **options))
  assert len(whole) == 4
  assert whole[0]['image'].shape == (1, 2, 64, 64, 3)
  for one, other in zip(whole[2:], rest, strict=True):
    np.testing.assert_array_equal(one['image'], other['image'])


def test_a_batch_that_does_not_divide_is_refused():
  with pytest.raises(ValueError, match='does not divide over 2 devices'):
    next(batches(painter(), batch_size=3, num_devices=2, seed=0, steps=1))


def test_scenes_beyond_the_room_are_dropped_and_decoded_again():
  class Counting(list):
    reads = 0

    def __getitem__(self, index):
      self.reads += 1
      return super().__getitem__(index)

  frames = Counting(FRAMES)
  size = FRAMES[0].image.nbytes
  scenes = Scenes(frames, room=2 * size)
  for index in (0, 1, 0, 2, 0, 1):
    assert len(scenes[index].faces) == len(FRAMES[index].landmarks)
  assert frames.reads == 4  # 0, 1 and 2, and 1 again, which had to make room for 2.


def test_scenes_that_are_sent_have_all_their_room_again():
  size = FRAMES[0].image.nbytes
  scenes = Scenes(FRAMES, room=2 * size)
  for index in range(3):
    scenes[index]
  assert pickle.loads(pickle.dumps(scenes)).__getstate__()['room'] == 2 * size


def test_painters_can_be_sent_to_workers():
  sent = pickle.loads(pickle.dumps(painter()))
  np.testing.assert_array_equal(
    sent(None, np.random.default_rng(1))['image'],
    painter()(None, np.random.default_rng(1))['image'],
  )


def test_disturbances_leave_the_picture_that_they_are_given():
  image = FRAMES[0].image.copy()
  faces = np.array([[40, 50, 40, *np.zeros(10)]])
  changed = 0
  for seed in range(30):
    made = disturb(image, faces, np.random.default_rng(seed))
    assert made.shape == image.shape
    assert made.dtype == np.uint8
    changed += not np.array_equal(made, image)
  np.testing.assert_array_equal(image, FRAMES[0].image)
  assert changed > 20
