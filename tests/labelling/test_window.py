import numpy as np

from fmx.finding.follower import Follower
from fmx.finding.looking import Seen
from fmx.finding.looking_again import Pause
from fmx.finding.tracks import Shown
from fmx.labelling import window
from fmx.labelling.window import ShotState
from tfds_300vw.pose import Pose

LARGE = Seen(Pose(200.0, 100.0, 80.0, 0.0), np.zeros((5, 2)), 0.9)
SMALL = Seen(Pose(30.0, 40.0, 12.0, 0.0), np.zeros((5, 2)), 0.9)
FRAMES = [np.random.default_rng(0).integers(0, 255, (200, 300, 3), np.uint8)] * 5


class FindsInParts:
  """Sees some faces in whole frames, and others in the first of four enlarged parts."""

  def __init__(self, seen, *in_parts):
    self.seen, self.in_parts, self.looks = seen, list(in_parts), 0

  def __call__(self, frames):
    if frames.shape[1:3] == (200, 300):
      return [self.seen] * len(frames)
    assert frames.shape[1:3] == (120, 180)  # Three fifths of each side.
    self.looks += len(frames)
    return [self.in_parts, [], [], []]


class Counts(FindsInParts):
  """Says in how many frames it looked."""

  def __call__(self, frames):
    self.looks += len(frames)
    return [self.seen] * len(frames)


def test_one_look_is_enough_where_faces_are_as_expected():
  masks = Shown(range(5), np.zeros(3), is_seen=True)
  follower, (course,) = Follower().follow(FRAMES, {0: [LARGE], 2: [LARGE], 4: [LARGE]}, 0)
  state = ShotState(follower.finish({course.key: masks}, [], 0, 5))
  for seen, expected in (([LARGE], [4]), ([SMALL], [0, 2, 4]), ([], [0, 2, 4])):
    finder = Counts(seen)
    looks, _ = window._first_looks(finder, FRAMES, state, 5)
    assert sorted(looks) == expected
    assert finder.looks == len(expected)
  looks, _ = window._first_looks(Counts([LARGE]), FRAMES[:1], ShotState(Follower()), 0)
  assert sorted(looks) == [0]


def test_smaller_faces_are_looked_for_where_more_are_wanted():
  finder = FindsInParts([LARGE], SMALL)
  looks, pause = window._first_looks(finder, FRAMES, ShotState(Follower(max_faces=2)), 0)
  assert {time: len(seen) for time, seen in looks.items()} == {0: 1, 2: 1, 4: 2}
  assert [face.pose for face in looks[4]] == [LARGE.pose, SMALL.pose]
  assert pause == Pause()  # So the next window looks again.
  for wanted, seen in ((1, [LARGE]), (1, []), (2, [LARGE, SMALL])):
    enough = FindsInParts(seen, SMALL)
    window._first_looks(enough, FRAMES, ShotState(Follower(wanted)), 0)
    assert not enough.looks


def test_where_that_helps_nothing_it_is_done_ever_less_often():
  finder, state, looked = FindsInParts([LARGE]), ShotState(Follower(max_faces=2)), []
  for index in range(16):
    before = finder.looks
    looks, pause = window._first_looks(finder, FRAMES, state, 0)
    assert [face.pose for face in looks[4]] == [LARGE.pose]
    state = ShotState(Follower(max_faces=2), parts=pause)
    looked += [index] * (finder.looks > before)
  assert looked == [0, 1, 3, 7, 13]  # Pauses of 0, 1, 3, 5, and 5 windows.
