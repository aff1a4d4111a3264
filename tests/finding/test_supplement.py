import numpy as np
import pytest
from drawn_scenes import found_at

from fmx.finding import supplement
from fmx.finding.found import Found
from fmx.finding.supplement import SURE, Supplemented, face_in, supplemented
from tfds_300vw.pose import roll_of

FRAMES = np.zeros((1, 900, 1800, 3), np.uint8)
KNOWN = (80, 80, 120, 120)  # The box of the face that ours finds.


class Ours:
  """Finds one face at (100, 100), and what it is told where it looks closer."""

  def __init__(self, closer=None):
    self.seen, self.asked = closer, []

  def __call__(self, frames):
    return [[face(99.5, 99.5)] for _ in frames]

  def closer(self, frame, faces):
    assert frame.shape == FRAMES.shape[1:]
    self.asked += faces
    return [self.seen for _ in faces]


def face(x, y, confidence=0.9):
  found = found_at(x, y, confidence=confidence)
  return Found(found.pose, found.points, confidence)


def sees(box, confidence):
  """A detector that sees a box of the frame, of which it is given a smaller one."""

  def detect(frame):
    assert frame.shape == (320, 640, 3)
    return np.array([[*np.array(box) * 640 / 1800, confidence]])

  return detect


def test_what_both_see_is_not_looked_at_again():
  ours = Ours()
  (found,) = Supplemented(ours, sees(KNOWN, 0.9))(FRAMES)
  assert len(found) == 1
  assert ours.asked == []


def test_what_the_other_sees_is_as_our_closer_look_shows_it():
  closer = face(505.0, 500.0, confidence=0.5)
  ours = Ours(closer)
  (found,) = Supplemented(ours, sees((480, 480, 520, 520), 0.4))(FRAMES)
  assert any(each is closer for each in found)
  assert len(found) == 2
  (asked,) = ours.asked
  assert abs(asked.pose.x - 499.5) < 1


@pytest.mark.parametrize(('confidence', 'number'), [(SURE - 0.05, 1), (SURE + 0.05, 2)])
def test_what_a_closer_look_does_not_show_counts_if_the_other_is_sure(confidence, number):
  (found,) = Supplemented(Ours(), sees((480, 480, 520, 520), confidence))(FRAMES)
  assert len(found) == number


def test_a_box_is_an_upright_face_with_its_points_in_their_usual_places():
  seen = face_in(np.array([10.0, 20.0, 50.0, 60.0, 0.7]))
  side = seen.pose.size / supplement.SIZE
  assert side == pytest.approx(40)
  assert (seen.pose.x, seen.pose.y) == pytest.approx((29.5, 39.5 + 40 * supplement.LOWER))
  assert (seen.pose.roll, seen.confidence) == (0, 0.7)
  assert abs(roll_of(seen.points)) < 0.01
  np.testing.assert_allclose(seen.points.mean(axis=0)[0], 29.5)


def test_only_finders_that_there_are_can_be_asked_for(monkeypatch):
  ours = Ours()
  assert supplemented(ours, 'auto') is supplemented(ours, 'own') is ours
  with pytest.raises(ValueError, match="finder is 'mine'; it must be 'auto' or 'own' or"):
    supplemented(ours, 'mine')

  def missing():
    raise ImportError('No module named that')

  monkeypatch.setitem(supplement.PEERS, 'CenterFace', missing)
  with pytest.raises(ValueError, match=r'pip install fmx\[peers\]'):
    supplemented(ours, 'CenterFace')
