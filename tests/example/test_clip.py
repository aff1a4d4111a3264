import numpy as np
from PIL import Image

from fmx.example import clip
from tfds_300vw import video

FACE = (223, 128)  # Between nose and mouth, pixels of the portrait.


def in_frame(matrix, point):
  return matrix[:, :2] @ point + matrix[:, 2]


def test_the_portrait_is_small_enough_to_come_along():
  assert clip.PORTRAIT.stat().st_size < 60_000


def test_the_clip_plays_as_it_was_drawn(tmp_path):
  clip.write_clip(tmp_path / 'clip.mp4')
  info = video.probe(tmp_path / 'clip.mp4')
  assert (info.num_frames, info.frame_rate) == (clip.NUM_FRAMES, clip.FRAME_RATE)
  assert (info.height, info.width) == (clip.HEIGHT, clip.WIDTH)
  assert 4 <= info.num_frames / info.frame_rate <= 5
  for shown, drawn in zip(video.read_frames(tmp_path / 'clip.mp4', [(0, 3)]), clip.frames()):
    assert np.abs(shown.image.astype(int) - drawn).mean() < 3


def test_the_camera_pans_zooms_and_rolls_and_sees_nothing_beyond_the_portrait():
  with Image.open(clip.PORTRAIT) as portrait:
    size = np.array(portrait.size)
  corners = np.array([(x, y) for x in (0, clip.WIDTH - 1) for y in (0, clip.HEIGHT - 1)])
  scales, rolls, middles = [], [], []
  for second in np.arange(clip.NUM_FRAMES) / clip.FRAME_RATE:
    matrix = clip.camera(second)
    seen = np.linalg.solve(matrix[:, :2], (corners - matrix[:, 2]).T).T
    assert (seen >= 0).all()
    assert (seen <= size - 1).all()
    scales.append(np.sqrt(np.linalg.det(matrix[:, :2])))
    rolls.append(np.rad2deg(np.arctan2(matrix[0, 1], matrix[0, 0])))
    middles.append(in_frame(matrix, FACE))
  assert max(scales) > 2 * min(scales)
  assert min(rolls) < -15
  assert max(rolls) > 15
  assert np.ptp(middles, axis=0).max() > 60  # Pixels.
  assert np.abs(np.diff(middles, axis=0)).max() < 20  # From one frame to the next.


def test_something_passes_the_face_and_is_gone():
  blank = np.full((clip.HEIGHT, clip.WIDTH, 3), 255, np.uint8)
  start, stop = clip.PASSING
  covered = []
  for second in np.arange(clip.NUM_FRAMES) / clip.FRAME_RATE:
    dark = clip.passed(blank, second)[..., 0] < 128
    x, y = in_frame(clip.camera(second), FACE).round().astype(int)
    covered.append(dark[y, x])
    if not start < second < stop:
      assert not dark.any()
  assert 5 <= sum(covered) <= 20  # Frames.
