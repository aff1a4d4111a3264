import functools
import os
import pathlib
import pickle

import cv2
import numpy as np
import pytest

from fmx.drawing.videos import draw_video
from fmx.finding import detection
from fmx.finding.detection import FaceDetector
from tfds_300vw import boxes, video
from tfds_300vw.annotations import read_pts


@functools.cache
def drawn(index, size=200):
  frame, landmarks = next(draw_video(0, index, 1, size=size))
  return frame, boxes.face_box(landmarks, *frame.shape[:2])


def iou(box, other):
  low, high = np.maximum(box[:2], other[:2]), np.minimum(box[2:], other[2:])
  shared = np.prod(np.maximum(high - low, 0))
  return shared / (detection.area(box) + detection.area(other) - shared)


@pytest.mark.parametrize('index', [2, 4, 5])
def test_a_drawn_face_is_boxed_as_its_landmarks_would_be(index):
  frame, box = drawn(index)
  (face,) = FaceDetector()(frame)
  assert face.box.dtype == np.int64
  assert iou(face.box, box) > 0.65


def test_two_faces_are_found_the_largest_first():
  (large, large_box), (small, small_box) = drawn(4), drawn(5, size=120)
  canvas = np.full((220, 500, 3), 128, np.uint8)
  canvas[: large.shape[0], 250 : 250 + large.shape[1]] = large
  canvas[: small.shape[0], : small.shape[1]] = small
  faces = FaceDetector()(canvas)
  assert [iou(faces[0].box, large_box + (250, 0, 250, 0)) > 0.5, iou(faces[1].box, small_box) > 0.5]
  assert len(faces) == 2
  assert detection.area(faces[0].box) > detection.area(faces[1].box)


def test_a_small_face_in_a_large_frame_is_found():
  face, box = drawn(5)  # 113 pixels.
  canvas = np.full((1080, 1920, 3), 90, np.uint8)
  canvas[500 : 500 + face.shape[0], 900 : 900 + face.shape[1]] = face
  (found,) = FaceDetector()(canvas)
  assert iou(found.box, box + (900, 500, 900, 500)) > 0.5


def test_a_face_without_contrast_and_a_tilted_face_are_found_by_the_other_tries():
  frame, box = drawn(5)
  dark = (frame // 12).astype(np.uint8)
  assert iou(FaceDetector()(dark)[0].box, box) > 0.5
  height, width = frame.shape[:2]
  turn = cv2.getRotationMatrix2D((width / 2, height / 2), 35, 1.0)
  tilted = cv2.warpAffine(frame, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
  centre = turn[:, :2] @ ((box[:2] + box[2:]) / 2) + turn[:, 2]
  found = FaceDetector()(tilted)[0].box
  assert np.abs((found[:2] + found[2:]) / 2 - centre).max() < 0.25 * (box[2] - box[0])


@pytest.mark.parametrize('shape', [(60, 80), (1, 1), (5, 300)])
def test_nothing_is_found_where_nothing_is(shape):
  noise = np.random.default_rng(0).integers(0, 255, (*shape, 3), dtype=np.uint8)
  assert FaceDetector()(noise) == []
  assert FaceDetector()(np.zeros((*shape, 3), np.uint8)) == []


def test_the_same_frame_gives_the_same_faces_after_pickling():
  frame, _ = drawn(5)
  detector = FaceDetector()
  (first,) = detector(frame)
  state = pickle.dumps(detector)
  (again,) = pickle.loads(state)(frame)
  assert first.score == again.score
  np.testing.assert_array_equal(first.box, again.box)
  assert len(state) < 200  # The cascades do not travel.


def test_a_window_becomes_a_crop_around_eyebrows_and_chin():
  # Side 100: the crop is 111 wide, its centre 15 lower: y from 150 + 15 - 55.5 = 109.5.
  box = detection.crop_of(np.array([100.0, 100, 200, 200]), 1000, 1000)
  np.testing.assert_array_equal(box, [95, 110, 206, 221])
  box = detection.crop_of(np.array([-10.0, 100, 90, 200]), 1000, 1000)
  np.testing.assert_array_equal(box, [0, 110, 96, 221])


def test_windows_are_put_together_by_place_and_size():
  near = np.array([[0.0, 0, 10, 10], [1, 1, 11, 11], [2, 2, 12, 12]])
  hits = np.concatenate([near, [[0, 0, 20, 20]], near + 50])
  found = sorted((window.tolist(), count) for window, count in detection.groups(hits))
  assert found == [
    ([0.0, 0.0, 20.0, 20.0], 1),
    ([1.0, 1.0, 11.0, 11.0], 3),
    ([51.0, 51.0, 61.0, 61.0], 3),
  ]


def test_windows_of_the_mirrored_image_are_mirrored_back():
  # Of 100 pixels: x from 10 to 30 becomes 70 to 90.
  hits = np.array([[10.0, 5, 30, 25]])
  assert detection.mirror(hits, 100).tolist() == [[70, 5, 90, 25]]
  assert detection.mirror(np.empty((0, 4)), 100).shape == (0, 4)


def test_overlap_is_of_the_smaller_box():
  # 5 x 10 shared pixels; the smaller box has 100.
  assert detection.overlap(np.array([0, 0, 10, 10]), np.array([5, 0, 105, 100])) == 0.5
  assert detection.overlap(np.array([0, 0, 10, 10]), np.array([10, 0, 20, 10])) == 0


def test_a_detector_that_needs_no_hit_is_refused():
  with pytest.raises(ValueError, match='min_hits is 0'):
    FaceDetector(min_hits=0)


@pytest.mark.skipif('FMX_REAL_DATA' not in os.environ, reason='FMX_REAL_DATA names no real faces')
@pytest.mark.parametrize('name', ['003', '014', '033', '055'])
def test_real_faces_are_found_and_nothing_else(name):
  folder = pathlib.Path(os.environ['FMX_REAL_DATA'], '300VW_mini', name)
  frame = next(iter(video.read_frames(folder / 'vid.avi'))).image
  landmarks = read_pts(folder / 'annot' / '000001.pts')
  (face,) = FaceDetector()(frame)
  assert iou(face.box, boxes.face_box(landmarks, *frame.shape[:2])) > 0.6


@pytest.mark.skipif('FMX_REAL_DATA' not in os.environ, reason='FMX_REAL_DATA names no real faces')
@pytest.mark.parametrize('name', ['111287440_1', '150557677_1'])
@pytest.mark.parametrize('mirrored', [False, True])
def test_a_real_face_in_profile_is_found_whichever_way_it_looks(name, mirrored):
  path = pathlib.Path(os.environ['FMX_REAL_DATA'], 'stills', 'helen', f'{name}.jpg')
  frame = cv2.imread(str(path))[..., ::-1]
  height, width = frame.shape[:2]
  x0, y0, x1, y1 = boxes.face_box(read_pts(path.with_suffix('.pts')), height, width)
  box = np.array([width - x1, y0, width - x0, y1] if mirrored else [x0, y0, x1, y1])
  (face,) = FaceDetector()(frame[:, ::-1] if mirrored else frame)
  assert iou(face.box, box) > 0.4
