import numpy as np
import pytest

from fmx.data import spoiled_frames
from fmx.data.prepared import Window
from fmx.data.spoiled_frames import KINDS, spoil_frames


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


@pytest.mark.parametrize('length', [2, 3, 5])
def test_one_or_two_frames_are_spoiled_and_one_is_left(length):
  numbers = set()
  for start in range(40):
    of_before = window(start, length)
    copies = [frame.copy() for frame in of_before.frames]
    after, is_spoiled = spoil_frames(of_before)
    numbers.add(int(is_spoiled.sum()))
    for old, copy, new, spoiled in zip(of_before.frames, copies, after.frames, is_spoiled):
      np.testing.assert_array_equal(old, copy)
      assert (new.shape, new.dtype) == (old.shape, old.dtype)
      assert spoiled == (old != new).any()
    assert after.labels is of_before.labels
    assert (after.clip, after.start) == (of_before.clip, start)
  assert numbers == ({1} if length == 2 else {1, 2})


def test_a_frame_alone_is_spoiled():
  after, is_spoiled = spoil_frames(window(length=1))
  assert is_spoiled.tolist() == [True]
  assert (after.frames[0] != window(length=1).frames[0]).any()


def test_clip_and_start_alone_say_how():
  first, places = spoil_frames(window(10))
  again, same = spoil_frames(window(10))
  np.testing.assert_array_equal(places, same)
  np.testing.assert_array_equal(first.frames, again.frames)
  others = [spoil_frames(w) for w in (window(15), window(10, clip='002_000001'))]
  assert any((places != other).any() for _, other in others) or any(
    (np.stack(first.frames) != np.stack(other.frames)).any() for other, _ in others
  )


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
  for start in range(40):
    spoil_frames(window(start))
  assert kind in drawn
