import dataclasses

import numpy as np
import pytest

from fmx.data import spoiled_frames
from fmx.data.prepared import Window
from fmx.data.spoiled_frames import KINDS, spoil_frames, spoil_some


def window(start=0, length=5, clip='001_000001'):
  rng = np.random.default_rng(3)
  shades = rng.integers(60, 200, (length, 8, 9, 3), np.uint8).repeat(8, axis=1).repeat(8, axis=2)
  return Window(
    index=0,
    video_id='001',
    clip=clip,
    start=start,
    frame_numbers=np.arange(length, dtype=np.int32) + 1,
    boxes=np.zeros((length, 4), np.int32),
    frames=list(shades),
    labels=[np.ones(frame.shape[:2], np.uint8) for frame in shades],
  )


def flat(clip):
  return [frame for window in clip for frame in window.frames]


def test_one_or_two_of_five_frames_are_spoiled():
  numbers = set()
  for name in range(20):
    clip = [window(start, clip=f'{name}') for start in (0, 5, 10)]
    copies = [frame.copy() for frame in flat(clip)]
    after, is_spoiled = spoil_frames(clip)
    numbers |= set(is_spoiled.reshape(3, 5).sum(axis=1).tolist())
    for old, copy, new, spoiled in zip(flat(clip), copies, flat(after), is_spoiled, strict=True):
      np.testing.assert_array_equal(old, copy)
      assert (new.shape, new.dtype) == (old.shape, old.dtype)
      assert spoiled == (old != new).any()
    for one, other in zip(after, clip, strict=True):
      assert one.labels is other.labels
      assert (one.clip, one.start, len(one.frames)) == (other.clip, other.start, 5)
  assert numbers == {1, 2}


def test_windows_make_no_difference():
  whole = window(length=15)
  parts = [
    dataclasses.replace(window(start), frames=whole.frames[start : start + length])
    for start, length in ((0, 4), (4, 4), (8, 4), (12, 3))
  ]
  alone = [dataclasses.replace(window(start), frames=[f]) for start, f in enumerate(whole.frames)]
  expected, places = spoil_frames([whole])
  for clip in (parts, alone, [whole]):
    found, same = spoil_frames(clip)
    np.testing.assert_array_equal(same, places)
    np.testing.assert_array_equal(flat(found), flat(expected))
    assert [len(one.frames) for one in found] == [len(one.frames) for one in clip]


def test_another_clip_is_spoiled_otherwise():
  first, places = spoil_frames([window(length=15)])
  second, others = spoil_frames([window(length=15, clip='002_000001')])
  assert (places != others).any() or (np.stack(flat(first)) != np.stack(flat(second))).any()


@pytest.mark.parametrize('kind', KINDS, ids=lambda kind: kind.__name__.strip('_'))
def test_every_kind_takes_much_away_and_is_drawn(kind, monkeypatch):
  frame = window().frames[0]
  changes = [
    np.abs(kind(frame, np.random.default_rng(seed)).astype(int) - frame).mean() for seed in range(8)
  ]
  assert min(changes) > 0
  assert np.mean(changes) > 8  # Grey levels.
  drawn = []
  kinds = tuple(lambda frame, rng, k=k: drawn.append(k) or k(frame, rng) for k in KINDS)
  monkeypatch.setattr(spoiled_frames, 'KINDS', kinds)
  for name in range(40):
    spoil_frames([window(clip=f'{name}')])
  assert kind in drawn


def test_of_frames_to_train_on_a_share_is_spoiled():
  frames, rng = window(length=5).frames * 60, np.random.default_rng(0)
  spoiled = spoil_some(frames, 0.3, rng)
  changed = [(old != new).any() for old, new in zip(frames, spoiled, strict=True)]
  assert 0.2 < np.mean(changed) < 0.4
  state = rng.bit_generator.state
  assert spoil_some(frames, 0.0, rng) == frames
  assert rng.bit_generator.state == state  # Nothing was drawn: what follows is as it was.
