"""Sampling of clips, splits by video, and their random streams."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfds_300vw.clips import sample_clips, split_videos, video_rng


def rng(seed=0):
  return np.random.default_rng(seed)


def ids(number):
  return [f'{i:03d}' for i in range(1, number + 1)]


def test_runs_are_cut_from_their_start_and_rests_are_not_used():
  # Runs 2..12 (10 frames: clips 2, 5, 8 and a rest of 1), 13..15 (too short), 16..19 (one clip).
  usable = np.zeros(20, bool)
  usable[2:12] = usable[13:15] = usable[16:19] = True
  clips = sample_clips(usable, clip_length=3, fraction=1, rng=rng())
  assert clips == [(2, 5), (5, 8), (8, 11), (16, 19)]


@given(st.lists(st.booleans(), min_size=1, max_size=200), st.integers(1, 12), st.floats(0.01, 1))
@settings(max_examples=150, deadline=None)
def test_clips_never_overlap_nor_straddle_a_gap(usable, clip_length, fraction):
  usable = np.array(usable)
  if not usable.any():
    return
  clips = sample_clips(usable, clip_length=clip_length, fraction=fraction, rng=rng())
  assert clips
  for (_, stop), (start, _) in zip(clips, clips[1:]):
    assert stop <= start
  for start, stop in clips:
    assert 0 <= start < stop <= len(usable)
    assert usable[start:stop].all()
    assert stop - start == clip_length or len(clips) == 1


@pytest.mark.parametrize(
  ('num_clips', 'fraction', 'kept'),
  [(1, 0.1, 1), (4, 0.1, 1), (14, 0.1, 1), (15, 0.1, 2), (25, 0.1, 3), (64, 0.1, 6), (7, 1, 7)],
)
def test_the_number_kept_is_rounded_halves_up_and_at_least_one(num_clips, fraction, kept):
  usable = np.ones(30 * num_clips + 29, bool)
  assert len(sample_clips(usable, fraction=fraction, rng=rng())) == kept


def test_every_clip_is_kept_equally_often():
  usable = np.ones(300, bool)
  starts = [sample_clips(usable, rng=rng(seed))[0][0] for seed in range(2000)]
  counts = np.bincount(starts, minlength=300)[::30]
  assert counts.sum() == 2000  # Only multiples of 30.
  assert counts.min() > 140  # 200 expected, standard deviation 13.


def test_a_video_without_a_whole_clip_gives_its_longest_run():
  usable = np.array([1, 0, 1, 1, 1, 0, 1, 1, 1, 0, 1], bool)
  assert sample_clips(usable, rng=rng()) == [(2, 5)]
  assert sample_clips(np.array([False, True]), rng=rng()) == [(1, 2)]


@pytest.mark.parametrize('usable', [np.zeros(9, bool), np.zeros(0, bool)])
def test_a_video_without_a_usable_frame_is_an_error(usable):
  with pytest.raises(ValueError, match=f'None of the {len(usable)} frames is usable'):
    sample_clips(usable, rng=rng())


@pytest.mark.parametrize('fraction', [0, -0.1, 1.01, np.nan])
def test_a_fraction_outside_its_range_is_an_error(fraction):
  with pytest.raises(ValueError, match=r'must lie in \(0, 1\]'):
    sample_clips(np.ones(90, bool), fraction=fraction, rng=rng())


def test_clips_of_no_frames_and_frame_numbers_for_flags_are_errors():
  with pytest.raises(ValueError, match='at least one frame'):
    sample_clips(np.ones(90, bool), clip_length=0, rng=rng())
  with pytest.raises(ValueError, match='must be bool'):
    sample_clips(np.arange(90), rng=rng())


@pytest.mark.parametrize(
  ('num_videos', 'sizes'),
  [
    (114, (93, 9, 12)),
    (228, (186, 18, 24)),
    (60, (49, 5, 6)),  # 9 * 60 / 114 = 4.7, 12 * 60 / 114 = 6.3.
    (10, (8, 1, 1)),
    (4, (2, 1, 1)),
    (3, (1, 1, 1)),
    (2, (1, 0, 1)),
    (1, (1, 0, 0)),
  ],
)
def test_videos_are_split_in_the_papers_proportions(num_videos, sizes):
  splits = split_videos(ids(num_videos), seed=0)
  assert list(splits) == ['train', 'validation', 'test']
  assert tuple(map(len, splits.values())) == sizes


@given(st.sets(st.text(max_size=6), min_size=1, max_size=40), st.integers(0, 2**40), st.randoms())
@settings(max_examples=60, deadline=None)
def test_splits_are_a_partition_that_the_order_of_videos_does_not_change(names, seed, random):
  names = sorted(names)
  splits = split_videos(names, seed=seed)
  assert sorted(sum(splits.values(), [])) == names
  assert all(splits.values()) or len(names) < 3
  random.shuffle(names)
  assert split_videos(names, seed=seed) == splits


def test_the_seed_decides_the_split():
  assert split_videos(ids(114), seed=0) != split_videos(ids(114), seed=1)


def test_the_users_lists_are_honoured_and_leave_the_others_out():
  splits = split_videos(ids(9), seed=0, lists={'test': ('005', '002'), 'train': ['009']})
  assert splits == {'train': ['009'], 'validation': [], 'test': ['002', '005']}


@pytest.mark.parametrize(
  ('lists', 'message'),
  [
    ({'test': ['001', '777']}, "'test' lists the video '777', which does not exist"),
    ({'train': ['001'], 'test': ['001']}, "'001' is listed twice, in 'train' and in 'test'"),
    ({'train': ['001', '001']}, "'001' is listed twice"),
    ({'val': ['001']}, "no split 'val'; choose among train, validation, test"),
    ({'train': '001'}, "'train' must be a list"),
    ({'train': []}, 'name no video'),
    ({}, 'name no video'),
  ],
)
def test_lists_that_do_not_fit_are_an_error_that_says_why(lists, message):
  with pytest.raises(ValueError, match=message):
    split_videos(ids(9), seed=0, lists=lists)


@pytest.mark.parametrize('names', [[], ['001', '002', '001']])
def test_no_videos_or_one_twice_is_an_error(names):
  with pytest.raises(ValueError, match='there is none|there twice: 001'):
    split_videos(names, seed=0)


def test_streams_depend_on_every_argument_and_on_nothing_else():
  def draw(*arguments):
    return video_rng(*arguments).integers(2**60)

  keys = [(0, '001'), (1, '001'), (0, '002'), (0, '001', 'boxes'), (0, '001', 'clips')]
  keys += [(0, '001', 'boxes', 0), (0, '001', 'boxes', 1), (0, '001', 'boxes', '1'), (0, '0', '01')]
  keys += [(0, '001boxes'), (0, 'ä'), (0, ''), (-1, '001')]
  draws = [draw(*key) for key in keys]
  assert len(set(draws)) == len(keys)
  assert [draw(*key) for key in reversed(keys)] == draws[::-1]
  assert draw(np.int64(1), '001', np.int32(3)) == draw(1, '001', 3)


def test_streams_and_splits_are_the_same_in_another_process():
  program = (
    'from tfds_300vw.clips import split_videos, video_rng\n'
    'names = [f"{i:03d}" for i in range(20)]\n'
    'print(split_videos(names, seed=3), video_rng(3, "007", "boxes").integers(2**60))'
  )
  names = [f'{i:03d}' for i in range(20)]
  here = f'{split_videos(names, seed=3)} {video_rng(3, "007", "boxes").integers(2**60)}'
  there = subprocess.run(
    [sys.executable, '-c', program],
    env=os.environ | {'PYTHONHASHSEED': '12345'},
    capture_output=True,
    text=True,
    check=True,
  )
  assert there.stdout.strip() == here
