import dataclasses

import numpy as np
import pytest
from drawn_scenes import found_at, usual_points

from fmx.finding.follower import MEMORY, Follower
from fmx.finding.tracks import PATIENCE, Shown
from tfds_300vw.pose import Pose

FRAMES = [np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)] * 5
NOTHING = np.zeros(3)


def shown(start, *, offset=NOTHING, is_seen=True):
  return Shown(range(start, start + 5), offset, is_seen)


def step(follower, looks, start, *, show=True, chosen=None):
  """One window, in which all that is chosen is shown; the follower and the courses chosen."""
  after, courses = follower.follow(FRAMES, looks, start)
  courses = after.choose(courses)
  seen = {c.key: shown(start, is_seen=bool(c.is_seen.any())) for c in courses if show}
  failed = [] if show else [course.key for course in courses]
  return after.finish(seen, failed, start, 5), courses


def everywhere(*faces):
  return {time: list(faces) for time in (0, 2, 4)}


def test_a_face_has_a_pose_in_each_frame():
  looks = {0: [found_at(40.0, 60.0)], 2: [found_at(44.0, 60.0)], 4: [found_at(48.0, 60.0)]}
  _, (course,) = step(Follower(), looks, 0)
  x = [pose.x for pose in course.poses]
  assert x == sorted(x)
  np.testing.assert_allclose(x, [40, 42, 44, 46, 48], atol=1.5)
  assert course.is_seen.all()
  middles = course.points.mean(axis=1) - [(pose.x, pose.y) for pose in course.poses]
  np.testing.assert_allclose(middles, np.tile(40 * usual_points().mean(axis=0), (5, 1)), atol=1e-6)


def test_ids_are_given_to_what_is_shown_the_largest_first():
  faces = found_at(30.0, 60.0, size=30.0), found_at(110.0, 60.0, size=50.0)
  follower, _ = step(Follower(2), everywhere(*faces), 0, show=False)
  assert {track.id for track in follower.tracks} == {None}
  follower, _ = step(follower, everywhere(*faces), 5)
  assert {round(track.vector[0]): track.id for track in follower.tracks} == {110: 1, 30: 2}


def test_a_frame_counts_as_seen_next_to_a_look_that_saw_it():
  looks = {0: [found_at(40.0, 60.0)], 2: [], 4: []}
  _, (course,) = step(Follower(), looks, 0)
  assert course.is_seen.tolist() == [True, True, False, False, False]
  looks = {0: [found_at(40.0, 60.0)], 2: [], 4: [found_at(40.0, 60.0)]}
  _, (course,) = step(Follower(), looks, 0)
  assert course.is_seen.tolist() == [True] * 5  # Overlooked in between.


@pytest.mark.parametrize('size', [60.0, 140.0, 260.0])
def test_a_face_is_the_same_one_however_much_of_it_the_frame_shows(size):
  follower = Follower()
  for start in range(0, 30, 5):
    follower, courses = step(follower, everywhere(found_at(80.0, 60.0, size=size)), start)
    assert [course.key for course in courses] == [1]
    assert courses[0].is_seen.all()
  assert [track.id for track in follower.tracks] == [1]


def moved(**change):
  return dataclasses.replace(found_at(40.0, 60.0).pose, **change)


@pytest.mark.parametrize(
  ('change', 'is_expected'),
  [
    ({}, True),
    ({'x': 48.0, 'y': 54.0}, True),
    ({'x': 52.0}, False),
    ({'y': 47.0}, False),
    ({'size': 46.0}, True),
    ({'size': 50.0}, False),
    ({'size': 32.0}, False),
    ({'roll': 0.2}, True),
    ({'roll': -0.3}, False),
    ({'roll': 2 * np.pi}, True),
  ],
)
def test_a_face_is_foreseen_about_where_it_was(change, is_expected):
  follower, _ = step(Follower(), everywhere(found_at(40.0, 60.0)), 0)
  face = dataclasses.replace(found_at(40.0, 60.0), pose=moved(**change))
  assert follower.foresaw([face], 9) is is_expected


def test_nothing_is_foreseen_where_faces_are_missing_or_new():
  here, there = found_at(40.0, 60.0), found_at(120.0, 60.0)
  follower, _ = step(Follower(2), everywhere(here, there), 0)
  assert follower.foresaw([there, here], 9)
  assert not follower.foresaw([here], 9)
  assert not follower.foresaw([here, there, found_at(80.0, 20.0)], 9)
  assert not follower.foresaw([], 9)
  hidden, _ = step(Follower(2), everywhere(here), 0, show=False)
  assert not hidden.foresaw([here], 9)
  assert not Follower().foresaw([], 9)
  assert not follower.after_cut().foresaw([here, there], 9)


def test_of_a_face_that_moves_the_way_on_is_foreseen():
  follower, _ = step(Follower(), everywhere(found_at(40.0, 60.0)), 0)
  (track,) = follower.tracks
  moving = dataclasses.replace(track, velocity=np.array([4.0, 0.0]))
  follower = dataclasses.replace(follower, tracks=(moving,))
  assert follower.foresaw([found_at(57.0, 60.0)], 9)
  assert not follower.foresaw([found_at(40.0, 60.0)], 9)


def test_a_shown_face_has_a_course_for_a_second_and_its_id_for_ten():
  follower, _ = step(Follower(), everywhere(found_at(40.0, 60.0)), 0)
  for start in range(5, 5 + PATIENCE, 5):
    unseen, courses = step(follower, {}, start)
    assert [course.is_seen.any() for course in courses] == [False]
    follower = unseen
  follower, courses = step(follower, {}, 5 + PATIENCE)
  assert courses == []
  for start in range(10 + PATIENCE, MEMORY, 5):
    follower, _ = step(follower, {}, start)
  later, _ = step(follower, everywhere(found_at(41.0, 60.0)), MEMORY)
  assert [track.id for track in later.tracks] == [1]
  for start in range(MEMORY, MEMORY + 10, 5):
    follower, _ = step(follower, {}, start)
  later, _ = step(follower, everywhere(found_at(41.0, 60.0)), MEMORY + 10)
  assert [track.id for track in later.tracks] == [2]


def test_a_lost_face_is_told_for_a_second():
  follower, _ = step(Follower(), everywhere(found_at(40.0, 60.0)), 0)
  after, _ = follower.follow(FRAMES, {}, 5)
  after = after.finish({}, [1], 5, 5)
  assert after.lost(5, set(), 5, {1}) == (1,)
  assert after.lost(5, {1}, 5, {1}) == ()
  assert after.lost(5, set(), 5 + PATIENCE, {1}) == ()


def test_a_face_that_is_shown_gives_way_to_a_much_larger_one_only():
  small = found_at(40.0, 60.0, size=30.0)
  follower, _ = step(Follower(), everywhere(small), 0)
  for size, expected in ((40.0, 40), (60.0, 110)):
    _, (course,) = step(follower, everywhere(small, found_at(110.0, 60.0, size=size)), 5)
    assert round(course.poses[0].x) == expected


def test_what_looks_like_no_face_makes_room():
  faces = everywhere(found_at(40.0, 60.0, size=30.0), found_at(110.0, 60.0, size=50.0))
  follower, (course,) = step(Follower(), faces, 0, show=False)
  assert round(course.poses[0].x) == 110
  _, (course,) = step(follower, faces, 5, show=False)
  assert round(course.poses[0].x) == 40


def test_an_unsure_find_begins_nothing_but_goes_on():
  unsure = everywhere(found_at(40.0, 60.0, confidence=0.25))
  follower, courses = step(Follower(), unsure, 0)
  assert courses == []
  follower, _ = step(follower, everywhere(found_at(40.0, 60.0)), 5)
  _, (course,) = step(follower, unsure, 10)
  assert course.is_seen.all()


def test_masks_correct_poses_slowly_and_within_bounds():
  follower = Follower()
  for start in range(0, 100, 5):
    after, _ = follower.follow(FRAMES, everywhere(found_at(60.0, 60.0, size=50.0)), start)
    bias = after.tracks[0].bias
    # The true middle is 40 % of the size further right than the finder says; the size is right.
    offset = np.array([0.4 - bias[0], 0, 0])
    follower = after.finish({1: shown(start, offset=offset)}, [], start, 5)
    if start == 0:
      assert follower.tracks[0].bias[0] < 0.06
  np.testing.assert_allclose(follower.tracks[0].bias, [0.15, 0, 0], atol=0.01)


def test_a_mask_does_not_lead_a_face_far_that_the_finder_does_not_see():
  follower, _ = step(Follower(), everywhere(found_at(60.0, 60.0, size=50.0)), 0)
  for start in range(5, 5 + PATIENCE, 5):
    after, courses = follower.follow(FRAMES, {}, start)
    assert courses[0].poses[0].x <= 60 + 0.5 * 50 + 1
    offset = np.array([0.9, 0, 0])
    follower = after.finish({1: shown(start, offset=offset, is_seen=False)}, [], start, 5)


def test_an_unseen_face_is_not_looked_for_where_another_one_is():
  pair = everywhere(found_at(50.0, 60.0, size=50.0), found_at(110.0, 60.0, size=40.0))
  follower, _ = step(Follower(2), pair, 0)
  one = everywhere(found_at(96.0, 60.0, size=50.0))
  after, courses = follower.follow([255 - frame for frame in FRAMES], one, 5)
  assert sorted(round(course.poses[0].x) for course in courses) == [50, 96, 110]
  assert [round(course.poses[0].x) for course in after.choose(courses)] in ([50, 96], [96, 50])


def test_a_cut_forgets_faces_but_not_how_many_there_were():
  follower, _ = step(Follower(), everywhere(found_at(40.0, 60.0)), 0)
  follower, _ = step(follower.after_cut(), everywhere(found_at(40.0, 60.0)), 5)
  assert [track.id for track in follower.tracks] == [2]


def test_a_face_of_the_user_comes_before_larger_ones():
  pose = Pose(40.0, 60.0, 30.0, 0.0)
  follower = Follower().given(pose, 0, FRAMES[0], usual_points())
  _, (course,) = step(follower, everywhere(found_at(110.0, 60.0, size=80.0)), 0)
  assert round(course.poses[0].x) == 40
  assert course.is_seen.all()  # The user does.


def test_a_course_says_how_sure_the_finder_was_where_it_saw_the_face_last_and_who_is_given():
  unsure, sure = (everywhere(found_at(40.0, 60.0, confidence=c)) for c in (0.5, 0.7))
  follower, (course,) = step(Follower(), {0: unsure[0]}, 0, show=False)
  assert (course.is_given, course.confidence) == (False, 0.5)
  follower, (course,) = step(follower, {4: sure[4]}, 5)
  assert course.confidence == 0.7
  _, (course,) = step(follower, unsure, 10)
  assert course.confidence == 0.5
  of_user = Follower().given(Pose(40.0, 60.0, 40.0, 0.0), 0, FRAMES[0], usual_points())
  assert step(of_user, unsure, 0)[1][0].is_given


def test_a_course_says_in_how_many_windows_it_was_none_of_a_face():
  follower = Follower()
  for start, failures in ((0, 0), (5, 1), (10, 2)):
    follower, courses = follower.follow(FRAMES, everywhere(found_at(40.0, 60.0)), start)
    assert [course.failures for course in courses] == [failures]
    follower = follower.finish({}, [courses[0].key], start, len(FRAMES))


def test_going_through_a_window_changes_nothing():
  follower, _ = step(Follower(), everywhere(found_at(40.0, 60.0)), 0)
  before = dataclasses.asdict(follower.tracks[0])
  first, second = (follower.follow(FRAMES, everywhere(found_at(45.0, 60.0)), 5) for _ in range(2))
  assert [pose for course in first[1] for pose in course.poses] == [
    pose for course in second[1] for pose in course.poses
  ]
  for name, value in dataclasses.asdict(follower.tracks[0]).items():
    np.testing.assert_array_equal(value, before[name])


@pytest.mark.parametrize('number', [200])
def test_a_crowd_does_not_fill_the_memory(number):
  rng, follower = np.random.default_rng(0), Follower()
  for start in range(0, 20, 5):
    crowd = [found_at(*rng.uniform(0, 2000, 2), size=5.0) for _ in range(number)]
    follower, _ = step(follower, {0: crowd}, start)
  assert len(follower.tracks) <= 64
