import numpy as np
import pytest

from fmx.labelling import blinks

OPEN = 0.06


def at(count, rate=25):
  return np.arange(count) / rate


def test_a_blink_begins_and_ends_where_it_is_said_to():
  # The usual opening is 0.06: a blink begins below 0.033 and ends above 0.042.
  openings = np.full(60, OPEN)
  openings[20:27] = [0.040, 0.034, 0.032, 0.010, 0.036, 0.041, 0.043]
  found = blinks.blinks(at(60), openings)
  assert [i for i, answer in enumerate(found) if answer] == [22, 23, 24, 25]
  assert None not in found


def test_what_is_usual_changes_with_the_face():
  # Half as far open from 20 s on, as after coming nearer to a light: that is no blink for long.
  openings = np.concatenate([np.full(500, 0.08), np.full(500, 0.04)])
  found = np.array(blinks.blinks(at(1000), openings), bool)
  assert not found[:500].any()
  assert not found[500 + 5 * 25 :].any()


def test_an_eye_that_vanishes_for_a_moment_is_closed_and_for_longer_hidden():
  openings = np.full(80, OPEN)
  openings[30:36] = np.nan  # From frame 29 to 36 are 7 / 25 = 0.28 s.
  openings[50:65] = np.nan  # 15 / 25 + 1 / 25 = 0.64 s.
  found = blinks.blinks(at(80), openings)
  assert found[29:37] == [False, *[True] * 6, False]
  assert found[49:66] == [False, *[None] * 15, False]


def test_nothing_is_said_of_an_eye_that_is_usually_closed_or_never_seen():
  rng = np.random.default_rng(0)
  assert blinks.blinks(at(50), rng.uniform(0, 0.03, 50)) == [None] * 50
  assert blinks.blinks(at(50), np.full(50, np.nan)) == [None] * 50
  assert blinks.blinks(at(1), np.array([OPEN])) == [False]
  assert blinks.blinks(at(0), np.zeros(0)) == []


def test_a_blink_does_not_go_on_where_the_face_was_away():
  openings = np.array([*[OPEN] * 20, 0.01, 0.04, *[OPEN] * 20])
  times = at(42)
  assert blinks.blinks(times, openings)[20:22] == [True, True]
  times[21:] += 1.0
  assert blinks.blinks(times, openings)[20:22] == [True, False]


@pytest.mark.parametrize('seed', range(3))
def test_the_running_median_is_that_of_what_is_near(seed):
  rng = np.random.default_rng(seed)
  times, values = np.cumsum(rng.uniform(0.01, 0.5, 80)), rng.uniform(size=80)
  values[rng.uniform(size=80) < 0.2] = np.nan
  found = blinks.running_median(times, values)
  for time, median in zip(times, found):
    near = values[np.abs(times - time) <= blinks.AROUND]
    assert median == np.nanmedian(near)


def test_an_eye_before_a_camera_blinks_where_it_does_in_a_video():
  # As above: the usual opening is 0.06, a blink begins below 0.033 and ends above 0.042.
  openings = np.full(60, OPEN)
  openings[20:27] = [0.040, 0.034, 0.032, 0.010, 0.036, 0.041, 0.043]
  watch = blinks.Watch()
  assert [watch(*each) for each in zip(at(60), openings)] == blinks.blinks(at(60), openings)


def test_an_eye_before_a_camera_that_vanishes_is_closed_for_a_moment_and_then_hidden():
  watch = blinks.Watch()
  assert watch(0.0, None) is None
  found = [watch(time, OPEN if time < 1 else None) for time in at(50)]
  # The last sighting is at 0.96 s; up to 1.46 s the eye counts as closed: frames 25 to 36.
  assert found == [False] * 25 + [True] * 12 + [None] * 13


def test_what_is_usual_before_a_camera_is_what_was_in_the_last_seconds():
  watch = blinks.Watch()
  found = [watch(time, 0.08 if time < 20 else 0.04) for time in at(1000)]
  assert True in found[500 : 500 + 5 * 25]
  assert True not in found[500 + 5 * 25 :]
  assert len(watch._past) <= 5 * 25 + 1
