import cv2
import numpy as np
import pytest
from finder_scenes import frame

from fmx.evaluation import finders
from tfds_300vw.pose import Pose

EXAMPLES = [
  frame((40, 50, 40), height=160, width=240),
  frame((90, 40, 30, 0.2), (30, 40, 24), height=120, width=160),
]


def discs(image):
  """Finds what is as light as the faces of the frames: a detector without a mistake."""
  mask = (image[..., 0] > 150).astype(np.uint8)
  mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
  _, _, stats, _ = cv2.connectedComponentsWithStats(mask)
  rows = [[x, y, x + w, y + h, 0.9] for x, y, w, h, area in stats[1:] if area > 40]
  return np.array(rows, np.float64).reshape(-1, 5)


def blind(image):
  return np.zeros((0, 5))


def everywhere(image):
  return np.array([[0, 0, *image.shape[1::-1], 1.0]], np.float64)


def test_who_sees_all_misses_nothing_and_who_is_blind_everything():
  empty = finders.empty_parts(EXAMPLES)
  assert empty
  sees = finders.evaluate(discs, EXAMPLES, empty)
  assert set(sees['missed'].values()) == {0}
  assert (sees['faces'], sees['false'], sees['empty']) == (3, 0, len(empty))
  assert sees['iou'] > 0.8
  nothing = finders.evaluate(blind, EXAMPLES, empty)
  assert set(nothing['missed'].values()) == {3}
  assert (nothing['false'], nothing['iou']) == (0, 0)
  assert finders.evaluate(everywhere, EXAMPLES, empty)['false'] == len(empty)


@pytest.mark.parametrize(
  ('box', 'expected'),
  [
    ((30, 30, 50, 50), True),
    ((39, 30, 59, 50), True),  # 9 of the 10 pixels that it may be off.
    ((41, 30, 61, 50), False),
    ((21, 21, 59, 59), True),  # 1.9 times as large.
    ((19, 19, 61, 61), False),
    ((36, 36, 44, 44), False),
  ],
)
def test_a_box_finds_a_face_that_is_near_and_about_as_large(box, expected):
  assert finders.finds(np.array([[*box, 1.0]]), Pose(39.5, 39.5, 20.0, 0.0)) == expected


def test_pictures_are_turned_clockwise_about_their_middle():
  image = np.zeros((40, 80, 3), np.uint8)
  image[20, 60] = 255
  made, matrix = finders.turned(image, 90)
  assert made.shape == (80, 40, 3)
  x, y = matrix[:, :2] @ (60, 20) + matrix[:, 2]
  assert (x, y) == pytest.approx((19, 60), abs=1e-6)  # What was right of the middle is below it.
  assert made[60, 19, 0] > 200


def test_a_detector_sees_reduced_frames_and_answers_in_pixels_of_the_frame():
  seen = []

  def detect(image):
    seen.append(image.shape)
    return everywhere(image)

  found = finders.reduced(detect)(np.zeros((480, 640, 3), np.uint8))
  assert seen == [(240, 320, 3)]
  np.testing.assert_allclose(found, [[0, 0, 640, 480, 1]])


def test_the_table_has_a_row_for_each_detector():
  results = {
    name: finders.evaluate(detect, EXAMPLES, []) | {'images_per_second': 12.3}
    for name, detect in (('ours', discs), ('theirs', blind))
  }
  heading, ours, theirs = finders.rows(results)
  assert heading[0] == 'missed of 3 faces'
  assert len(heading) == len(ours) == len(theirs)
  assert (ours[0], ours[1], theirs[1], ours[-1]) == ('ours', '0', '3', '12')
