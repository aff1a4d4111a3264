import dataclasses

import numpy as np
import pytest
from drawn_scenes import model

from fmx.labelling import crops
from tfds_300vw import boxes
from tfds_300vw.pose import Pose

POSE = Pose(60.0, 40.0, 30.0, 0.4)


def crop(pose=POSE, *, mirror=False, size=96):
  return crops.crop_of(pose, model('primary', size), mirror=mirror)


def test_a_crop_is_as_large_as_the_weights_say_or_as_is_usual():
  made = model('mouth', 64)
  assert crops.margin_of(made) == 1.75
  assert crops.margin_of(dataclasses.replace(made, margin=2.0)) == 2.0


@pytest.mark.parametrize('mirror', [False, True])
@pytest.mark.parametrize('size', [32, 96])
def test_what_is_cut_out_is_put_back_in_its_place(mirror, size):
  rows, columns = np.indices((90, 120))
  frame = np.stack([rows, columns, rows + columns], axis=-1).astype(np.uint8)
  made = crop(mirror=mirror, size=size)
  box = np.array([48, 28, 73, 53])  # Inside of the crop, which is 43 pixels wide.
  back = made.put_back(made.image(frame), box)
  assert np.abs(back.astype(int) - boxes.crop(frame, box)).max() <= 2


def test_outside_of_a_crop_there_is_nothing():
  made = crop()
  back = made.put_back(np.ones((96, 96, 1), np.float32), np.array([0, 0, 120, 90]))
  assert back.shape == (90, 120, 1)
  assert not back[:, :20].any()
  assert back.sum() == pytest.approx((1.45 * 30) ** 2, rel=0.05)


def test_which_pixels_of_a_crop_lie_in_the_frame():
  # Without roll a crop of 43.5 pixels around (10, 40) begins at 10 - 21.75: 11.25 pixels, or 26 %,
  # lie to the left of the frame's first pixel, whose edge is at -0.5.
  made = crop(Pose(10.0, 40.0, 30.0, 0.0))
  inside = made.inside(90, 120)
  assert inside.mean() == pytest.approx(1 - 11.25 / 43.5, abs=0.01)
  assert inside[:, -1].all()
  assert not inside[:, 0].any()


def test_a_mask_is_boxed_in_the_frame_with_a_pixel_to_spare():
  made = crop()
  mask = made.image(_dot(60, 40))[..., 0] > 20
  x0, y0, x1, y1 = made.box(mask, 90, 120)
  assert x0 <= 59 < 62 <= x1
  assert y0 <= 39 < 42 <= y1
  assert max(x1 - x0, y1 - y0) <= 10
  assert made.box(np.zeros((96, 96), bool), 90, 120) is None
  assert crop(Pose(-90.0, 0.0, 30.0, 0.0)).box(np.ones((96, 96), bool), 90, 120) is None


def _dot(x, y):
  frame = np.zeros((90, 120, 3), np.uint8)
  frame[y - 1 : y + 2, x - 1 : x + 2] = 255
  return frame
