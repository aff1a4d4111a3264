import numpy as np
import pytest
from finder_scenes import frame

from fmx.data.finder_scenes import scene
from fmx.data.finder_targets import targets
from fmx.finding.finder import letterboxed
from fmx.finding.found import Found, apart, decoded
from tfds_300vw.pose import Pose, face_pose


def perfect(example):
  """What a perfect network says of a frame."""
  of = scene(example.image, example.landmarks, example.others)
  height, width = example.image.shape[:2]
  output = targets(height, width, of.faces, of.ignored)['told'].copy()
  output[..., 0] = np.log(
    np.clip(output[..., 0], 1e-6, 1 - 1e-6) / (1 - np.clip(output[..., 0], 1e-6, 1 - 1e-6))
  )
  return output


def test_what_a_perfect_network_says_is_read_as_it_was_meant():
  example = frame((40, 50, 30, 0.4), (150, 100, 90, -1.2), height=192, width=256)
  found = apart(decoded(perfect(example), confidence=0.5, scale=np.array([1.0, 1.0])))
  assert len(found) == 2
  for face, landmarks in zip(found, example.landmarks[::-1], strict=True):  # The largest first.
    expected = face_pose(landmarks)
    assert (face.pose.x, face.pose.y) == pytest.approx((expected.x, expected.y), abs=1e-2)
    assert face.pose.size == pytest.approx(expected.size, rel=1e-4)
    assert face.pose.roll == pytest.approx(expected.roll, abs=1e-3)
    assert face.confidence > 0.9


def test_places_are_given_in_pixels_of_the_frame():
  example = frame((40, 50, 30), height=96, width=128)
  (face,) = decoded(perfect(example), confidence=0.5, scale=np.array([0.5, 0.5]))
  assert face.pose.x == pytest.approx((40 + 0.5) * 2 - 0.5, abs=0.02)
  assert face.pose.size == pytest.approx(2 * face_pose(example.landmarks[0]).size, rel=1e-4)


def test_frames_are_put_into_few_canvases():
  canvases, scale = letterboxed(np.full((2, 360, 640, 3), 200, np.uint8), 320)
  assert canvases.shape == (2, 192, 320, 3)
  np.testing.assert_allclose(scale, [0.5, 0.5])
  assert (canvases[:, :180] == 200).all()
  assert (canvases[:, 180:] == 0).all()
  small, scale = letterboxed(np.zeros((1, 50, 60, 3), np.uint8), 320)
  np.testing.assert_allclose(scale, [2, 2])  # Not enlarged further.
  assert small.shape == (1, 128, 128, 3)


def found(x, y, size, confidence):
  return Found(Pose(x, y, size, 0.0), np.zeros((5, 2)), confidence)


def test_two_on_one_face_are_one_the_surer():
  faces = [found(50, 50, 40, 0.6), found(54, 50, 44, 0.9), found(52, 51, 15, 0.5)]
  assert apart(faces) == [faces[1]]


def test_faces_beside_each_other_stay_two():
  faces = [found(50, 50, 40, 0.6), found(85, 50, 44, 0.9)]
  assert apart(faces) == faces[::-1]


def test_a_box_is_as_large_as_the_face_and_counts_edges():
  np.testing.assert_allclose(found(10, 20, 8, 1.0).box(), [6.5, 16.5, 14.5, 24.5])
