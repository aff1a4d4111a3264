"""Classes, regions and masks from landmarks."""

import os
import pathlib
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import CubicSpline

from tfds_300vw import annotations, face_mask
from tfds_300vw.face_mask import landmarks_to_mask, polygons


def frontal_face():
  """A face of 200 pixels, drawn by hand: [68, 2]."""
  angles = np.linspace(np.pi, 0, 17)
  jaw = np.stack([150 + 100 * np.cos(angles), 120 + 140 * np.sin(angles)], axis=1)
  brows = [[60 + 16 * i, 100 - 8 * np.sin(i * np.pi / 4)] for i in range(5)]
  brows += [[176 + 16 * i, 100 - 8 * np.sin(i * np.pi / 4)] for i in range(5)]
  nose = [[150, 120 + 10 * i] for i in range(4)] + [[135 + 7 * i, 165] for i in range(5)]
  lids = np.array([[0, 0], [10, -6], [20, -6], [30, 0], [20, 6], [10, 6]])
  eyes = [*(lids + [85, 125]), *(lids + [185, 125])]
  outer = [[110, 200], [125, 190], [140, 186], [150, 190], [160, 186], [175, 190], [190, 200]]
  outer += [[175, 215], [160, 222], [150, 223], [140, 222], [125, 215]]
  inner = [[118, 200], [138, 197], [150, 198], [162, 197], [182, 200], [162, 208], [150, 210]]
  inner += [[138, 208]]
  return np.array([*jaw, *brows, *nose, *eyes, *outer, *inner], np.float64)


def spline(points):
  """The curve as the reference words it."""
  last = len(points) - 1
  return CubicSpline(np.arange(last + 1), points, bc_type='not-a-knot')(
    np.linspace(0, last, last * 100 + 1)
  )


def numbered(landmarks, *numbers):
  """Landmarks by their published numbers, from 1."""
  return landmarks[np.array(numbers) - 1]


def span(first, last):
  return range(first, last + 1)


def test_outlines_are_those_of_scipy_in_the_published_order():
  face = frontal_face() + np.random.default_rng(0).normal(0, 3, (68, 2))
  joined = [
    [
      spline(numbered(face, *span(1, 17))),
      spline(numbered(face, *span(23, 27)))[::-1],
      spline(numbered(face, *span(18, 22)))[::-1],
    ],
    [spline(numbered(face, *span(37, 40))), spline(numbered(face, 40, 41, 42, 37))],
    [spline(numbered(face, *span(43, 46))), spline(numbered(face, 46, 47, 48, 43))],
    [
      spline(numbered(face, *span(49, 52))),
      spline(numbered(face, *span(52, 55))),
      spline(numbered(face, *span(55, 60), 49)),
    ],
    [spline(numbered(face, *span(61, 65))), spline(numbered(face, *span(65, 68), 61))],
  ]
  for ours, parts in zip(polygons(face), joined, strict=True):
    # Joined by straight lines: ours has points on them, which change nothing.
    for theirs in np.concatenate(parts):
      assert np.abs(ours - theirs).sum(axis=1).min() < 1e-9
    np.testing.assert_allclose(area(ours), area(np.concatenate(parts)), rtol=1e-9)


def area(outline):
  x, y = outline.T
  return abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def test_a_spline_through_points_of_a_cubic_is_that_cubic():
  def cubic(t):
    return np.stack([10 * t, 0.01 * t**3 - 0.2 * t**2 + t], axis=-1)

  face = frontal_face()
  face[:17] = cubic(np.arange(17.0))
  jaw = polygons(face)[0][:1600]
  np.testing.assert_allclose(jaw, cubic(np.arange(1600) / 100), atol=1e-9)


def test_every_class_lies_where_the_face_has_it():
  labels = landmarks_to_mask(frontal_face(), 300, 320)
  assert labels.dtype == np.uint8
  assert labels.shape == (300, 320)
  # Forehead, chin, nose, both eyes, upper lip, between the lips, lower lip, beside the face.
  rows = [60, 250, 150, 125, 125, 193, 203, 217, 200]
  columns = [150, 150, 150, 100, 200, 140, 150, 150, 30]
  assert labels[rows, columns].tolist() == [0, 1, 1, 2, 2, 3, 4, 3, 0]


def test_each_class_has_the_area_of_its_outlines():
  face, left, right, outer, inner = map(area, polygons(frontal_face()))
  counts = np.bincount(landmarks_to_mask(frontal_face(), 320, 320).ravel(), minlength=5)
  expected = [face - left - right - outer, left + right, outer - inner, inner]
  np.testing.assert_allclose(counts[1:], expected, rtol=0.02)


def test_later_parts_are_painted_over_earlier_ones():
  # Eyes and inner mouth moved onto the outer mouth: eyes < outer mouth < inner mouth.
  face = frontal_face()
  face[36:42] += [150, 215] - face[36:42].mean(axis=0)
  labels = landmarks_to_mask(face, 320, 320)
  assert labels[214, 150] == 3
  face[60:68] += [0, 12]
  assert landmarks_to_mask(face, 320, 320)[214, 150] == 4


def test_eyes_outside_the_skin_are_still_eyes():
  face = frontal_face()
  face[36:42] -= [0, 90]
  assert landmarks_to_mask(face, 320, 320)[35, 100] == 2


@given(st.integers(-400, 400), st.integers(-400, 400), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_moving_the_face_by_whole_pixels_moves_its_mask(right, down, seed):
  # Sixteenths of pixels keep the sums of coordinates exact.
  noise = np.random.default_rng(seed).normal(0, 4, (68, 2))
  face = np.round((frontal_face() + noise) * 16) / 16
  height, width, border = 120, 100, 1000
  whole = landmarks_to_mask(face + border, 2 * border + 300, 2 * border + 320)
  moved = landmarks_to_mask(face + [right, down], height, width)
  rows, columns = border - down, border - right
  expected = whole[rows : rows + height, columns : columns + width]
  # Equal but for centres on an outline to within rounding.
  assert (moved != expected).sum() <= 2


def test_all_landmarks_in_one_point_give_an_empty_mask():
  assert not landmarks_to_mask(np.full((68, 2), 7.3), 20, 20).any()
  assert not landmarks_to_mask(np.full((68, 2), 7.0), 20, 20).any()


def test_a_face_around_the_image_covers_it():
  face = (frontal_face() - [150, 150]) * 1000 + [10, 10]
  np.testing.assert_array_equal(landmarks_to_mask(face, 20, 20), 1)


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf, 1e300])
def test_landmarks_that_are_no_pixels_are_an_error(value):
  face = frontal_face()
  face[30, 1] = value
  with pytest.raises(ValueError, match='finite'):
    landmarks_to_mask(face, 10, 10)


def test_another_number_of_landmarks_is_an_error():
  with pytest.raises(ValueError, match=re.escape('[68, 2], not [66, 2]')):
    landmarks_to_mask(np.zeros((66, 2)), 10, 10)


def test_regions_number_their_own_classes():
  labels = np.array([[0, 1, 2, 3, 4]])
  assert face_mask.region_labels(labels, 'primary').tolist() == [[0, 1, 2, 3, 4]]
  assert face_mask.region_labels(labels, 'eyes').tolist() == [[0, 0, 1, 0, 0]]
  assert face_mask.region_labels(labels, 'mouth').tolist() == [[0, 0, 0, 1, 2]]
  assert face_mask.class_names('eyes') == ('background', 'eyes')
  assert face_mask.class_names('mouth') == ('background', 'outer_mouth', 'inner_mouth')


@pytest.mark.parametrize('region', face_mask.REGIONS)
def test_a_regions_labels_survive_the_way_to_the_face_and_back_and_through_colours(region):
  labels = np.arange(len(face_mask.class_names(region)), dtype=np.uint8)
  back = face_mask.region_labels(face_mask.face_labels(labels, region), region)
  np.testing.assert_array_equal(back, labels)
  image = face_mask.to_color(labels, region)
  assert image.dtype == np.uint8
  np.testing.assert_array_equal(face_mask.from_color(image, region), labels)


def test_colours_are_those_of_the_paper_in_every_region():
  black, red, green = [0, 0, 0], [255, 0, 0], [0, 255, 0]
  cyan, blue = [0, 255, 255], [0, 0, 255]
  assert face_mask.to_color(np.arange(5)).tolist() == [black, red, green, cyan, blue]
  assert face_mask.to_color(np.arange(2), 'eyes').tolist() == [black, green]
  assert face_mask.to_color(np.arange(3), 'mouth').tolist() == [black, cyan, blue]


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_any_other_colour_is_an_error_that_says_which_and_where(color):
  image = np.zeros((4, 6, 3), np.uint8)
  image[2, 5] = color
  if list(color) in face_mask.COLORS.tolist():
    assert face_mask.from_color(image)[2, 5] == face_mask.COLORS.tolist().index(list(color))
  else:
    with pytest.raises(ValueError, match=re.escape(f'Colour {color} at (2, 5)')):
      face_mask.from_color(image)


def test_skin_is_no_colour_of_the_eyes():
  with pytest.raises(ValueError, match=r"\(255, 0, 0\) at \(0,\).*'eyes'"):
    face_mask.from_color(face_mask.COLORS[[1, 2]], 'eyes')


@pytest.mark.parametrize('image', [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.uint8(3)])
def test_an_image_that_is_not_rgb_is_an_error(image):
  with pytest.raises(ValueError, match='Expected RGB'):
    face_mask.from_color(image)


@pytest.mark.parametrize('labels', [np.array([5]), np.array([-1]), np.array([0.0])])
def test_labels_that_do_not_exist_are_an_error(labels):
  with pytest.raises(ValueError, match='Labels must'):
    face_mask.to_color(labels)
  with pytest.raises(ValueError, match='Labels must'):
    face_mask.region_labels(labels, 'eyes')


def test_an_unknown_region_is_an_error_that_lists_them():
  with pytest.raises(ValueError, match="'nose'; choose one of primary, eyes, mouth"):
    face_mask.region_labels(np.zeros(1, int), 'nose')


@pytest.mark.skipif('FMX_REAL_DATA' not in os.environ, reason='FMX_REAL_DATA names no real data')
def test_real_faces_have_skin_and_lips_everywhere_and_eyes_almost_everywhere():
  paths = sorted(pathlib.Path(os.environ['FMX_REAL_DATA']).glob('stills/*/*.pts'))
  assert paths
  found = np.array(
    [
      np.bincount(landmarks_to_mask(annotations.read_pts(p), 600, 600).ravel(), minlength=5) > 0
      for p in paths[::20]
    ]
  )
  assert found[:, [1, 3]].all()
  assert found[:, 2].mean() > 0.9  # Closed eyes are annotated as a line and have no pixel.
