import numpy as np
import pytest
from drawn_scenes import usual_points
from small_datasets import face

from fmx.finding.verification import examine, face_piece
from tfds_300vw import face_mask
from tfds_300vw.pose import Pose, face_pose, move

SIDE, MARGIN = 96, 1.45
EVERYWHERE = np.ones((SIDE, SIDE), bool)


def crop(*, x=0.0, y=0.0, growth=1.0):
  """The labels of a face in a crop whose pose is wrong by so much of its size."""
  landmarks = face(0, 0, 100)
  pose = face_pose(landmarks)
  wrong = Pose(pose.x - x * pose.size, pose.y - y * pose.size, pose.size / growth, 0.0)
  matrix = wrong.matrix(SIDE, margin=MARGIN)
  return face_mask.landmarks_to_mask(move(landmarks, matrix), SIDE, SIDE)


def points():
  return usual_points() * SIDE / MARGIN + (SIDE - 1) / 2


def judge(labels, inside=EVERYWHERE, confidence=0.95):
  evidence = examine(labels, points(), inside, margin=MARGIN, confidence=confidence)
  return evidence.is_face, evidence.is_sure


def test_a_mask_in_its_place_is_a_face_for_sure():
  assert judge(crop()) == (True, True)
  assert judge(crop(), confidence=0.5) == (True, False)


@pytest.mark.parametrize('error', [{'x': 0.1}, {'y': -0.12}, {'growth': 1.15}])
def test_the_offset_is_how_far_the_mask_is_from_the_pose(error):
  evidence = examine(crop(**error), points(), EVERYWHERE, margin=MARGIN, confidence=1.0)
  expected = [error.get('x', 0), error.get('y', 0), np.log(error.get('growth', 1))]
  np.testing.assert_allclose(evidence.offset, expected, atol=0.02)


@pytest.mark.parametrize('error', [{'x': 0.45}, {'y': 0.4}, {'growth': 0.6}])
def test_a_mask_elsewhere_or_of_another_size_is_not_the_face(error):
  assert judge(crop(**error)) == (False, False)


def test_what_runs_away_is_no_face():
  everything = np.maximum(crop(), 1)
  assert judge(everything) == (False, False)
  right = crop()
  right[:, SIDE // 2 :] = np.maximum(right[:, SIDE // 2 :], 1)
  assert judge(right) == (False, False)


def test_nothing_and_parts_of_a_face_are_none():
  assert judge(np.zeros((SIDE, SIDE), np.uint8)) == (False, False)
  lips = np.where(crop() > 2, crop(), 0).astype(np.uint8)
  assert judge(lips) == (False, False)
  skin = np.minimum(crop(), 1)  # Without eyes and mouth.
  assert judge(skin) == (False, False)


def test_eyes_or_mouth_alone_will_do_where_the_network_is_sure():
  labels = crop()
  eyes, mouth = np.where(labels > 2, 1, labels), np.where(labels == 2, 1, labels)
  for alone, least in ((eyes, 0.9), (mouth, 0.85)):
    assert judge(alone.astype(np.uint8), confidence=least + 0.01) == (True, False)
    assert judge(alone.astype(np.uint8), confidence=least - 0.01) == (False, False)


def test_of_a_known_face_eyes_or_mouth_may_be_hidden_but_not_both():
  labels = crop()
  eyes, mouth = np.where(labels > 2, 1, labels), np.where(labels == 2, 1, labels)
  for shown, is_like in ((eyes, True), (mouth, True), (np.minimum(labels, 1), False)):
    evidence = examine(shown.astype(np.uint8), points(), EVERYWHERE, margin=MARGIN, confidence=0.6)
    assert (evidence.is_face, evidence.is_like) == (False, is_like)
  moved = np.where(crop(x=0.45) > 2, 1, crop(x=0.45)).astype(np.uint8)
  assert not examine(moved, points(), EVERYWHERE, margin=MARGIN, confidence=0.95).is_like


def test_a_mouth_below_the_frame_need_not_be_seen():
  inside = EVERYWHERE.copy()
  inside[54:] = False
  assert judge(crop() * inside, inside, confidence=0.86)[0]


def test_a_face_that_the_frame_cuts_off_at_the_lips_has_a_faces_shape_if_it_is_sure():
  lips = int(points()[3:, 1].mean())
  inside = EVERYWHERE.copy()
  inside[lips + 2 :] = False
  labels = crop() * inside
  labels[np.isin(labels, (3, 4))] = 1  # So little of the mouth is left that it is none.

  def has_shape(labels, confidence=0.95):
    return examine(labels, points(), inside, margin=MARGIN, confidence=confidence).has_shape

  assert has_shape(labels)
  assert not has_shape(labels, confidence=0.86)
  assert not has_shape(np.minimum(labels, 1))  # Nor has it eyes.
  whole = np.minimum(crop(), 2)
  assert not examine(whole, points(), EVERYWHERE, margin=MARGIN, confidence=0.95).has_shape


def test_a_few_pixels_are_no_mouth():
  labels = np.minimum(crop(), 1)
  labels[56:58, 44:52] = 3  # 16 pixels; a mouth has at least 0.013 x (96 / 1.45)^2 = 57.
  assert not judge(labels)[0]
  labels[54:59, 40:55] = 3  # 75.
  assert judge(labels)[0]


def test_an_unsure_mask_must_have_eyes_and_mouth_where_the_finder_sees_them():
  labels = crop()
  assert judge(labels, confidence=0.6)[0]
  labels[labels > 2] = 1
  labels[72:74, 44:52] = 3  # Upon the chin: a quarter of the face's size from the mouth.
  assert (crop() > 0)[72:74, 44:52].all()
  assert not judge(labels, confidence=0.6)[0]


def test_at_the_edge_of_the_frame_a_part_of_a_face_is_one():
  inside = EVERYWHERE.copy()
  inside[:, : SIDE // 2] = False
  assert judge(crop() * inside, inside)[0]
  evidence = examine(crop() * inside, points(), inside, margin=MARGIN, confidence=1.0)
  assert not evidence.offset.any()  # A half says nothing of the whole.


def test_at_the_edge_of_the_frame_what_runs_away_is_no_face():
  inside = EVERYWHERE.copy()
  inside[: SIDE // 3] = False
  labels = crop() * inside
  assert judge(labels, inside)[0]
  labels[SIDE // 3 : -2, 2 : SIDE // 2] = np.maximum(labels[SIDE // 3 : -2, 2 : SIDE // 2], 1)
  labels[SIDE // 2 : -2, SIDE // 2 : -2] = np.maximum(labels[SIDE // 2 : -2, SIDE // 2 : -2], 1)
  assert not judge(labels, inside)[0]


def test_the_piece_in_the_middle_is_the_faces_not_a_larger_one_at_the_border():
  labels = np.zeros((SIDE, SIDE), np.uint8)
  labels[30:70, 30:70] = 1
  labels[:, 78:] = 1  # A neighbour's: 96 x 18 = 1728 pixels beside 1600.
  labels[5, 5] = 2
  piece = face_piece(labels)
  assert piece[30:70, 30:70].all()
  assert piece.sum() == 1600
  assert not face_piece(np.zeros((8, 8), np.uint8)).any()
