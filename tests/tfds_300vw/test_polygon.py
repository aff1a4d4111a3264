"""The polygon fill against exact arithmetic."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfds_300vw.polygon import fill

# Whole numbers of quarter pixels, in and around an image of 9 x 11: pixel centres are met often.
QUARTERS = st.tuples(st.integers(-24, 68), st.integers(-24, 60))
OUTLINES = st.lists(
  st.lists(QUARTERS, min_size=1, max_size=9).map(np.array), min_size=1, max_size=8
)


def brute_force(quarters, height, width):
  """Even-odd point in polygon for every pixel, exact in whole numbers."""
  rows, columns = 4 * np.mgrid[:height, :width]
  inside = np.zeros((height, width), bool)
  for ends in zip(quarters, np.roll(quarters, -1, axis=0)):
    (x0, y0), (x1, y1) = sorted(map(tuple, ends))
    crosses = (x0 <= columns) & (columns < x1)
    # The crossing y0 + (column - x0) * (y1 - y0) / (x1 - x0) lies at or above the row.
    inside ^= crosses & ((columns - x0) * (y1 - y0) <= (rows - y0) * (x1 - x0))
  return inside


@given(OUTLINES)
@settings(max_examples=200, deadline=None)
def test_each_bit_is_the_even_odd_rule_of_its_polygon(outlines):
  bits = fill([outline / 4 for outline in outlines], 9, 11)
  for position, outline in enumerate(outlines):
    np.testing.assert_array_equal(bits >> position & 1, brute_force(outline, 9, 11))


def test_a_rectangle_owns_its_left_and_upper_edge():
  # x in [2, 5), y in [1, 3): columns 2, 3, 4 and rows 1, 2.
  expected = np.zeros((5, 8), np.uint8)
  expected[1:3, 2:5] = 1
  corners = np.array([[2, 1], [5, 1], [5, 3], [2, 3.0]])
  np.testing.assert_array_equal(fill([corners], 5, 8), expected)
  np.testing.assert_array_equal(fill([corners[::-1]], 5, 8), expected)


def test_a_triangle_drawn_by_hand():
  # The long edge is y = x - 0.25 and the lower one y = 3.75: row r < 4 holds the columns c <= r.
  corners = np.array([[-0.5, -0.75], [4, 3.75], [-0.5, 3.75]])
  expected = [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1], [0, 0, 0, 0]]
  np.testing.assert_array_equal(fill([corners], 5, 4), expected)


def test_a_polygon_that_winds_twice_is_empty_inside():
  square = np.array([[1, 1], [6, 1], [6, 6], [1, 6.0]])
  assert not fill([np.concatenate([square, square])], 8, 8).any()


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_polygons_that_share_edges_share_no_pixel_and_leave_none_out(seed):
  # A fan around a point inside: its triangles tile the square.
  rng = np.random.default_rng(seed)
  rim = np.array([[-1, -1], [20, -1], [20, 17], [-1, 17.0]])
  center = rng.uniform(0, 16, 2)
  triangles = [np.array([center, rim[i], rim[(i + 1) % 4]]) for i in range(4)]
  bits = fill(triangles, 16, 19)
  np.testing.assert_array_equal(np.bitwise_count(bits), 1)


def test_an_edge_through_pixel_centres_is_rounded_alike_for_both_its_polygons():
  # The line meets (8, 8) to within rounding only, and its two polygons run along it in opposite
  # directions.
  for angle in np.linspace(0.1, 1.4, 300):
    direction = np.array([np.cos(angle), np.sin(angle)])
    low, high = 8 - 31.7 * direction, 8 + 29.3 * direction
    above, below = np.array([90, -90.0]), np.array([-90, 90.0])
    bits = fill([np.array([low, high, above]), np.array([high, low, below])], 17, 17)
    np.testing.assert_array_equal(np.bitwise_count(bits), 1)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_the_area_is_that_of_the_shoelace_formula(seed):
  rng = np.random.default_rng(seed)
  angles = np.sort(rng.uniform(0, 2 * np.pi, 40))
  radii = rng.uniform(60, 90, 40)
  x, y = 100 + radii * np.cos(angles), 100 + radii * np.sin(angles)
  area = abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
  perimeter = np.hypot(np.diff(x, append=x[0]), np.diff(y, append=y[0])).sum()
  pixels = fill([np.stack([x, y], axis=1)], 200, 200).sum()
  # Each pixel on the outline is wrong by less than one pixel, at random: far below the perimeter.
  assert abs(pixels - area) < 0.1 * perimeter


def test_what_covers_the_image_from_outside_fills_it():
  corners = np.array([[-1e8, -1e8], [1e8, -1e8], [1e8, 1e8], [-1e8, 1e8]])
  np.testing.assert_array_equal(fill([corners], 3, 5), 1)


@pytest.mark.parametrize('offset', [[-50, 0], [50, 0], [0, -50], [0, 50], [-50, -50]])
def test_what_lies_outside_leaves_the_image_empty(offset):
  corners = np.array([[1, 1], [9, 1], [5, 9.0]]) + offset
  assert not fill([corners], 12, 12).any()


@pytest.mark.parametrize('outlines', [[], [np.zeros((3, 2))] * 9, [np.zeros((0, 2))]])
def test_polygons_that_have_no_bit_or_no_point_are_an_error(outlines):
  with pytest.raises(ValueError, match='1 to 8 polygons|at least one array'):
    fill(outlines, 4, 4)
