import dataclasses

import numpy as np
import pytest

from fmx.labelling.frame_masks import Piece, areas, check_choice, check_frame, compose, resized


def piece(face_id, scope, labels):
  return Piece(face_id, np.array(scope), np.array(scope), np.array(labels, np.uint8), 0.5)


def test_the_larger_of_two_faces_has_the_pixels_that_both_claim():
  # On a frame of 2 x 6 pixels: the larger face has the columns 0 to 3, the smaller 2 to 5.
  large = piece(7, (0, 0, 4, 2), [[1, 1, 1, 0], [1, 2, 2, 0]])
  small = piece(9, (2, 0, 6, 2), [[3, 1, 1, 0], [4, 1, 1, 0]])
  masks = compose([large, small], 5, 2, 6, is_cut=True)
  np.testing.assert_array_equal(masks.labels, [[1, 1, 1, 1, 1, 0], [1, 2, 2, 1, 1, 0]])
  np.testing.assert_array_equal(masks.ids, [[7, 7, 7, 9, 9, 0], [7, 7, 7, 9, 9, 0]])
  first, second = masks.faces
  assert (first.id, second.id, masks.index, masks.is_cut) == (7, 9, 5, True)
  assert first.areas == {'facial_skin': 4, 'eyes': 2, 'outer_mouth': 0, 'inner_mouth': 0}
  assert second.areas == {'facial_skin': 4, 'eyes': 0, 'outer_mouth': 0, 'inner_mouth': 0}


def test_a_face_without_a_pixel_of_its_own_is_not_in_the_frame():
  seen, hidden = (piece(face, (0, 0, 2, 2), np.ones((2, 2))) for face in (1, 2))
  blank = piece(3, (2, 0, 4, 2), np.zeros((2, 2)))
  assert [face.id for face in compose([seen, hidden, blank], 0, 2, 4).faces] == [1]


def test_ids_beyond_those_that_a_map_can_hold_begin_anew_in_it():
  masks = compose([piece(256, (0, 0, 1, 1), [[1]])], 0, 1, 2)
  assert masks.faces[0].id == 256
  np.testing.assert_array_equal(masks.ids, [[1, 0]])


def test_a_frame_without_a_face_is_empty():
  masks = compose([], 3, 2, 4)
  assert (masks.index, masks.faces, masks.is_cut) == (3, (), False)
  assert not masks.labels.any()
  assert not masks.ids.any()


def test_masks_of_another_size_are_in_the_pixels_of_that():
  labels = [[1, 1, 2, 2, 1, 1], [1, 1, 3, 3, 1, 1]]
  face = piece(7, (1, 2, 7, 4), labels)._replace(roll=np.radians(45))
  masks = compose([face], 5, 4, 8, is_cut=True, lost=(2,), window=3)
  found = resized(masks, 4, 4)  # Half as wide, as high.
  np.testing.assert_array_equal(found.labels[2:], [[1, 2, 1, 0], [1, 3, 1, 0]])
  np.testing.assert_array_equal(found.labels[:2], np.zeros((2, 4)))
  np.testing.assert_array_equal(found.ids, 7 * (found.labels > 0))
  (shown,) = found.faces
  np.testing.assert_array_equal(shown.box, [0, 2, 4, 4])  # Of 0.5 to 3.5.
  assert shown.areas == {'facial_skin': 4, 'eyes': 1, 'outer_mouth': 1, 'inner_mouth': 0}
  assert np.tan(shown.roll) == pytest.approx(0.5)  # A head's axis leans half as far.
  assert dataclasses.replace(shown, box=0, areas=0, roll=0) == dataclasses.replace(
    masks.faces[0], box=0, areas=0, roll=0
  )
  assert (found.index, found.is_cut, found.lost, found.window) == (5, True, (2,), 3)
  assert resized(masks, 4, 8) is masks


def test_a_face_that_hangs_upside_down_does_so_at_another_size():
  face = piece(1, (0, 0, 4, 4), np.ones((4, 4)))._replace(roll=np.radians(170))
  (shown,) = resized(compose([face], 0, 4, 4), 8, 4).faces
  assert np.tan(shown.roll) == pytest.approx(np.tan(np.radians(170)) / 2)
  assert np.cos(shown.roll) < 0


def test_a_face_of_which_no_pixel_is_left_at_another_size_is_not_in_it():
  pieces = piece(1, (0, 0, 4, 4), np.ones((4, 4))), piece(2, (4, 0, 5, 1), [[1]])
  assert [face.id for face in resized(compose(pieces, 0, 4, 8), 4, 4).faces] == [1]


def test_areas_count_every_class_but_the_background():
  counted = areas(np.array([[0, 1, 1], [4, 4, 4]], np.uint8))
  assert counted == {'facial_skin': 2, 'eyes': 0, 'outer_mouth': 0, 'inner_mouth': 3}


@pytest.mark.parametrize(
  ('frame', 'message'),
  [
    (np.zeros((8, 8, 3), np.float32), r'Frame 4 is float32 \(8, 8, 3\); frames must be RGB'),
    (np.zeros((8, 8), np.uint8), r'Frame 4 is uint8 \(8, 8\)'),
    ('a.png', "Frame 4 is <class 'str'>"),
    (np.zeros((8, 9, 3), np.uint8), 'Frame 4 has 9 x 8 pixels, those before it 8 x 8'),
  ],
)
def test_what_is_no_frame_of_the_video_is_refused(frame, message):
  with pytest.raises(ValueError, match=message):
    check_frame(frame, 4, (8, 8))


@pytest.mark.parametrize('box', [(3, 0, 3, 9), (0, 9, 5, 9), (0, 0, 5), (5, 0, 0, 9)])
def test_a_box_without_anything_in_it_is_refused(box):
  check_choice(1, None)
  check_choice(2, (0, 0, 1, 1))
  with pytest.raises(ValueError, match='give x0, y0, x1, y1'):
    check_choice(1, box)


def test_at_least_one_face_is_labelled():
  with pytest.raises(ValueError, match='max_faces is 0'):
    check_choice(0, None)
