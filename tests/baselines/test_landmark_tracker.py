"""Rules of the tracker with a stand-in for dlib, and dlib itself on real faces where they are."""

import importlib.util
import os
import pathlib
import pickle

import numpy as np
import pytest
from PIL import Image
from small_datasets import face

from fmx.baselines import landmark_tracker, landmarks
from fmx.baselines.landmark_tracker import PATIENCE, LandmarkTracker
from fmx.baselines.landmarks import Detection, landmark_box, overlap, side
from fmx.evaluation.confusion import confusion_counts, iou
from tfds_300vw import annotations, boxes, face_mask

SIZE = (120, 200)
NEEDS_DLIB = "needs the extra 'landmarks': dlib-bin and face-recognition-models"


class StandIn:
  """Knows the true faces of each frame, whose number stands in its first pixel.

  Landmarks are those of the true face nearest to the box, or a guess in the box if none is near.
  """

  def __init__(self, course, score=1.0):
    self.course, self.score, self.searched = course, score, []

  def detect(self, frame, threshold):
    number = int(frame[0, 0, 0])
    self.searched.append(number)
    found = [Detection(landmark_box(points), self.score) for points in self.course[number]]
    return sorted((f for f in found if f.score >= threshold), key=lambda f: -side(f.box))

  def detect_near(self, frame, box, threshold):
    found = [Detection(landmark_box(points), self.score) for points in self.course[frame[0, 0, 0]]]
    return [f for f in found if f.score >= threshold and overlap(f.box, box) > 0.05]

  def landmarks(self, frame, box):
    def nearness(points):
      return overlap(landmark_box(points), box)

    nearest = max(self.course[frame[0, 0, 0]], key=nearness, default=None)
    if nearest is not None and nearness(nearest) > 0.3:
      return nearest
    return guess(box)


def guess(box):
  """The landmarks whose box this is."""
  points = face(0, 0, 100)
  known = landmark_box(points)
  return (points + 0.5 - known[:2]) * side(box) / side(known) + box[:2] - 0.5


def tracker(course, monkeypatch, *, score=1.0, **options):
  model = StandIn(course, score)
  monkeypatch.setattr(landmark_tracker, 'LandmarkModel', lambda path: model)
  return LandmarkTracker(**options), model


def numbered(length, size=SIZE):
  """Frames that say which one they are; alike, so that there is no cut."""
  frames = np.full((length, *size, 3), 90, np.uint8)
  frames[:, 0, 0, 0] = np.arange(length)
  return list(frames)


def two_shots(cut, length):
  """Numbered frames of different patterns and colours before and after a cut."""
  rng = np.random.default_rng(0)
  frames = numbered(length)
  for shot, high in ((frames[:cut], 120), (frames[cut:], 256)):
    picture = rng.integers(high - 120, high, (6, 10, 3), dtype=np.uint8)
    for frame in shot:
      frame[1:] = picture.repeat(20, axis=0).repeat(20, axis=1)[1:]
  return frames


def moving(length, x=60, y=60, size=50, speed=4):
  return [face(x + speed * t, y, size) for t in range(length)]


def same_masks(one, other):
  assert len(one) == len(other)
  for first, second in zip(one, other):
    np.testing.assert_array_equal(first.labels, second.labels)
    np.testing.assert_array_equal(first.ids, second.ids)
    assert [found.id for found in first.faces] == [found.id for found in second.faces]
    assert (first.index, first.is_cut) == (second.index, second.is_cut)


def test_the_box_of_landmarks_by_hand():
  # 68 points: half at (10, 20), half at (16, 28). Mean (13, 24), each 5 away: side 2.825 * 5. The
  # pixel (13, 24) has its middle at (13.5, 24.5); the box's middle is 0.042 of its side above.
  points = np.array([[10, 20], [16, 28]] * 34)
  length = 14.125
  middle = 24.5 - 0.042 * length
  expected = [13.5 - length / 2, middle - length / 2, 13.5 + length / 2, middle + length / 2]
  np.testing.assert_allclose(landmark_box(points), expected)
  assert side(landmark_box(np.ones((68, 2)))) == pytest.approx(1)  # Never without a size.


def test_the_box_of_landmarks_moves_and_grows_with_them():
  points = face(50, 40, 30)
  np.testing.assert_allclose(landmark_box(points + (7, -3)), landmark_box(points) + (7, -3, 7, -3))
  assert side(landmark_box(3 * points)) == pytest.approx(3 * side(landmark_box(points)))


def test_the_box_of_a_crop_is_about_that_of_its_landmarks():
  points = face(150, 140, 100)
  crop = boxes.face_box(points, 300, 300)
  assert overlap(landmarks.crop_box(crop), landmark_box(points)) > 0.6


def test_overlap_by_hand():
  # 2 x 1 shared of 4 + 6 - 2.
  assert overlap(np.array([0, 0, 2, 2.0]), np.array([0, 1, 2, 4.0])) == pytest.approx(2 / 8)
  assert overlap(np.array([0, 0, 2, 2.0]), np.array([3, 0, 5, 2.0])) == 0


def test_a_face_is_followed_and_its_masks_are_drawn_in_the_whole_frame(monkeypatch):
  course = [[points] for points in moving(12)]
  track, model = tracker(course, monkeypatch)
  found = list(track(numbered(12)))
  assert [masks.index for masks in found] == list(range(12))
  for masks, (points,) in zip(found, course):
    np.testing.assert_array_equal(masks.labels, face_mask.landmarks_to_mask(points, *SIZE))
    np.testing.assert_array_equal(masks.ids, masks.labels > 0)
    (only,) = masks.faces
    assert (only.id, only.confidence, masks.is_cut) == (1, None, False)
    np.testing.assert_array_equal(only.box, boxes.face_box(points, *SIZE))
    assert sum(only.areas.values()) == (masks.labels > 0).sum()
  assert model.searched == [0]  # Followed from then on.


def test_a_face_that_is_not_seen_is_lost_after_a_while_and_found_again(monkeypatch):
  there = face(60, 60, 50)
  gone = PATIENCE + 4
  course = [[there], *[[] for _ in range(gone)], [there], [there]]
  track, model = tracker(course, monkeypatch)
  found = list(track(numbered(len(course))))
  shown = [[f.id for f in masks.faces] for masks in found]
  assert shown == [[1]] * (1 + PATIENCE) + [[]] * (gone - PATIENCE) + [[2], [2]]
  assert not found[1 + PATIENCE].labels.any()
  assert model.searched == [0, *range(1 + PATIENCE, gone + 2)]


def test_a_face_that_is_seen_again_in_time_keeps_its_id(monkeypatch):
  there = face(60, 60, 50)
  course = [[there], *[[] for _ in range(PATIENCE)]] * 2 + [[there]]
  track, _ = tracker(course, monkeypatch)
  assert {f.id for masks in track(numbered(len(course))) for f in masks.faces} == {1}


def test_landmarks_that_came_off_start_again_from_a_certain_face_nearby(monkeypatch):
  # From one frame to the next it moves by 0.7 of its box: no landmarks there, but a detection.
  first, second = face(60, 60, 50), face(90, 60, 50)
  assert 0.05 < overlap(landmark_box(first), landmark_box(second)) < 0.3
  track, _ = tracker([[first], [second]], monkeypatch)
  last = list(track(numbered(2)))[-1]
  np.testing.assert_array_equal(last.labels, face_mask.landmarks_to_mask(second, *SIZE))
  assert [f.id for f in last.faces] == [1]


def test_a_faint_face_is_followed_but_starts_nothing(monkeypatch):
  course = [[points] for points in moving(20, speed=1)]
  track, model = tracker(course, monkeypatch)
  seen = track(numbered(20))
  next(seen)
  model.score = -0.4
  assert all(masks.faces for masks in seen)
  track, _ = tracker(course, monkeypatch, score=-0.4)
  assert not any(masks.faces for masks in track(numbered(20)))


def test_several_faces_keep_their_ids_and_the_largest_comes_first(monkeypatch):
  near, far = moving(6, x=50, size=60, speed=1), moving(6, x=150, size=30, speed=-1)
  third = moving(6, x=105, y=20, size=20, speed=0)
  course = [list(points) for points in zip(far, third, near)]
  track, _ = tracker(course, monkeypatch, max_faces=2)
  for masks, points, other in zip(track(numbered(6)), near, far):
    assert [f.id for f in masks.faces] == [1, 2]
    np.testing.assert_array_equal(masks.ids == 1, face_mask.landmarks_to_mask(points, *SIZE) > 0)
    np.testing.assert_array_equal(masks.ids == 2, face_mask.landmarks_to_mask(other, *SIZE) > 0)
  track, _ = tracker(course, monkeypatch)
  assert all([f.id for f in masks.faces] == [1] for masks in track(numbered(6)))


def test_a_face_that_comes_later_is_found_at_the_next_search(monkeypatch):
  first, second = face(50, 60, 60), face(150, 60, 40)
  course = [[first] if t < 3 else [first, second] for t in range(12)]
  track, _ = tracker(course, monkeypatch, max_faces=2)
  shown = [[f.id for f in masks.faces] for masks in track(numbered(12))]
  assert shown == [[1]] * 10 + [[1, 2]] * 2


def test_two_tracks_that_come_to_one_face_become_one(monkeypatch):
  # The smaller one walks up to the larger one, and the predictor takes both for the larger.
  large = face(60, 60, 60)
  course = [[large, face(120 - 4 * t, 60, 50)] for t in range(10)]
  course += [[large]] * 2
  track, _ = tracker(course, monkeypatch, max_faces=2)
  states = [state for _, state in track.windows(numbered(12))]
  assert [f.id for f in states[0].faces] == [1, 2]
  assert [f.id for f in states[-1].faces] == [1]


def test_where_faces_cross_the_larger_one_has_the_pixels(monkeypatch):
  large, small = face(60, 60, 70), face(112, 60, 46)
  track, _ = tracker([[small, large]], monkeypatch, max_faces=2)
  (masks,) = track(numbered(1))
  whole = [face_mask.landmarks_to_mask(points, *SIZE) for points in (large, small)]
  shared = (whole[0] > 0) & (whole[1] > 0)
  assert shared.any()
  assert (masks.ids[shared] == 1).all()
  np.testing.assert_array_equal(masks.labels[shared], whole[0][shared])
  assert sum(masks.faces[1].areas.values()) == (whole[1] > 0).sum() - shared.sum()


def test_a_cut_starts_anew_with_new_ids(monkeypatch):
  frames = two_shots(4, 8)
  course = [[face(60, 60, 50)]] * 8
  track, model = tracker(course, monkeypatch)
  found = list(track(frames))
  assert [masks.is_cut for masks in found] == [False] * 4 + [True] + [False] * 3
  assert [[f.id for f in masks.faces] for masks in found] == [[1]] * 4 + [[2]] * 4
  assert model.searched == [0, 4]


def test_it_goes_on_from_a_pickled_state_after_any_window(monkeypatch):
  course = [[points] for points in moving(13, speed=3)]
  course[4] = course[5] = []
  track, _ = tracker(course, monkeypatch)
  frames = two_shots(8, 13)
  whole = list(track(frames))
  assert [masks.index for masks in whole if masks.is_cut] == [8]
  done = []
  for window, state in list(track.windows(frames)):  # All windows first: states must not change.
    done += window
    state = pickle.loads(pickle.dumps(state))
    assert state.next_index == len(done)
    rest = [
      masks for later, _ in track.windows(frames[state.next_index :], state) for masks in later
    ]
    same_masks(done + rest, whole)


def test_a_box_says_which_face_it_is(monkeypatch):
  large, small = face(50, 60, 70), face(150, 60, 40)
  box = boxes.face_box(small, *SIZE)
  track, _ = tracker([[large, small]] * 3, monkeypatch, box=box)
  for masks in track(numbered(3)):
    np.testing.assert_array_equal(masks.labels, face_mask.landmarks_to_mask(small, *SIZE))
  # And it is a face even where the detector finds none.
  track, _ = tracker([[]] * 2, monkeypatch, box=box)
  assert all(len(masks.faces) == 1 for masks in track(numbered(2)))


def test_a_face_that_leaves_the_frame_ends(monkeypatch):
  course = [[points] for points in moving(30, x=150, speed=6)]
  track, _ = tracker(course, monkeypatch)
  found = list(track(numbered(30)))
  assert found[0].faces
  assert not found[-1].faces
  assert not found[-1].labels.any()


def test_a_clip_of_crops_is_labelled_by_places_in_the_video(monkeypatch):
  course = moving(6, speed=10)
  crops = np.stack([boxes.face_box(points, *SIZE) for points in course])
  frames, inside = numbered(6), []
  for t, crop in enumerate(crops):
    cut = boxes.crop(frames[t], crop).copy()
    cut[0, 0, 0] = t
    frames[t] = cut
    inside.append([course[t] - crop[:2]])
  track, _ = tracker(inside, monkeypatch)
  found = track.label_clip(frames, crops)
  for labels, frame, (points,) in zip(found, frames, inside):
    np.testing.assert_array_equal(labels, face_mask.landmarks_to_mask(points, *frame.shape[:2]))


def test_a_crop_holds_a_face_even_if_the_detector_finds_none(monkeypatch):
  track, _ = tracker([[]] * (PATIENCE + 5), monkeypatch)
  frames = [np.full((60, 64, 3), t, np.uint8) for t in range(PATIENCE + 5)]
  crops = np.array([[10, 20, 74, 80]] * len(frames), np.int32)
  for labels in track.label_clip(frames, crops):
    assert labels.shape == (60, 64)
    assert 0.3 < (labels > 0).mean() < 0.6


def test_what_cannot_be_labelled_is_refused(monkeypatch):
  track, _ = tracker([[]] * 3, monkeypatch)
  with pytest.raises(ValueError, match='not a single frame'):
    list(track([]))
  with pytest.raises(ValueError, match='Frame 0 is float64'):
    list(track([np.zeros((4, 4, 3))]))
  with pytest.raises(ValueError, match='Frame 1 has 8 x 4 pixels, those before it 4 x 4'):
    list(track([np.zeros((4, 4, 3), np.uint8), np.zeros((4, 8, 3), np.uint8)]))
  with pytest.raises(ValueError, match='max_faces is 0'):
    tracker([], monkeypatch, max_faces=0)
  with pytest.raises(ValueError, match='give x0, y0, x1, y1'):
    tracker([], monkeypatch, box=(9, 0, 9, 9))
  track, _ = tracker([[]], monkeypatch, box=(500, 0, 600, 90))
  with pytest.raises(ValueError, match='outside the image'):
    list(track(numbered(1)))


def test_without_dlib_or_its_model_it_says_what_to_install(monkeypatch):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(ValueError, match="needs dlib, .* pip install 'dlib-bin"):
    LandmarkTracker()
  with pytest.raises(ValueError, match='68_face_landmarks.dat: pip install .* path of such a file'):
    landmarks.packaged_model()


def test_another_file_than_dlibs_model_is_refused(tmp_path):
  pytest.importorskip('dlib', reason=NEEDS_DLIB)
  with pytest.raises(ValueError, match='There is no landmark model'):
    LandmarkTracker(model=tmp_path / 'none.dat')
  (tmp_path / 'text.dat').write_text('no model')
  with pytest.raises(ValueError, match="text.dat is no landmark model of dlib's"):
    LandmarkTracker(model=tmp_path / 'text.dat')


@pytest.fixture(scope='module')
def real_tracker():
  pytest.importorskip('dlib', reason=NEEDS_DLIB)
  if importlib.util.find_spec('face_recognition_models') is None:
    pytest.skip(NEEDS_DLIB)
  return LandmarkTracker()


def test_a_frame_without_a_face_is_empty_with_dlib_itself(real_tracker):
  frames = np.random.default_rng(0).integers(0, 256, (2, 90, 120, 3), dtype=np.uint8)
  for masks in real_tracker(frames):
    assert masks.faces == ()
    assert not masks.labels.any()


def test_real_faces_are_found_and_followed(real_tracker):
  if 'FMX_REAL_DATA' not in os.environ:
    pytest.skip('needs real faces: set FMX_REAL_DATA')
  root = pathlib.Path(os.environ['FMX_REAL_DATA']) / 'stills' / 'helen'
  path = sorted(root.glob('*.jpg'))[0]
  image = np.asarray(Image.open(path).convert('RGB'))
  truth = annotations.read_pts(path.with_suffix('.pts'))
  shifted = np.roll(image, (3, 4), axis=(0, 1))  # The face moves right and down.
  for masks, points in zip(real_tracker([image, shifted]), (truth, truth + (4, 3))):
    labels = face_mask.landmarks_to_mask(points, *image.shape[:2])
    ratios = iou(confusion_counts(labels, masks.labels, 5))
    assert ratios[1] > 0.85
    assert ratios[2] > 0.5
  crop = boxes.face_box(truth, *image.shape[:2])
  (labels,) = real_tracker.label_clip([boxes.crop(image, crop)], [crop])
  expected = boxes.crop(face_mask.landmarks_to_mask(truth, *image.shape[:2]), crop)
  assert iou(confusion_counts(expected, labels, 5))[1] > 0.85


def test_landmarks_of_a_small_face_lie_between_pixels_and_move_with_it(real_tracker):
  frame = np.random.default_rng(0).integers(0, 256, (90, 160, 3), dtype=np.uint8)
  box = np.array([50.0, 20, 110, 80])
  found = real_tracker._model.landmarks(frame, box)
  assert found.shape == (68, 2)
  assert (found % 1 != 0).any()
  # What is farther than the reach does not matter: the same part of a smaller frame.
  cut = real_tracker._model.landmarks(frame[:, 20:], box - (20, 0, 20, 0))
  np.testing.assert_allclose(cut + (20, 0), found)
