import numpy as np
import pytest
from drawn_scenes import found_at

from fmx.finding.looking_again import add_followed, add_hanging, add_surer
from tfds_300vw.pose import Pose

FRAMES = [np.zeros((120, 160, 3), np.uint8) for _ in range(3)]
for _frame in FRAMES:
  _frame[0, 0] = 255  # So that one turned by half a turn can be told.


class Hanging:
  """Sees some faces in frames that are upside down; counts those frames."""

  def __init__(self, *faces):
    self.faces, self.looks = faces, 0

  def __call__(self, frames):
    assert not frames[:, 0, 0].any()
    self.looks += len(frames)
    return [
      [
        found_at(159 - f.pose.x, 119 - f.pose.y, size=f.pose.size, confidence=f.confidence)
        for f in self.faces
      ]
      for _ in frames
    ]


def after(finder, *seen, times=(0, 1, 2), stays=lambda face, time: False, **options):
  """Where faces are in each frame, x and y, hanging or not."""
  looks = {time: list(seen) for time in times}
  add_hanging(finder, FRAMES, looks, stays, **options)
  return [[(f.pose.x, f.pose.y, bool(abs(f.pose.roll) > 3)) for f in looks[time]] for time in times]


@pytest.mark.parametrize(
  ('upright', 'hanging', 'is_taken'), [(0.5, 0.75, True), (0.6, 0.75, False), (0.5, 0.45, False)]
)
def test_a_hanging_head_takes_the_place_if_it_is_surer(upright, hanging, is_taken):
  finder = Hanging(found_at(90.0, 62.0, confidence=hanging))
  expected = [(90, 62, True)] if is_taken else [(80, 60, False)]
  assert after(finder, found_at(80.0, 60.0, confidence=upright)) == [expected] * 3
  assert finder.looks == (3 if is_taken else 1)  # If not in the last frame, nor in others.


def test_after_a_failure_it_need_not_be_much_surer():
  finder = Hanging(found_at(90.0, 62.0, confidence=0.7))
  found = after(finder, found_at(80.0, 60.0, confidence=0.65), margin=0.0)
  assert found == [[(90, 62, True)]] * 3


def test_sure_faces_are_not_doubted():
  finder = Hanging(found_at(80.0, 60.0, confidence=0.99))
  assert after(finder, found_at(80.0, 60.0, confidence=0.8)) == [[(80, 60, False)]] * 3
  assert after(finder) == [[]] * 3
  assert finder.looks == 0


def test_what_is_known_to_be_right_stays():
  finder = Hanging(found_at(90.0, 62.0, confidence=0.75))
  upright = found_at(80.0, 60.0, confidence=0.5)
  found = after(finder, upright, stays=lambda face, time: face is upright and time == 1)
  assert found == [[(90, 62, True)], [(80, 60, False)], [(90, 62, True)]]


def test_a_sure_neighbour_stays_and_keeps_what_overlaps_it_away():
  unsure, sure = found_at(30.0, 60.0, confidence=0.5), found_at(120.0, 60.0, confidence=0.8)
  over_both = Hanging(found_at(32.0, 60.0, confidence=0.75), found_at(110.0, 64.0, confidence=0.85))
  (found,) = after(over_both, unsure, sure, times=(1,))
  assert sorted(found) == [(32, 60, True), (120, 60, False)]


def test_a_hanging_head_where_nothing_is_seen_upright_is_not_believed():
  unsure = found_at(30.0, 60.0, confidence=0.5)
  (found,) = after(Hanging(found_at(120.0, 60.0, confidence=0.7)), unsure, times=(1,))
  assert found == [(30, 60, False)]


def test_followed_faces_that_were_not_seen_are_looked_for_where_they_should_be():
  asked = []

  def finder(frames):
    asked.append(frames.shape[1:3])
    return [[found_at(20.0, 20.0, size=12.0)]]

  looks = {0: [], 1: [found_at(61.0, 60.0, size=12.0)], 2: [found_at(100.0, 60.0, size=12.0)]}
  add_followed(finder, FRAMES, looks, lambda time: [Pose(60.0 + time, 60.0, 12.0, 0.0)])
  assert asked == [(48, 48)] * 2  # Where it was seen nobody looks again.
  assert [[(f.pose.x, f.pose.y) for f in looks[time]] for time in range(3)] == [
    [(56, 56)],
    [(61, 60)],
    [(100, 60), (58, 56)],
  ]


def test_a_surer_face_of_a_part_takes_the_place_of_an_unsure_find_around_it():
  def finder(frames):
    return [[found_at(20.0, 20.0, size=12.0, confidence=0.6)], [], [], []][: len(frames)]

  frames = [np.zeros((240, 320, 3), np.uint8)] * 2
  looks = {
    time: [found_at(30.0, 30.0, size=80.0, confidence=sure)] for time, sure in enumerate((0.5, 0.7))
  }
  add_surer(finder, frames, looks, [0, 1])
  assert [[face.pose.x for face in looks[time]] for time in (0, 1)] == [[20], [30]]


def test_where_no_face_is_followed_nobody_looks():
  looks = {0: [found_at(60.0, 60.0)]}
  add_followed(Hanging(), FRAMES, looks, lambda time: [])
  assert [face.pose.x for face in looks[0]] == [60]
