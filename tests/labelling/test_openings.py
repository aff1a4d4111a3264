import numpy as np
import pytest

from fmx.labelling import openings
from fmx.labelling.frame_masks import Piece, compose

SIDE = 240


def ellipse(x, y, width, height, roll=0.0):
  """The pixels of an ellipse that lies at a place of the upright face: bool [SIDE, SIDE].

  The face is turned clockwise around the middle of the image; x and y count from there.
  """
  rows, columns = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
  across = columns * np.cos(roll) + rows * np.sin(roll) - x
  down = -columns * np.sin(roll) + rows * np.cos(roll) - y
  return (across / (width / 2)) ** 2 + (down / (height / 2)) ** 2 <= 1


def face(roll=0.0, *, left=10.0, right=10.0, mouth=16.0):
  """A drawn face of 120 x 160 pixels, its eyes and its mouth open as far as is said."""
  labels = np.zeros((SIDE, SIDE), np.uint8)
  labels[ellipse(0, 0, 120, 160, roll)] = 1
  labels[ellipse(-28, -35, 26, right, roll)] = 2  # The person's right is on the image's left.
  labels[ellipse(28, -35, 26, left, roll)] = 2
  labels[ellipse(0, 40, 50, mouth + 16, roll)] = 3
  labels[ellipse(0, 40, 40, mouth, roll)] = 4
  return labels


@pytest.mark.parametrize('degrees', [-170, -90, -35, -10, 0, 3, 20, 45, 90])
def test_heights_are_those_of_what_was_drawn_however_it_is_turned(degrees):
  roll = np.radians(degrees)
  found = openings.openings(face(roll, left=10, right=6, mouth=20), roll)
  # Drawn: 160 pixels of face, of which 20 are mouth, 10 the left eye and 6 the right one.
  assert found.face_height == pytest.approx(160, abs=1)
  assert found.mouth == pytest.approx(20 / 160, abs=1 / 160)
  assert found.left_eye == pytest.approx(10 / 160, abs=1 / 160)
  assert found.right_eye == pytest.approx(6 / 160, abs=1 / 160)


def test_an_upright_box_is_as_high_as_its_rows():
  mask = np.zeros((30, 30), bool)
  mask[7:12, 3:20] = True
  assert openings.height(mask, 0.0) == 5
  assert openings.height(mask, np.pi / 2) == pytest.approx(17)  # On its side: its columns.
  assert openings.height(mask, np.pi) == pytest.approx(5)


def test_a_square_on_its_corner_is_as_high_as_its_diagonal():
  # 40 * sqrt(2) = 56.6 pixels from corner to corner, less what the corner itself lacks.
  mask = np.ones((40, 40), bool)
  assert openings.height(mask, np.pi / 4) == pytest.approx(40 * np.sqrt(2), abs=1)
  assert openings.height(np.zeros((4, 4), bool), 0.3) == 0


@pytest.mark.parametrize('roll', [0.0, 0.6])
def test_what_has_no_mask_has_no_opening_and_a_closed_mouth_has_none_to_speak_of(roll):
  labels = face(roll)
  labels[labels == 4] = 3
  assert openings.openings(labels, roll).mouth == 0
  labels[labels == 3] = 1
  assert openings.openings(labels, roll).mouth is None
  labels[ellipse(28, -35, 26, 10, roll)] = 1
  found = openings.openings(labels, roll)
  assert found.left_eye is None
  assert found.right_eye == pytest.approx(10 / 160, abs=1 / 160)


def test_of_a_profile_the_one_eye_is_told_by_the_mouth():
  # The face looks to the image's left: its mouth is at its left edge, and so is its left eye
  # to the right of the mouth, though left of the face's middle.
  labels = np.zeros((SIDE, SIDE), np.uint8)
  labels[ellipse(0, 0, 120, 160)] = 1
  labels[ellipse(-25, -35, 20, 10)] = 2
  labels[ellipse(-40, 40, 24, 20)] = 3
  found = openings.openings(labels, 0.0)
  assert found.right_eye is None
  assert found.left_eye == pytest.approx(10 / 160, abs=1 / 160)


def test_an_eye_in_pieces_stays_one_eye():
  labels = face()
  labels[:, 90:92] = np.where(labels[:, 90:92] == 2, 1, labels[:, 90:92])
  whole, pieces = openings.openings(face(), 0.0), openings.openings(labels, 0.0)
  assert pieces.left_eye == whole.left_eye
  assert pieces.right_eye == pytest.approx(whole.right_eye, abs=1 / 160)


def test_only_a_face_s_own_pixels_count():
  box, scope = np.array([0, 0, SIDE, SIDE]), np.array([0, 0, SIDE, SIDE])
  shifted = np.array([SIDE, 0, 2 * SIDE, SIDE])
  masks = compose(
    [
      Piece(1, box, scope, face(0.2, mouth=30), 0.9, roll=0.2),
      Piece(2, shifted, shifted, face(mouth=8), 0.9),
    ],
    0,
    SIDE,
    2 * SIDE,
  )
  first, second = (openings.measure(masks, one) for one in masks.faces)
  assert first == openings.openings(face(0.2, mouth=30), 0.2)
  assert second == openings.openings(face(mouth=8), 0.0)
