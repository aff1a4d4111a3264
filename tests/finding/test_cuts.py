import functools
import itertools
import os
import pathlib
import pickle

import cv2
import numpy as np
import pytest

from fmx.drawing.videos import draw_video
from fmx.finding.cuts import CutDetector, shots
from tfds_300vw import video


@functools.cache
def shot(index, length=12, size=64, shape=(100, 120)):
  """Drawn once for all tests, which must not change it."""
  frames = [frame for frame, _ in draw_video(0, index, length, size=size)]
  return [cv2.resize(frame, shape[::-1]) for frame in frames]


def cuts(frames):
  detector = CutDetector()
  return [i for i, frame in enumerate(frames) if detector(frame)]


def test_a_cut_is_where_two_shots_are_joined():
  shots = [shot(index, length=6) for index in range(5)]
  found = [
    cuts(shots[first] + shots[second][:4]) for first, second in itertools.combinations(range(5), 2)
  ]
  assert found == [[6]] * 10


@pytest.mark.parametrize('light', [0.5, 0.25])
def test_a_cut_in_the_dark_is_one_too(light):
  def dimmed(frames):
    noise = np.random.default_rng(0).normal(0, 1.5, (len(frames), *frames[0].shape))
    return list(np.clip(light * np.array(frames) + noise, 0, 255).astype(np.uint8))

  for first, second in itertools.pairwise(range(5)):
    assert cuts(dimmed(shot(first, length=6) + shot(second)[:4])) == [6]
  assert cuts(dimmed(shot(0))) == []


@pytest.mark.parametrize(
  ('new', 'moves', 'is_cut'),
  [(0.17, True, True), (0.17, False, False), (0.05, True, False)],
)
def test_shots_of_one_room_differ_in_some_colours_and_in_their_whole_arrangement(
  new, moves, is_cut
):
  rng = np.random.default_rng(0)
  room = rng.choice([40, 90, 140], 256).repeat(3).reshape(256, 3)
  other = room[rng.permutation(256)] if moves else room.copy()
  other[rng.permutation(256)[: round(new * 256)]] = 230, 120, 40  # Somebody's pullover.
  pictures = [
    np.kron(blocks.reshape(16, 16, 3), np.ones((8, 8, 1))).astype(np.uint8)
    for blocks in (room, room, other, other)
  ]
  assert cuts(pictures) == [2] * is_cut


def test_one_shot_has_no_cut_and_neither_has_its_first_frame():
  for index in range(3):
    assert cuts(shot(index)) == []


@pytest.mark.parametrize('length', [1, 2])
@pytest.mark.parametrize(('gain', 'light'), [(3, 40), (1, 250), (0, 0)])
def test_a_flash_and_a_black_gap_are_no_cuts(length, gain, light):
  frames = list(shot(3))
  for i in range(4, 4 + length):
    frames[i] = np.clip(frames[i].astype(int) * gain + light, 0, 255).astype(np.uint8)
  assert cuts(frames) == []


def test_a_fade_and_a_fast_pan_are_no_cuts():
  frames = shot(1)
  assert cuts([(frame * (1 - i / 12)).astype(np.uint8) for i, frame in enumerate(frames)]) == []
  wide = cv2.resize(frames[0], (360, 300))
  assert cuts([wide[100:200, 12 * i : 12 * i + 120] for i in range(20)]) == []


@pytest.mark.parametrize('length', [1, 10])
def test_what_comes_after_blank_frames_is_compared_with_what_was_before(length):
  first, second = shot(0, length=4), shot(1, length=4)
  blank = [np.zeros_like(first[0])] * length
  assert cuts(first + blank + first) == []
  assert cuts(first + blank + second) == [4 + length]


def strange(index, shape=(100, 120, 3)):
  """A picture of noise in other colours and another order."""
  small = np.random.default_rng(index).integers(0, 255, (7, 8, 3)).astype(np.uint8)
  return cv2.resize(small, shape[1::-1], interpolation=cv2.INTER_NEAREST)


def placed(frames):
  return [i for i, frame in enumerate(shots(iter(frames), CutDetector())) if frame.is_cut]


@pytest.mark.parametrize('length', [1, 2])
def test_a_picture_that_is_gone_after_a_moment_is_no_shot(length):
  frames = list(shot(2))
  frames[5 : 5 + length] = [strange(i) for i in range(length)]
  assert 5 in cuts(frames)
  assert placed(frames) == []


def test_a_picture_that_stays_is_a_shot_and_so_is_the_last_one():
  first = shot(2)
  assert placed([*first[:4], *[strange(0)] * 3, *first[4:]]) == [4, 7]
  assert placed([*first[:4], strange(0), strange(0)]) == [4]
  assert placed([*first[:4], strange(0), *shot(4, length=6)]) == [4, 5]
  assert placed(first + shot(4, length=6)) == [len(first)]


def test_shots_go_on_from_any_frame_and_read_no_more_than_two_ahead():
  first = shot(2)
  frames = [*first[:4], strange(0), *first[4:8], strange(1), *shot(4, length=6), strange(2)]
  taken, after, found = [], [], []
  for frame in shots((taken.append(i) or image for i, image in enumerate(frames)), CutDetector()):
    found.append(frame.is_cut)
    after.append(frame.cuts)
    assert len(taken) <= len(found) + 2
  for start, cuts in enumerate(after[:-1], start=1):
    assert [frame.is_cut for frame in shots(frames[start:], cuts)] == found[start:]


def test_it_goes_on_after_pickling_as_if_nothing_had_been():
  frames = shot(0, length=5) + shot(1, length=5)
  detector, found = CutDetector(), []
  for frame in frames:
    detector = pickle.loads(pickle.dumps(detector))
    found.append(detector(frame))
  assert [i for i, is_cut in enumerate(found) if is_cut] == cuts(frames) == [5]
  assert len(pickle.dumps(detector)) < 50_000


@pytest.mark.skipif('FMX_REAL_DATA' not in os.environ, reason='FMX_REAL_DATA names no real videos')
def test_real_videos_are_cut_where_they_are_joined_only():
  folder = pathlib.Path(os.environ['FMX_REAL_DATA'], '300VW_mini')
  frames = []
  for name in ('003', '014', '029', '050'):
    images = [frame.image for frame in video.read_frames(folder / name / 'vid.avi')]
    frames += [cv2.resize(image, (320, 320)) for image in images[:25]]
  assert cuts(frames) == [25, 50, 75]
