"""Drawn faces: exact landmarks, reproducible frames, whole videos or none."""

import dataclasses
import json
import multiprocessing
import os
import signal
import time

import cv2
import numpy as np
import pytest

from fmx.drawing import videos
from fmx.drawing.anatomy import Shape
from fmx.drawing.disturbances import Difficulty, Disturbances
from fmx.drawing.head import Head, project, rotation
from fmx.drawing.motion import Motion
from fmx.drawing.painter import Painter
from fmx.drawing.scene import Light, Moment
from tfds_300vw import video
from tfds_300vw.annotations import read_pts
from tfds_300vw.face_mask import landmarks_to_mask

EYES = (
  (36, 37, 41),
  (36, 38, 40),
  (42, 43, 47),
  (42, 44, 46),
)  # A corner, an upper and its lower lid.
UPSET = Difficulty(
  occlusions=8,
  long_occlusions=2,
  motion_blurs=8,
  defocusings=8,
  darkenings=8,
  flashes=8,
  dropouts=8,
  poor_video=1,
)
LIGHT = Light(np.array([0.3, -0.4, 0.866]), np.full(3, 0.7), np.full(3, 0.45))


def draw(*, seed=3, index=0, num_frames=6, size=96, difficulty=None, **options):
  frames = videos.draw_video(
    seed, index, num_frames, size, difficulty=difficulty or Difficulty.none(), **options
  )
  images, landmarks = zip(*frames, strict=True)
  return np.stack(images), np.stack(landmarks)


def at_rest(**changes):
  values = {
    'expression': np.zeros(8),
    'lids': np.ones(2),
    'gaze': np.zeros(2),
    'angles': np.zeros(3),
    'body_angles': np.zeros(3),
    'scale': 80.0,
    'origin': np.array([128.0, 130.0]),
  }
  return Moment(**values | changes)


@pytest.fixture(scope='module')
def painter():
  return Painter(np.random.default_rng(2))


def test_the_same_seed_draws_the_same_frames():
  for difficulty in (Difficulty.none(), UPSET):
    first, second = draw(difficulty=difficulty), draw(difficulty=difficulty)
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


def test_another_seed_or_index_draws_another_person():
  landmarks = draw(num_frames=1)[1]
  assert not np.allclose(landmarks, draw(num_frames=1, seed=4)[1], atol=1)
  assert not np.allclose(landmarks, draw(num_frames=1, index=1)[1], atol=1)


def test_frames_and_landmarks_have_the_promised_form():
  for size in (32, 96, 97):
    frames, landmarks = draw(size=size, num_frames=2)
    assert frames.dtype == np.uint8
    assert landmarks.dtype == np.float64
    assert landmarks.shape == (2, 68, 2)
    _, height, width, channels = frames.shape
    assert channels == 3
    assert 0.85 * size - 1 <= height <= 1.15 * size + 1
    assert 0.9 * size - 1 <= width <= 1.35 * size + 1
    assert height % 2 == width % 2 == 0


def test_one_frame_is_a_video():
  assert draw(num_frames=1)[0].shape[0] == 1


def test_disturbances_change_pictures_but_not_landmarks():
  calm, upset = draw(num_frames=20), draw(num_frames=20, difficulty=UPSET)
  np.testing.assert_array_equal(calm[1], upset[1])
  changed = np.abs(calm[0].astype(int) - upset[0]).mean((1, 2, 3))
  assert (changed > 1).all()


def test_occluders_hide_the_face_for_a_few_frames_only():
  hidden = dataclasses.replace(Difficulty.none(), occlusions=2.0, occlusion_frames=(2, 4))
  calm, upset = draw(num_frames=45, size=64), draw(num_frames=45, size=64, difficulty=hidden)
  touched = (calm[0] != upset[0]).any((1, 2, 3))
  assert 2 <= touched.sum() < 40
  shares = []
  for t in np.flatnonzero(touched):
    face = landmarks_to_mask(calm[1][t], *calm[0].shape[1:3]) > 0
    shares.append((calm[0][t] != upset[0][t]).any(-1)[face].mean())
  assert max(shares) > 0.15


def test_no_rates_mean_no_disturbance():
  trouble = Disturbances(
    Difficulty.none(), np.random.default_rng(0), 5, 30.0, np.ones(3), np.ones(3)
  )
  image = np.random.default_rng(1).integers(0, 256, (40, 50, 3), np.uint8)
  for t in range(5):
    covered = image.copy()
    trouble.hide(covered, t, (np.array([25.0, 20.0]), 15.0), np.ones(3))
    np.testing.assert_array_equal(trouble.film(covered, t), image)


def test_motion_blur_displaces_nothing():
  blurred = dataclasses.replace(Difficulty.none(), motion_blurs=1000.0)
  trouble = Disturbances(blurred, np.random.default_rng(0), 4, 30.0, np.ones(3), np.ones(3))
  image = np.zeros((81, 81, 3), np.uint8)
  image[40, 40] = 255
  for t in range(4):
    weight = trouble.film(image, t)[..., 0].astype(float)
    assert weight.max() < 128
    # The bright spot stays centred on pixel 40.
    v, u = np.indices(weight.shape)
    assert abs((weight * u).sum() / weight.sum() - 40) < 0.3
    assert abs((weight * v).sum() / weight.sum() - 40) < 0.3


def test_landmarks_slide_without_jumps_as_the_head_turns(painter):
  for axis, limit in ((0, 45), (1, 18), (2, 20)):
    angles = np.zeros((4 * limit + 1, 3))
    angles[:, axis] = np.linspace(-limit, limit, len(angles))
    landmarks = np.stack([painter.view(at_rest(angles=a)).landmarks for a in angles])
    # Half a degree moves a point one head unit (80 pixels) away by 0.7 pixels, and turns that
    # motion by 0.006.
    assert np.abs(np.diff(landmarks, axis=0)).max() < 1.2
    assert np.abs(np.diff(landmarks, n=2, axis=0)).max() < 0.25


def test_motion_is_smooth():
  for index in range(12):
    moments = Motion(np.random.default_rng([2, index]), 90, 30.0, 256, 256).moments
    for name, step in (('angles', 7.0), ('origin', 12.0), ('expression', 0.35), ('scale', 1.0)):
      values = np.stack([getattr(moment, name) for moment in moments])
      assert np.abs(np.diff(values, axis=0)).max() < step, name


def test_a_blink_closes_the_eye(painter):
  def openness(lids):
    points = painter.view(at_rest(lids=np.array(lids))).landmarks
    return [points[low, 1] - points[up, 1] for _, up, low in EYES]

  opened, shut, wink = openness([1, 1]), openness([0, 0]), openness([0, 1])
  assert min(opened) > 3
  assert min(shut) >= 0
  assert max(shut) < 0.1 * min(opened)
  np.testing.assert_allclose(wink[:2], shut[:2])
  np.testing.assert_allclose(wink[2:], opened[2:])


def test_videos_hold_blinks_and_open_mouths():
  lids, gaps = [], []
  for index in range(6):
    motion = Motion(np.random.default_rng([0, index]), 120, 30.0, 256, 256)
    lids.append(min(m.lids.min() for m in motion.moments))
    gaps.append(max(m.expression[0] for m in motion.moments))
  assert np.sum(np.array(lids) < 0.1) >= 3
  assert np.sum(np.array(gaps) > 0.2) >= 2


def test_opening_the_jaw_opens_the_mouth(painter):
  jaw = np.eye(8)[0]
  shut = painter.view(at_rest()).landmarks
  wide = painter.view(at_rest(expression=0.8 * jaw)).landmarks
  assert shut[66, 1] - shut[62, 1] < 2
  assert wide[66, 1] - wide[62, 1] > 12
  assert wide[8, 1] - shut[8, 1] > 8  # The chin drops with it.
  np.testing.assert_allclose(wide[36:48], shut[36:48], atol=1e-4)


def test_drawn_parts_differ_from_the_skin_around_their_polygons(painter):
  """Inside the mask's polygons the picture must change; just outside it must not."""
  image = np.full((256, 256, 3), 90, np.uint8)
  other = image.copy()
  landmarks = painter.draw(image, at_rest(expression=0.5 * np.eye(8)[0]), LIGHT)
  painter.draw(other, at_rest(expression=0.5 * np.eye(8)[0], lids=np.zeros(2)), LIGHT)
  mask = landmarks_to_mask(landmarks, 256, 256)
  changed = np.abs(image.astype(int) - other).max(-1)
  eyes = mask == 2
  assert changed[cv2.erode(eyes.astype(np.uint8), np.ones((3, 3))) > 0].mean() > 25
  # Lashes and the lid's shadow reach 0.1 head units, 8 pixels; nothing changes beyond.
  assert changed[cv2.dilate(eyes.astype(np.uint8), np.ones((25, 25))) == 0].max() == 0
  mouth = image[mask == 4].mean(0)
  skin = image[(mask == 1)].mean(0)
  assert np.abs(mouth - skin).max() > 25


def test_the_mask_covers_the_head_and_not_the_background(painter):
  for yaw in (-40, -20, 0, 20, 40):
    moment = at_rest(angles=np.array([yaw, 0.0, 5.0]))
    images = []
    for level in (30, 220):
      image = np.full((256, 256, 3), level, np.uint8)
      landmarks = painter.draw(image, moment, LIGHT)
      images.append(image.astype(int))
    transparent = np.abs(images[0] - images[1]).max(-1) > 20
    face = landmarks_to_mask(landmarks, 256, 256) > 0
    # A pixel's width of the outline may let the background through.
    assert transparent[face].mean() < 0.01
    inside = cv2.erode(face.astype(np.uint8), np.ones((7, 7))) > 0
    assert not transparent[inside].any()


def test_the_jaw_follows_the_outline_on_the_far_side(painter):
  near_right = painter.view(at_rest(angles=np.array([-40.0, 0, 0])))
  grid = near_right.grid[30:71]
  # The head looks to the left: its leftmost skin at the height of jaw landmark 5 is the outline.
  height = near_right.landmarks[4, 1]
  rows = np.abs(grid[..., 1] - height) < 2
  assert abs(near_right.landmarks[4, 0] - grid[..., 0][rows].min()) < 3


def test_average_landmarks_are_symmetric_and_in_order():
  points = Head(Shape()).landmarks
  mirrored = np.r_[
    16:-1:-1,
    26:16:-1,
    27:31,
    35:30:-1,
    45:41:-1,
    47,
    46,
    39:35:-1,
    41,
    40,
    54:47:-1,
    59:54:-1,
    64:59:-1,
    67:64:-1,
  ]
  np.testing.assert_allclose(points[mirrored, :2] * [-1, 1], points[:, :2], atol=1e-6)
  assert (np.diff(points[:17, 0]) > 0).all()  # The jaw runs from left to right.
  assert (np.diff(points[27:31, 1]) > 0).all()  # The nose runs down.
  assert points[36, 0] < points[39, 0] < points[42, 0] < points[45, 0]
  assert points[37, 1] < points[41, 1]


def test_rotation_turns_the_way_it_says():
  nose = np.array([[0, 0.45, 1.0]])  # One unit before the pivot.
  origin = np.array([100.0, 100.0])
  x, y, _ = project(nose, rotation(30, 0, 0), 10, origin)[0]
  # sin 30° = 0.5 unit, magnified by 9 / (9 - cos 30°) = 1.1065: 100 + 10 · 0.5 · 1.1065.
  assert (x, y) == pytest.approx((105.532, 100), abs=0.01)
  assert project(nose, rotation(0, 20, 0), 10, origin)[0, 1] > 101  # Nods down.
  np.testing.assert_allclose(rotation(20, 10, 5) @ rotation(20, 10, 5).T, np.eye(3), atol=1e-6)


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'num_frames': 0}, 'num_frames is 0'),
    ({'size': 8}, 'size is 8'),
    ({'frame_rate': 0.0}, 'frame_rate is 0'),
  ],
)
def test_impossible_numbers_are_refused(options, message):
  with pytest.raises(ValueError, match=message):
    draw(**options)


def test_impossible_difficulties_are_refused():
  with pytest.raises(ValueError, match='occlusion_frames'):
    Difficulty(occlusion_frames=(3, 2))
  with pytest.raises(ValueError, match='noise is -1'):
    Difficulty(noise=-1)


def write(directory, **options):
  settings = {'num_videos': 2, 'num_frames': 3, 'size': 64, 'progress': False, 'seed': 5}
  return videos.write_dataset(directory, **settings | options)


def test_a_written_dataset_has_the_layout_of_300vw(tmp_path):
  folders = write(tmp_path / 'new')
  assert [f.name for f in folders] == ['001', '002']
  assert sorted(os.listdir(tmp_path / 'new')) == ['001', '002']
  frames, landmarks = draw(seed=5, index=1, num_frames=3, size=64, difficulty=Difficulty())
  names = sorted(p.name for p in (folders[1] / 'annot').iterdir())
  assert names == ['000001.pts', '000002.pts', '000003.pts']
  for name, expected in zip(names, landmarks, strict=True):
    np.testing.assert_allclose(read_pts(folders[1] / 'annot' / name), expected, atol=1e-5)
  decoded = [frame.image for frame in video.read_frames(folders[1] / 'vid.avi')]
  assert len(decoded) == 3
  for seen, drawn in zip(decoded, frames, strict=True):
    assert np.abs(seen.astype(int) - drawn).mean() < 8


def test_a_video_does_not_depend_on_how_many_are_made_nor_on_workers(tmp_path):
  one = write(tmp_path / 'one', num_videos=1)
  two = write(tmp_path / 'two', workers=2)
  for path in [p for p in one[0].rglob('*') if p.is_file()]:
    assert path.read_bytes() == (two[0] / path.relative_to(one[0])).read_bytes(), path


def test_complete_videos_are_kept_and_missing_ones_added(tmp_path):
  first = write(tmp_path, num_videos=1)[0] / 'vid.avi'
  before = first.stat().st_mtime_ns
  write(tmp_path)
  assert first.stat().st_mtime_ns == before
  assert (tmp_path / '002' / 'vid.avi').exists()


def test_what_is_there_already_is_never_overwritten(tmp_path):
  folder = write(tmp_path, num_videos=1)[0]
  with pytest.raises(ValueError, match='other settings'):
    write(tmp_path, num_frames=4)
  (folder / 'drawn.json').unlink()
  with pytest.raises(ValueError, match='was not drawn'):
    write(tmp_path)
  assert (folder / 'vid.avi').exists()
  assert not (tmp_path / '002').exists()


def test_a_failed_write_leaves_nothing_under_the_final_name(tmp_path, monkeypatch):
  frames, landmarks = draw(num_frames=2, size=64)

  def broken(*args, **options):
    yield from zip(frames, landmarks, strict=True)
    raise RuntimeError('out of paint')

  monkeypatch.setattr(videos, 'draw_video', broken)
  with pytest.raises(RuntimeError, match='out of paint'):
    write(tmp_path)
  assert not (tmp_path / '001').exists()
  monkeypatch.undo()
  write(tmp_path)
  assert sorted(os.listdir(tmp_path)) == ['001', '002']


def test_a_killed_write_leaves_nothing_under_the_final_name(tmp_path):
  context = multiprocessing.get_context('fork')
  process = context.Process(target=write, args=(tmp_path,), kwargs={'num_frames': 5000})
  process.start()
  deadline = time.monotonic() + 60
  while not list(tmp_path.glob('.unfinished/*/annot/*.pts')):
    assert time.monotonic() < deadline
    time.sleep(0.02)
  os.kill(process.pid, signal.SIGKILL)
  process.join()
  assert os.listdir(tmp_path) == ['.unfinished']
  assert not list(tmp_path.glob('*/vid.*'))  # Where readers of the layout look.
  folders = write(tmp_path)
  assert sorted(os.listdir(tmp_path)) == ['001', '002']
  assert json.loads((folders[0] / 'drawn.json').read_text())['seed'] == 5
