import numpy as np
import pytest
from finder_scenes import frame

from fmx.data.finder_targets import targets
from fmx.finding import second_look
from fmx.finding.finder import Finder
from fmx.finding.found import Found
from fmx.weights import FinderModel
from tfds_300vw.pose import MIRRORED, Pose, face_pose, five_points, move

NOTHING = np.full((16, 16, 14), -20.0, np.float32)


def said_of(points, size, confidence):
  """What the network says of a view with a face at these points (the centre is their mean)."""
  face = np.concatenate([points.mean(axis=0), [size], points.reshape(-1)])
  told = targets(128, 128, face[None], np.zeros((0, 4)))['told'].copy()
  told[..., 0] = np.where(told[..., 0] == 1, np.log(confidence / (1 - confidence)), -20.0)
  return told


def test_a_view_is_upright_and_shows_the_face_in_its_middle():
  example = frame((90, 70, 60, 0.9), height=160, width=200)
  pose = face_pose(example.landmarks[0])
  face = Found(pose, five_points(example.landmarks[0]), 0.3)
  view, mirrored = second_look.views(example.image, face)
  assert view.shape == (128, 128, 3)
  np.testing.assert_array_equal(view[:, ::-1], mirrored)
  assert view[64, 64].astype(int) == pytest.approx(np.array([220, 180, 150]), abs=10)
  eyes = move(face.points[:2], pose.matrix(128, margin=2.0))
  assert eyes[0][1] == pytest.approx(eyes[1][1], abs=1e-3)
  for x, y in np.rint(eyes).astype(int):
    assert view[y - 2 : y + 3, x - 2 : x + 3].min() < 60


def test_the_second_look_corrects_the_place_and_confidence_is_the_mean_of_three():
  truth = np.array([[50.0, 50], [76, 52], [64, 66], [54, 78], [74, 79]])  # In the view.
  face = Found(Pose(100.0, 80.0, 32.0, 0.5), np.zeros((5, 2)), 0.3)
  mirrored = truth[list(MIRRORED)] * (-1, 1) + (127, 0)
  again = second_look.reviewed(face, said_of(truth, 70.0, 0.6), said_of(mirrored, 74.0, 0.9))
  assert again.confidence == pytest.approx(0.6, abs=1e-3)
  in_view = move(again.points, face.pose.matrix(128, margin=2.0))
  np.testing.assert_allclose(in_view, truth, atol=0.01)
  assert again.pose.size == pytest.approx(32 * 72 / 64, rel=1e-4)


def test_what_neither_look_confirms_loses_its_confidence():
  face = Found(Pose(100.0, 80.0, 32.0, 0.5), np.zeros((5, 2)), 0.45)
  again = second_look.reviewed(face, NOTHING, NOTHING)
  assert again.confidence == pytest.approx(0.15)
  assert again.pose == face.pose


def test_another_face_beside_it_does_not_confirm_it():
  face = Found(Pose(100.0, 80.0, 32.0, 0.0), np.zeros((5, 2)), 0.45)
  beside = np.array([[100.0, 10], [120, 10], [110, 20], [102, 30], [118, 30]])
  again = second_look.reviewed(face, said_of(beside, 64.0, 0.9), NOTHING)
  assert again.confidence == pytest.approx(0.15)


def test_only_what_is_doubted_is_looked_at_again():
  faces = [Found(Pose(0.0, 0.0, 9.0, 0.0), np.zeros((5, 2)), c) for c in (0.9, 0.05, 0.25, 0.4)]
  assert [face.confidence for face in second_look.doubted(faces)] == [0.4, 0.25]
  assert len(second_look.doubted([faces[2]] * 50)) == second_look.MOST


def test_a_closer_look_gives_what_it_shows_and_nothing_else(monkeypatch):
  truth = np.array([[50.0, 50], [76, 52], [64, 66], [54, 78], [74, 79]])
  mirrored = truth[list(MIRRORED)] * (-1, 1) + (127, 0)
  said = [said_of(truth, 70.0, 0.6), said_of(mirrored, 70.0, 0.9), NOTHING, NOTHING]
  said += [said_of(truth, 70.0, 0.3), NOTHING]  # Shown, but too faintly: 0.15.
  finder = Finder(FinderModel(None, {}, {}))
  monkeypatch.setattr(finder, '_network', lambda canvases: said[: len(canvases)])
  face = Found(Pose(100.0, 80.0, 32.0, 0.0), np.zeros((5, 2)), 0.1)
  first, *others = finder.closer(np.zeros((160, 200, 3), np.uint8), [face] * 3)
  assert first.confidence == pytest.approx(0.75, abs=1e-3)  # Whatever it was before.
  assert others == [None, None]
  assert finder.closer(np.zeros((160, 200, 3), np.uint8), []) == []
