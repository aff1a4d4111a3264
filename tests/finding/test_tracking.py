import copy
import pickle

import cv2
import numpy as np
import pytest

from fmx.finding.detection import Detection
from fmx.finding.tracking import SECOND, FaceTracker
from tfds_300vw import boxes

FRAME = np.zeros((400, 600, 3), np.uint8)


class Scene:
  """A detector that is told what to find, and the masks that a model would give."""

  def __init__(self, *found):
    self.found, self.looks = list(found), 0

  def __call__(self, frame):
    self.looks += 1
    largest_first = sorted(self.found, key=lambda face: -face[2])
    return [Detection(square(*face), 20.0) for face in largest_first]


def square(x, y, side):
  half = side // 2
  return boxes.clamp((x - half, y - half, x - half + side, y - half + side), 400, 600)


def masks(box, *faces, length=5):
  """Labels in a box: each face an ellipse (x, y, height) with eyes and a mouth."""
  labels = np.zeros((*FRAME.shape[:2],), np.uint8)
  for x, y, size in faces:
    half = size // 2
    cv2.ellipse(labels, (x, y), (half, half), 0, 0, 360, 1, -1)
    for dx in (-half // 2, half // 2):
      cv2.circle(labels, (x + dx, y - half // 3), max(half // 7, 1), 2, -1)
    cv2.ellipse(labels, (x, y + half // 2), (half // 3, half // 8), 0, 0, 360, 3, -1)
  return np.repeat(boxes.crop(labels, box)[None], length, axis=0)


def step(tracker, *faces):
  """One window in which the faces stand still."""
  tracks = tracker.start_window(FRAME)
  none = tracker.finish_window({track.id: masks(track.box, *faces) for track in tracks})
  return tracks, none


def test_a_box_of_the_user_is_the_face_crop_of_the_first_window():
  detector = Scene((100, 100, 60))
  tracker = FaceTracker(detector, box=(200, 150, 300, 250))
  tracks, none = step(tracker, (250, 200, 76))
  assert [(track.id, track.is_new) for track in tracks] == [(1, True)]
  np.testing.assert_array_equal(tracks[0].box, [200, 150, 300, 250])
  assert none == set()
  assert detector.looks == 0


def test_the_box_is_that_of_the_data_around_the_last_masks():
  tracker = FaceTracker(Scene((250, 200, 120)))
  step(tracker, (260, 205, 80))
  (track,), _ = step(tracker, (260, 205, 80))
  # An ellipse of half axis 40 has 81 pixels either way: the side is 1.3 * 81 = 105.3.
  assert not track.is_new
  np.testing.assert_allclose(track.box, [208, 153, 313, 258], atol=1)


def test_a_new_face_gets_the_box_of_its_mask_before_it_is_labelled():
  tracker = FaceTracker(Scene((225, 205, 118)))  # The crop is too far left and cuts the face off.
  (track,) = tracker.start_window(FRAME)
  for _ in range(2):
    (track,) = tracker.settle({1: masks(track.box, (250, 200, 90), length=1)})
    assert track.is_new
  # 1.3 times the 91 pixels of the ellipse, 118, around its centre.
  np.testing.assert_allclose(track.box, [191, 141, 310, 260], atol=2)
  assert tracker.finish_window({1: masks(track.box, (250, 200, 90))}) == set()


def test_a_mask_that_is_no_face_moves_nothing():
  tracker = FaceTracker(Scene((250, 200, 120)))
  (track,) = tracker.start_window(FRAME)
  (same,) = tracker.settle({1: masks(track.box, length=1)})
  np.testing.assert_array_equal(same.box, track.box)


def test_a_moving_face_is_met_where_it_will_be():
  tracker = FaceTracker(Scene((100, 200, 130)))
  errors = []
  for window in range(12):
    (track,) = tracker.start_window(FRAME)
    times = range(5 * window, 5 * window + 5)
    seen = [masks(track.box, (100 + 6 * time, 200, 100), length=1)[0] for time in times]
    assert tracker.finish_window({1: np.stack(seen)}) == set()
    errors.append((track.box[0] + track.box[2]) / 2 - (100 + 6 * times[2]))
  # Without a velocity the box would trail by the 18 pixels from the last frame to the next middle.
  assert np.abs(errors[4:]).max() < 8


def test_the_side_is_smoother_than_the_masks():
  tracker = FaceTracker(Scene((250, 200, 130)))
  sides = []
  for window in range(20):
    (track,), _ = step(tracker, (250, 200, 100 + 8 * (window % 2)))
    sides.append(track.box[2] - track.box[0])
  assert max(sides[2:]) - min(sides[2:]) <= 7  # Of 1.3 * 8 = 10.4 in the masks.


def test_a_face_without_a_mask_is_not_shown_and_found_again_with_its_id():
  tracker = FaceTracker(Scene((250, 200, 110)))
  step(tracker, (250, 200, 84))
  for _ in range(3):
    (track,), none = step(tracker)
    assert none == {track.id} == {1}
  tracks, none = step(tracker, (250, 200, 84))
  assert [(track.id, track.is_new) for track in tracks] == [(1, True)]
  assert none == set()
  assert not step(tracker, (250, 200, 84))[0][0].is_new


def test_a_lost_face_comes_back_by_its_mask_where_the_detector_is_blind():
  detector = Scene((250, 200, 110))
  tracker = FaceTracker(detector)
  step(tracker, (250, 200, 84))
  detector.found = []
  step(tracker)
  (track,), none = step(tracker, (250, 200, 84))
  assert (track.id, none) == (1, set())


def test_a_face_that_comes_later_or_elsewhere_is_another():
  detector = Scene((250, 200, 110))
  tracker = FaceTracker(detector)
  step(tracker, (250, 200, 84))
  detector.found = []
  for _ in range(SECOND + 2):
    step(tracker)
  assert step(tracker)[0] == []
  detector.found = [(250, 200, 110)]
  found = [step(tracker, (250, 200, 84))[0] for _ in range(SECOND)]
  assert found[-1][0].id == 2
  detector.found = [(450, 200, 110)]
  step(tracker)
  (track,), _ = step(tracker, (450, 200, 84))
  assert track.id == 3


def test_a_false_detection_is_not_shown_and_does_not_hide_a_true_one():
  tracker = FaceTracker(Scene((150, 200, 160), (450, 200, 110)))
  shown = []
  for _ in range(4):
    tracks, none = step(tracker, (450, 200, 84))
    shown.append([(track.id, int(track.box[0])) for track in tracks if track.id not in none])
  assert shown[0] == []
  assert [face[0][0] for face in shown[-2:]] == [2, 2]


@pytest.mark.parametrize(
  'labels',
  [
    np.ones((5, 110, 110), np.uint8),  # Everything is skin.
    np.zeros((5, 110, 110), np.uint8),
    np.kron(np.eye(11, dtype=np.uint8)[::2].repeat(2, 0)[:11], np.ones((10, 10), np.uint8))[None],
    np.pad(np.full((1, 60, 60), 3, np.uint8), ((0, 0), (25, 25), (25, 25))),  # No skin.
    np.pad(
      np.full((1, 60, 60), 1, np.uint8), ((0, 0), (25, 25), (25, 25))
    ),  # Neither eyes nor mouth.
    np.pad(np.full((1, 100, 12), 1, np.uint8), ((0, 0), (5, 5), (49, 49))),  # Too slender.
  ],
)
def test_masks_that_look_like_no_face_are_told(labels):
  tracker = FaceTracker(Scene((250, 200, 110)))
  (track,) = tracker.start_window(FRAME)
  assert tracker.finish_window({track.id: labels}) == {track.id}


def test_two_faces_are_followed_the_largest_first_and_found_once():
  faces = (150, 200, 84), (420, 200, 130)
  detector = Scene((150, 200, 110), (420, 200, 170))
  tracker = FaceTracker(detector, max_faces=2)
  for _ in range(5):
    tracks, none = step(tracker, *faces)
    assert [track.id for track in tracks] == [1, 2]
    assert none == set()
  assert detector.looks == 1
  assert len(step(FaceTracker(detector), *faces)[0]) == 1  # The largest by default.


def test_the_same_face_is_not_followed_twice():
  detector = Scene((300, 200, 110))
  tracker = FaceTracker(detector, max_faces=2)
  for shift in (0, 30, 60):  # The detector's boxes wander on one face.
    detector.found = [(300 + shift // 3, 200, 110)]
    tracks, _ = step(tracker, (300, 200, 84))
    assert [track.id for track in tracks] == [1]


def test_of_two_tracks_that_meet_on_one_face_the_younger_is_dropped():
  tracker = FaceTracker(Scene((200, 200, 110), (300, 200, 111)), max_faces=2)
  tracks = tracker.start_window(FRAME)
  assert [track.id for track in tracks] == [1, 2]
  labels = {track.id: masks(track.box, (250, 200, 84)) for track in tracks}
  none = tracker.finish_window(labels)
  assert none == {2}
  assert [track.id for track in tracker.start_window(FRAME)][:1] == [1]


def test_the_detector_looks_ever_more_seldom_and_at_once_after_a_cut():
  detector = Scene()
  tracker = FaceTracker(detector)
  looks = []
  for _ in range(20):
    assert step(tracker) == ([], set())
    looks.append(detector.looks)
  assert looks[:4] == [1, 2, 2, 3]  # At the windows 0, 1, 3, 7, 13, 19.
  assert looks[-1] == 6
  tracker.cut()
  step(tracker)
  assert detector.looks == 7


def test_a_cut_forgets_places_but_not_ids():
  tracker = FaceTracker(Scene((250, 200, 110)))
  step(tracker, (250, 200, 84))
  tracker.cut()
  (track,), _ = step(tracker, (250, 200, 84))
  assert (track.id, track.is_new) == (2, True)


def test_a_face_that_leaves_keeps_a_box_inside_the_frame():
  tracker = FaceTracker(Scene((40, 200, 130)))
  for x in range(40, -120, -10):
    tracks = tracker.start_window(FRAME)
    for track in tracks:
      np.testing.assert_array_equal(boxes.clamp(track.box, 400, 600), track.box)
    tracker.finish_window({track.id: masks(track.box, (x, 200, 100)) for track in tracks})
  assert tracker.start_window(FRAME) == [] or x < 0


def test_a_tracker_goes_on_after_pickling_as_if_nothing_had_been():
  rng = np.random.default_rng(0)
  tracker = FaceTracker(Scene((150, 200, 110), (420, 200, 170)), max_faces=2)
  sizes = []
  for _ in range(30):
    faces = [(150 + rng.integers(9), 200, 84), (420, 200 + rng.integers(9), 130)]
    again = pickle.loads(pickle.dumps(tracker))
    tracks, none = step(tracker, *faces[: rng.integers(3)])
    state = copy.deepcopy(rng.bit_generator.state)
    rng.bit_generator.state = state
    sizes.append(len(pickle.dumps(tracker)))
    assert [track.id for track in again.start_window(FRAME)] == [track.id for track in tracks]
    assert none <= {track.id for track in tracks}
  assert max(sizes) < 4000


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'max_faces': 0}, 'max_faces is 0'),
    ({'box': (10, 10, 10, 20)}, 'give x0, y0, x1, y1'),
    ({'box': (1, 2, 3)}, 'give x0, y0, x1, y1'),
  ],
)
def test_options_that_make_no_sense_are_refused(options, message):
  with pytest.raises(ValueError, match=message):
    FaceTracker(Scene(), **options)


def test_a_box_outside_the_frame_is_refused():
  with pytest.raises(ValueError, match='wholly outside the image of 600 x 400'):
    FaceTracker(Scene(), box=(700, 10, 800, 90)).start_window(FRAME)
