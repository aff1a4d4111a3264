"""Upright squares out of frames."""

import cv2
import numpy as np
import pytest

from fmx.data import cutting
from fmx.data.cutting import cut
from tfds_300vw.pose import Pose


def noise(height, width, seed=0):
  return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def scaled(scale, x=0.0, y=0.0):
  """To pixels of a square that shows the frame `scale` times as large, from x and y on."""
  offset = scale * (0.5 - np.array([x, y])) - 0.5  # The corner, not the middle, of pixel 0 stays.
  return np.array([[scale, 0, offset[0]], [0, scale, offset[1]]])


def test_the_identity_gives_the_frame():
  frame = noise(12, 12)
  found = cut(frame, scaled(1.0), 12)
  np.testing.assert_array_equal(found, frame)
  assert found.dtype == np.uint8


@pytest.mark.parametrize(('x', 'y'), [(3, 5), (0, 9)])
def test_a_square_at_whole_pixels_is_that_part_of_the_frame(x, y):
  frame = noise(20, 30)
  np.testing.assert_array_equal(cut(frame, scaled(1.0, x, y), 10), frame[y : y + 10, x : x + 10])


def test_a_quarter_turn_moves_pixels_and_mixes_none():
  # Rolled by a quarter turn clockwise, what the frame has at its right is upright at the top.
  frame = noise(9, 9)
  matrix = Pose(4.0, 4.0, 9.0, np.pi / 2).matrix(9, margin=1.0)
  np.testing.assert_array_equal(cut(frame, matrix, 9), np.rot90(frame))
  mirrored = Pose(4.0, 4.0, 9.0, 0.0).matrix(9, margin=1.0, mirror=True)
  np.testing.assert_array_equal(cut(frame, mirrored, 9), frame[:, ::-1])


def test_outside_of_the_frame_lies_black():
  frame = np.full((10, 10, 3), 200, np.uint8)
  for scale in (1.0, 0.5):
    found = cut(frame, scaled(scale, -4, -4), 16)
    before, behind = int(4 * scale), int(14 * scale)
    assert (found[before + 1 : behind - 1, before + 1 : behind - 1] == 200).all()
    assert not found[: before - 1].any()
    assert not found[:, behind + 1 :].any()
  away = cut(frame, scaled(0.5, 500, 500), 16)
  assert not away.any()


@pytest.mark.parametrize('factor', [2, 4, 8])
def test_shrinking_by_a_whole_number_is_the_mean_of_squares(factor):
  # Half-pixel exactness: pixel i of the square covers pixels i · factor … of the frame, no others.
  side = 5
  frame = noise(side * factor, side * factor)
  means = frame.reshape(side, factor, side, factor, 3).astype(float).mean(axis=(1, 3))
  assert np.abs(cut(frame, scaled(1 / factor), side) - means).max() <= 1


@pytest.mark.parametrize('scale', [0.74, 0.5, 0.31, 0.1])
@pytest.mark.parametrize('roll', [0.0, 0.4])
def test_what_is_shrunk_stays_where_it_is(scale, roll):
  # A ramp is the same at every resolution: each pixel of the square has the ramp's value at its
  # middle, whatever the way there.
  x, y = np.meshgrid(np.arange(240.0), np.arange(200.0))
  frame = np.rint(np.stack([x, 255 - y, (x + y) / 2], axis=-1)).astype(np.uint8)
  side = 24
  matrix = Pose(118.3, 96.7, side / scale, roll).matrix(side, margin=1.0)
  back = cv2.invertAffineTransform(matrix)
  u, v = np.meshgrid(np.arange(side), np.arange(side))
  at_x = back[0, 0] * u + back[0, 1] * v + back[0, 2]
  at_y = back[1, 0] * u + back[1, 1] * v + back[1, 2]
  expected = np.stack([at_x, 255 - at_y, (at_x + at_y) / 2], axis=-1)
  # Only where the whole footprint is inside of the frame.
  reach = 2 / scale
  inside = (at_x > reach) & (at_x < 239 - reach) & (at_y > reach) & (at_y < 199 - reach)
  assert inside.any()
  found = cut(frame, matrix, side).astype(float)
  # Rounded twice, and OpenCV knows 32nds of a pixel.
  assert np.abs(found - expected)[inside].max() < 1.5


@pytest.mark.parametrize('scale', [0.6, 0.45, 0.25, 0.12])
@pytest.mark.parametrize('roll', [0.0, 0.6])
def test_a_fine_checkerboard_becomes_grey(scale, roll):
  x, y = np.meshgrid(np.arange(300), np.arange(300))
  frame = np.repeat(((x + y) % 2 * 255).astype(np.uint8)[..., None], 3, axis=-1)
  side = 24
  matrix = Pose(150.0, 150.0, side / scale, roll).matrix(side, margin=1.0)
  found = cut(frame, matrix, side)[2:-2, 2:-2].astype(float)
  assert np.abs(found.mean() - 127.5) < 4
  # Samples of four neighbours alone would alias to patterns as strong as the board.
  plain = cv2.warpAffine(frame, matrix, (side, side), flags=cv2.INTER_LINEAR)[2:-2, 2:-2]
  assert found.std() < 20
  assert found.std() < max(plain.astype(float).std(), 1)


def test_only_what_is_seen_is_shrunk(monkeypatch):
  sizes = []
  resize = cv2.resize

  def record(part, *size, **how):
    sizes.append(part.shape)
    return resize(part, *size, **how)

  monkeypatch.setattr(cutting.cv2, 'resize', record)
  cut(noise(400, 500), scaled(0.5, 100, 60), 20)
  ((height, width, _),) = sizes
  assert 40 <= height <= 46
  assert 40 <= width <= 46
  cut(noise(40, 40), scaled(1.5), 20)
  assert len(sizes) == 1  # What is enlarged goes straight.


@pytest.mark.parametrize('shape', [(1, 1), (1, 40), (40, 1)])
def test_a_frame_may_be_a_line(shape):
  frame = np.full((*shape, 3), 90, np.uint8)
  for scale in (0.05, 0.5, 2.0):
    assert cut(frame, scaled(scale), 8).shape == (8, 8, 3)
