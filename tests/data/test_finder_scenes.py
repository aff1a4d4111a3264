import numpy as np
import pytest
from finder_scenes import frame

from fmx.data.finder_scenes import face_matrix, scene, side_by_side, view, without_faces
from tfds_300vw.pose import roll_of


def seen(of, matrix, side=96):
  return view(of, matrix, side, side, background=np.zeros((side, side, 3), np.uint8))


def scene_of(example):
  return scene(example.image, example.landmarks, example.others)


@pytest.mark.parametrize('mirror', [False, True])
@pytest.mark.parametrize('size', [24.0, 70.0])
def test_a_face_comes_to_be_where_and_as_it_is_wanted(mirror, size):
  of = scene_of(frame((40, 50, 40, 0.3)))
  turn = 0.5
  matrix = face_matrix(of.faces[0], at=np.array([50.0, 45.0]), size=size, turn=turn, mirror=mirror)
  (face,) = seen(of, matrix).faces
  np.testing.assert_allclose(face[:3], [50, 45, size], rtol=1e-4)
  roll = roll_of(
    face[3:].reshape(5, 2)
  )  # Mirrored, a face leans the other way before it is turned.
  np.testing.assert_allclose(roll, (-0.3 if mirror else 0.3) + turn, atol=1e-3)


def test_the_picture_moves_with_the_face():
  of = scene_of(frame((40, 50, 40)))
  for size in (20.0, 60.0):
    matrix = face_matrix(of.faces[0], at=np.array([60.0, 48.0]), size=size, turn=0.0, mirror=False)
    made = seen(of, matrix)
    assert made.image[48, 60].astype(int) == pytest.approx(np.array([220, 180, 150]), abs=12)
    eye = made.faces[0][3:5]
    x, y = np.rint(eye).astype(int)
    assert made.image[y - 2 : y + 3, x - 2 : x + 3].min() < 60


def test_faces_that_leave_or_become_too_small_are_ignored():
  of = scene_of(frame((30, 50, 40), (100, 50, 40)))
  shifted = np.array([[1.0, 0, -60], [0, 1, 0]])
  made = seen(of, shifted)
  assert len(made.faces) == 1
  assert made.faces[0][0] == pytest.approx(40, abs=0.1)
  assert made.ignored[0] == pytest.approx([-56, 24, -4, 76], abs=1)
  tiny = seen(of, np.array([[0.2, 0, 0], [0, 0.2, 0]]))
  assert len(tiny.faces) == 0
  assert len(tiny.ignored) == 2


def test_boxes_of_others_go_along():
  of = scene_of(frame((30, 50, 40), others=[(80, 20, 100, 50)]))
  made = seen(of, np.array([[0.0, -1, 95], [1, 0, 0]]))  # A quarter turn.
  np.testing.assert_allclose(made.ignored, [[46, 80, 76, 100]], atol=1e-6)


def test_scenes_side_by_side_keep_their_faces():
  of = scene_of(frame((40, 50, 40)))
  joined = side_by_side([[of, of], [of, of]])
  assert joined.image.shape == (192, 256, 3)
  expected = [(40, 50), (168, 50), (40, 146), (168, 146)]
  np.testing.assert_allclose(joined.faces[:, :2], expected, atol=1e-3)
  np.testing.assert_array_equal(joined.image[96:, 128:], of.image)


def test_a_part_without_faces_has_none():
  of = scene_of(frame((60, 60, 50), height=200, width=300, others=[(200, 0, 300, 60)]))
  for seed in range(20):
    part = without_faces(of, np.random.default_rng(seed))
    assert part is None or (part.image == 60).all()


def test_a_picture_full_of_face_has_no_part_without():
  of = scene_of(frame((64, 48, 200)))
  assert without_faces(of, np.random.default_rng(0)) is None
