import numpy as np
import pytest

from fmx.finding import appearance
from fmx.finding.association import BRIEF, Known, Stranger, associate
from tfds_300vw.pose import Pose

RNG = np.random.default_rng(0)
LOOKS = {name: RNG.normal(size=60) / np.sqrt(60) for name in 'ABC'}


def known(name, x, *, size=50.0, frames=1, familiar=True):
  pose = Pose(float(x), 0.0, size, 0.0)
  return Known(pose, pose, frames, LOOKS[name], familiar)


def found(name, x, *, size=50.0, crowded=False):
  return Stranger(Pose(float(x), 0.0, size, 0.0), LOOKS[name], crowded)


def test_nothing_goes_with_nothing():
  assert associate([], [found('A', 0)]) == {}
  assert associate([known('A', 0)], []) == {}


def test_faces_go_to_where_they_were_all_at_once():
  # Alone, the first would go to the second's place, which is nearer to it.
  pairs = associate([known('A', 0), known('B', 40)], [found('A', 25), found('B', 60)])
  assert pairs == {0: 0, 1: 1}


def test_where_two_are_equally_near_looks_decide():
  people = [known('A', 0, frames=2), known('B', 10, frames=2)]
  assert associate(people, [found('B', 5), found('A', 5)]) == {0: 1, 1: 0}


def test_for_a_moment_place_is_enough_and_later_it_is_not():
  half = LOOKS['A'] + LOOKS['B']
  other = Stranger(Pose(5.0, 0.0, 50.0, 0.0), half / np.linalg.norm(half), False)
  assert associate([known('A', 0, frames=BRIEF)], [other]) == {0: 0}
  assert associate([known('A', 0, frames=BRIEF + 1)], [other]) == {}
  assert associate([known('A', 0, frames=BRIEF + 1)], [other._replace(is_crowded=True)]) == {0: 0}


@pytest.mark.parametrize(
  ('place', 'crowded', 'expected'), [(5, False, {0: 0}), (5, True, {}), (900, False, {})]
)
def test_where_no_looks_are_in_view_the_place_counts(place, crowded, expected):
  unknown = np.full(60, np.nan)
  face = Stranger(Pose(float(place), 0.0, 50.0, 0.0), unknown, crowded)
  assert associate([known('A', 0, frames=3)], [face]) == expected
  assert associate([known('A', 0, frames=3)._replace(looks=unknown)], [face]) == expected


def test_a_face_of_another_size_is_another_one():
  assert associate([known('A', 0)], [found('A', 0, size=160)]) == {}


@pytest.mark.parametrize(('familiar', 'expected'), [(True, {0: 0}), (False, {})])
def test_a_face_that_was_shown_is_known_again_wherever_it_comes_back(familiar, expected):
  lost = known('A', 0, frames=200, familiar=familiar)
  assert associate([lost], [found('A', 900)]) == expected
  assert associate([lost], [found('B', 900)]) == {}


def test_a_face_that_is_followed_comes_before_one_that_is_remembered():
  people = [known('A', 0, frames=100), known('A', 2, frames=1)]
  assert associate(people, [found('A', 1)]) == {0: 1}


def picture(seed):
  rng = np.random.default_rng(seed)
  coarse = rng.integers(0, 255, (6, 8, 3)).repeat(20, 0).repeat(20, 1)
  return coarse.astype(np.uint8)


def describe(frame, pose):
  return appearance.describe(*appearance.reduced(frame), pose)[None]


def test_looks_survive_light_size_and_roll_but_not_another_person():
  pose = Pose(80.0, 60.0, 50.0, 0.0)
  one, other = picture(0), picture(1)
  looks = describe(one, pose)
  darker = describe((one * 0.6).astype(np.uint8), pose)
  large = describe(one.repeat(6, 0).repeat(6, 1), Pose(482.5, 362.5, 300.0, 0.0))
  turned = describe(np.rot90(one).copy(), Pose(60.0, 159 - 80.0, 50.0, -np.pi / 2))
  assert appearance.likeness(looks, looks)[0, 0] == pytest.approx(1)
  for same in (darker, large, turned):
    assert appearance.likeness(looks, same)[0, 0] > 0.9
  assert appearance.likeness(looks, describe(other, pose))[0, 0] < 0.6


def test_what_lies_out_of_the_frame_says_nothing():
  frame = picture(0)
  wide = np.pad(frame, ((0, 0), (30, 30), (0, 0)), mode='wrap')
  cut_off = describe(frame, Pose(5.0, 60.0, 50.0, 0.0))
  whole = describe(wide, Pose(35.0, 60.0, 50.0, 0.0))
  assert np.isnan(cut_off).any()
  assert appearance.likeness(cut_off, whole)[0, 0] > 0.85
  outside = describe(frame, Pose(-400.0, 60.0, 50.0, 0.0))
  assert np.isnan(appearance.likeness(outside, whole)[0, 0])
  mixed = appearance.blended(cut_off, whole, 0.5)
  assert not np.isnan(mixed).any()
