import cv2
import numpy as np
import pytest
from drawn_scenes import found_at

from fmx.finding import looking
from tfds_300vw.pose import Pose


def test_the_finder_is_asked_once_for_all_frames():
  calls = []

  def finder(frames):
    calls.append(frames.shape)
    return [[found_at(10.0 + frame[0, 0, 0], 20.0)] for frame in frames]

  frames = [np.full((40, 60, 3), value, np.uint8) for value in range(5)]
  seen = looking.look(finder, frames, [0, 2, 4])
  assert calls == [(3, 40, 60, 3)]
  assert {time: faces[0].pose.x for time, faces in seen.items()} == {0: 10, 2: 12, 4: 14}
  assert looking.look(finder, frames, []) == {}


def test_of_two_finds_in_one_place_the_surer_one_stays():
  faces = [found_at(0.0, 0.0, confidence=0.6), found_at(5.0, 0.0), found_at(80.0, 0.0)]
  assert [face.pose.x for face in looking.distinct(faces)] == [5, 80]


def marked(frame, roll):
  """A frame with a large red dot, and a blue one in the direction `roll` of it."""
  x, y = 150, 90
  blue = round(x + 30 * np.cos(roll)), round(y + 30 * np.sin(roll))
  cv2.circle(frame, (x, y), 6, (255, 0, 0), -1)
  cv2.circle(frame, blue, 6, (0, 0, 255), -1)
  return frame


def dots(frames, limit=0.5, least=0):
  """Finds the red dot where the blue one lies about to the right of it."""
  found = []
  for frame in frames.astype(int):
    red, blue = (
      np.argwhere((frame[..., i] > 150) & (frame[..., 2 - i] < 60))[:, ::-1] for i in (0, 2)
    )
    found.append([])
    if min(len(red), len(blue)) > 10 and max(frame.shape) > least:
      (x, y), (right, down) = red.mean(axis=0), blue.mean(axis=0) - red.mean(axis=0)
      roll = float(np.arctan2(down, right))
      if abs(roll) < limit:
        found[-1].append(looking.Seen(Pose(x, y, 40.0, roll), np.tile((x, y), (5, 1)), 0.9))
  return found


@pytest.mark.parametrize('degrees', [45, -70, 80])
def test_a_face_on_its_side_is_found_in_turned_frames(degrees):
  frame = marked(np.zeros((200, 300, 3), np.uint8), np.radians(degrees))
  assert looking.look(dots, [frame], [0]) == {0: []}
  (face,) = looking.look_harder(dots, frame)
  np.testing.assert_allclose([face.pose.x, face.pose.y], [150, 90], atol=1)
  np.testing.assert_allclose(face.points, np.tile([150, 90], (5, 1)), atol=1)
  assert abs(face.pose.roll - np.radians(degrees)) < 0.05


def test_hanging_faces_are_found_in_frames_upside_down():
  frame = marked(np.zeros((200, 300, 3), np.uint8), np.radians(170))
  assert looking.look(dots, [frame], [0]) == {0: []}
  found = looking.look_upside_down(dots, [np.zeros_like(frame), frame], [1])
  assert list(found) == [1]
  (face,) = found[1]
  np.testing.assert_allclose([face.pose.x, face.pose.y], [150, 90], atol=1)
  np.testing.assert_allclose(face.points, np.tile([150, 90], (5, 1)), atol=1)
  assert abs(face.pose.roll - np.radians(170)) < 0.05
  (face,) = looking.look_harder(dots, frame)
  assert abs(face.pose.roll - np.radians(170)) < 0.05


def test_enlarged_parts_are_looked_at_where_the_frame_is_large():
  frame = marked(np.zeros((200, 300, 3), np.uint8), 0.0)

  def short_sighted(frames):
    return dots(frames) if max(frames.shape[1:3]) < 200 else [[] for _ in frames]

  (face,) = looking.look_harder(short_sighted, frame)
  np.testing.assert_allclose([face.pose.x, face.pose.y], [150, 90], atol=1)
  assert looking.look_harder(short_sighted, frame[:100, :120]) == []


def test_where_four_parts_show_nothing_nine_smaller_ones_are_looked_at():
  frame, asked = marked(np.zeros((300, 400, 3), np.uint8), 0.0), []

  def short_sighted(frames):
    asked.append(len(frames))
    return dots(frames) if max(frames.shape[1:3]) < 200 else [[] for _ in frames]

  (face,) = looking.look_harder(short_sighted, frame)
  np.testing.assert_allclose([face.pose.x, face.pose.y], [150, 90], atol=1)
  assert asked == [4, 9, 1, 1, 1]  # And the turned ones.


def only_enlarged(frames):
  """Finds the red dot in images of at most 100 pixels along a side."""
  return dots(frames) if max(frames.shape[1:3]) <= 100 else [[] for _ in frames]


@pytest.mark.parametrize(('x', 'y'), [(150, 90), (160, 95), (142, 80)])
def test_a_small_face_is_found_in_the_part_around_where_it_should_be(x, y):
  frame = marked(np.zeros((200, 300, 3), np.uint8), 0.0)
  assert only_enlarged(frame[None]) == [[]]
  (face,) = looking.look_around(only_enlarged, frame, Pose(x, y, 24.0, 0.0))
  np.testing.assert_allclose([face.pose.x, face.pose.y], [150, 90], atol=1)
  np.testing.assert_allclose(face.points, np.tile([150, 90], (5, 1)), atol=1)


@pytest.mark.parametrize('pose', [(150, 90, 60.0), (-70, 90, 24.0), (150, 290, 24.0)])
def test_nothing_is_looked_at_around_large_faces_or_beyond_the_frame(pose):
  def finder(frames):
    raise AssertionError('It was asked.')

  frame = np.zeros((200, 300, 3), np.uint8)
  assert looking.look_around(finder, frame, Pose(*pose, 0.0)) == []
