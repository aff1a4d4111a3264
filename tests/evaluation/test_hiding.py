import numpy as np
import pytest

from fmx.evaluation import hiding


def disc(height=120, width=160):
  rows, columns = np.mgrid[:height, :width]
  return (rows - 60) ** 2 + (columns - 80) ** 2 < 40**2


@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize('donor', [None, np.full((30, 20, 3), 77, np.uint8)])
def test_a_quarter_of_the_face_is_hidden_and_nothing_else_changes(seed, donor):
  face, frame = disc(), np.full((120, 160, 3), 10, np.uint8)
  before = frame.copy()
  changed = (hiding.hide(frame, face, np.random.default_rng(seed), donor=donor) != 10).any(axis=-1)
  np.testing.assert_array_equal(frame, before)
  # A pixel of the radius is a few hundredths of a face of 5,000 pixels.
  assert (changed & face).sum() / face.sum() == pytest.approx(0.25, abs=0.04)


def test_the_donor_is_what_is_seen():
  donor = np.zeros((10, 10, 3), np.uint8)
  donor[:, :, 1] = 200
  frame = np.full((120, 160, 3), 10, np.uint8)
  hidden = hiding.hide(frame, disc(), np.random.default_rng(0), donor=donor)
  colors = np.unique(hidden.reshape(-1, 3), axis=0)
  np.testing.assert_array_equal(colors, [[0, 200, 0], [10, 10, 10]])


def test_a_face_of_one_pixel_can_be_hidden():
  face = np.zeros((5, 5), bool)
  face[2, 3] = True
  hidden = hiding.hide(np.zeros((5, 5, 3), np.uint8), face, np.random.default_rng(1))
  assert hidden[2, 3].any()
