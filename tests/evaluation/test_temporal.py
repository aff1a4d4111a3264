import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmx.evaluation.temporal import TemporalQuality, temporal_quality

NOTHING = {'facial_skin': None, 'eyes': None, 'outer_mouth': None, 'inner_mouth': None}


def rows(*pixels):
  """One-row masks of the digits of each text."""
  return [np.array([[int(digit) for digit in text]], np.uint8) for text in pixels]


def random_masks(seed, length, size=(6, 7), num_classes=5):
  return list(np.random.default_rng(seed).integers(0, num_classes, (length, *size), dtype=np.uint8))


def test_consecutive_iou_by_hand():
  # Skin: 2 of 3 shared, then 1 of 2 (pixel 0 only; pixel 1 becomes an eye): (2/3 + 1/2) / 2 = 7/12.
  # Eyes: 1 of 1, then 1 of 2: 3/4. No lips. Mean of the two classes: (7/12 + 9/12) / 2 = 2/3.
  found = temporal_quality(rows('11120', '11020', '12020'))
  assert found['frames'] == 3
  assert found['pairs'] == 2
  assert found['iou'] == NOTHING | {
    'facial_skin': pytest.approx(7 / 12),
    'eyes': pytest.approx(3 / 4),
  }
  assert found['miou'] == pytest.approx(2 / 3)


def test_flicker_by_hand():
  # Pixel 0: 0 1 0 0, returns after one frame: flickers in frame 1.
  # Pixel 1: 1 2 2 1, returns after two: flickers in frame 1, and not in frame 2, where it stays.
  # Pixel 2: 1 2 3 1, returns after two by way of another class: flickers in frame 1.
  # Pixel 3: 1 2 2 2, does not return. Pixel 4: 0 0 0 0, never shown.
  # Frame 1 is judged by frames 0 to 3: 3 of the pixels 0 to 3. Frame 2, the last but one, by frames
  # 1 to 3: of the same 4 pixels it is pixel 0 that changes, and stays 0. So 3 of 4 + 4.
  found = temporal_quality(rows('01110', '12220', '02320', '01120'))
  assert found['flicker'] == pytest.approx(3 / 8)


def test_a_change_that_returns_after_three_frames_is_no_flicker():
  # 1 2 2 2 1: in frame 1 it is judged by frames 0 to 3 alone.
  assert temporal_quality(rows(*'12221'))['flicker'] == 0
  # 1 2 2 1: of the judged frames 1 and 2 it flickers in the first.
  assert temporal_quality(rows(*'1221'))['flicker'] == 0.5


def test_every_turn_of_an_alternating_pixel_flickers_as_far_as_it_is_seen():
  # 1 2 1 2 1: frames 1, 2 and 3 change and return; frame 4 has none after it.
  assert temporal_quality(rows(*'12121'))['flicker'] == 1


def test_three_frames_suffice_for_a_flicker_and_two_do_not():
  assert temporal_quality(rows('10', '20', '10'))['flicker'] == 1  # The one pixel shown.
  assert temporal_quality(rows('10', '20'))['flicker'] is None
  assert temporal_quality(rows('10'))['miou'] is None


def test_frames_without_a_face_count_only_where_a_face_vanishes_or_appears():
  # 0 0 | 0 1 | 1 1: of the three pairs the first has no class, the others have IoU 0 and 1.
  found = temporal_quality(rows('0', '0', '1', '1'))
  assert found['pairs'] == 3
  assert found['iou']['facial_skin'] == 0.5
  blank = temporal_quality(rows(*'000000'))
  assert blank == {'frames': 6, 'pairs': 5, 'iou': NOTHING, 'miou': None, 'flicker': None}
  assert temporal_quality([]) == {
    'frames': 0,
    'pairs': 0,
    'iou': NOTHING,
    'miou': None,
    'flicker': None,
  }


def test_a_face_that_blinks_out_for_a_frame_flickers_wholly():
  found = temporal_quality(rows('11', '00', '11'))
  assert found['flicker'] == 1
  assert found['miou'] == 0


def test_nothing_is_compared_across_a_cut():
  # Without the cut, the third frame would give IoU 0 and pixel 0 would flicker.
  found = temporal_quality(rows('10', '10', '01', '01', '01'), cuts={2})
  assert found['pairs'] == 3
  assert found['miou'] == 1
  assert found['flicker'] == 0
  # The shot before the cut is still judged: 1 2 1 flickers, as it would alone. The other pixels:
  # 1 shown of the first shot, 1 of the second, in one judged frame each.
  assert temporal_quality(rows(*'121111'), cuts={3})['flicker'] == 0.5


def test_shots_may_differ_in_size_frames_of_one_shot_may_not():
  masks = [*random_masks(0, 3), *random_masks(1, 3, size=(4, 9))]
  assert temporal_quality(masks, cuts=[3])['pairs'] == 4
  with pytest.raises(ValueError, match='Frame 3 of those given has 9 x 4 pixels.* 7 x 6'):
    temporal_quality(masks)


def test_more_background_changes_nothing():
  masks = random_masks(3, 8)
  padded = [np.pad(mask, ((5, 9), (20, 3))) for mask in masks]
  assert temporal_quality(padded) == temporal_quality(masks)


@given(seed=st.integers(0, 99), length=st.integers(0, 9), cut=st.integers(1, 8))
@settings(max_examples=40, deadline=None)
def test_it_is_what_a_look_at_all_frames_at_once_gives(seed, length, cut):
  masks = random_masks(seed, length, num_classes=3)
  ratios = {1: [], 2: []}
  flickering = shown = 0
  for shot in (masks[:cut], masks[cut:]):
    for before, after in zip(shot, shot[1:]):
      for class_id, of_class in ratios.items():
        union = (before == class_id) | (after == class_id)
        if union.any():
          shared = (before == class_id) & (after == class_id)
          of_class.append(shared.sum() / union.sum())
    for t in range(1, len(shot) - 1):
      for pixel in np.ndindex(6, 7):
        course = [int(mask[pixel]) for mask in shot[t - 1 : t + 3]]
        shown += any(course)
        flickering += course[1] != course[0] and course[0] in course[2:]
  found = temporal_quality(masks, cuts={cut}, class_names=('none', 'a', 'b'))
  expected = [float(np.mean(of_class)) if of_class else None for of_class in ratios.values()]
  assert list(found['iou']) == ['a', 'b']
  assert list(found['iou'].values()) == pytest.approx(expected)
  assert found['flicker'] == (pytest.approx(flickering / shown) if shown else None)


def test_it_goes_on_after_pickling_and_looking_changes_nothing():
  masks = random_masks(5, 9)
  quality = TemporalQuality()
  for index, mask in enumerate(masks):
    quality = pickle.loads(pickle.dumps(quality))
    quality.add(mask, is_cut=index == 4)
    quality.result()
  assert quality.result() == temporal_quality(masks, cuts=[4])
  assert json.loads(json.dumps(quality.result())) == quality.result()


def test_memory_does_not_grow_and_frames_may_be_overwritten():
  quality, mask = TemporalQuality(), np.zeros((40, 40), np.uint8)
  sizes = []
  for index in range(12):
    mask[...] = index % 2 + 1  # One buffer for all frames.
    quality.add(mask)
    sizes.append(len(pickle.dumps(quality)))
  assert max(sizes) < 4 * mask.size
  assert quality.result()['flicker'] == 1


@pytest.mark.parametrize('mask', [np.zeros((2, 2)), np.zeros(4, np.uint8), np.zeros((0, 3), 'u1')])
def test_what_is_no_mask_is_refused(mask):
  with pytest.raises(ValueError, match=r'Frame 0 .* uint8 \[H, W\]'):
    TemporalQuality().add(mask)


def test_a_class_that_does_not_exist_is_refused():
  with pytest.raises(ValueError, match='class id 5, but there are 5 classes'):
    TemporalQuality().add(np.full((2, 2), 5, np.uint8))
