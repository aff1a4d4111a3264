import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmx.baselines.permutohedral import Lattice, _numbered, _simplices, _sorted


def gaussian_sums(points, values):
  """What a lattice approximates, up to a factor."""
  distances = ((points[:, None] - points) ** 2).sum(axis=-1)
  return np.exp(-distances / 2) @ values


def draw(seed, number, d, spread=4.0):
  rng = np.random.default_rng(seed)
  return rng.uniform(0, spread, (number, d)), rng.uniform(size=(number, 2))


def corners_of(points):
  """All d + 1 coordinates of each point's corners, by the definition of the canonical simplex."""
  nearest, rank, weights = _simplices(np.asarray(points, np.float32).T)
  size = len(nearest)
  corners = np.array(
    [size * nearest + k - size * (rank >= size - k) for k in range(size)]
  )  # Corner, coordinate, point.
  return corners, weights


@pytest.mark.parametrize('d', [1, 2, 5])
def test_a_point_is_the_weighted_mean_of_its_corners(d):
  points, _ = draw(0, 300, d, spread=20.0)
  corners, weights = corners_of(points)
  assert not corners.sum(axis=1).any()  # All lie on the hyperplane.
  assert weights.min() > -1e-5
  np.testing.assert_allclose(weights.sum(axis=0), 1, atol=1e-5)
  found = (corners * weights[:, None]).sum(axis=0).T
  # The hyperplane has another basis; lengths stay in proportion to those of the points.
  found, points = (np.linalg.norm(x[1:] - x[0], axis=1) for x in (found, points))
  np.testing.assert_allclose(found / points, (d + 1) * np.sqrt(2 / 3), rtol=1e-3)


@given(seed=st.integers(0, 99), d=st.integers(1, 5))
@settings(max_examples=20)
def test_numbers_tell_corners_apart_and_steps_lead_to_neighbours(seed, d):
  points, _ = draw(seed, 40, d, spread=6.0)
  corners, _ = corners_of(points)
  nearest, rank, _ = _simplices(points.astype(np.float32).T)
  numbers, steps = _numbered(nearest, rank)
  places = {}
  for corner in range(d + 1):
    for point in range(40):
      place = tuple(corners[corner, :, point].tolist())
      assert places.setdefault(place, numbers[corner, point]) == numbers[corner, point]
  assert len(set(places.values())) == len(places)
  for place, number in places.items():
    for axis, step in enumerate(steps):
      other = tuple(x + (d if i == axis else -1) for i, x in enumerate(place))
      if other in places:
        assert places[other] == number + step
      else:
        assert number + step not in places.values()


@given(st.lists(st.integers(-(2**40), 2**40) | st.integers(-3, 3), min_size=1, max_size=70))
def test_numbers_are_sorted_with_their_places(numbers):
  numbers = np.array(numbers)
  unique, order, ends = _sorted(numbers)
  expected, first, counts = np.unique(numbers, return_index=True, return_counts=True)
  np.testing.assert_array_equal(unique, expected)
  np.testing.assert_array_equal(numbers[order], np.repeat(expected, counts))
  np.testing.assert_array_equal(np.diff(ends), counts)
  np.testing.assert_array_equal(order[ends[:-1]], first)  # Of equal ones the first comes first.


@pytest.mark.parametrize(('d', 'tolerance'), [(1, 0.03), (2, 0.05), (3, 0.08), (5, 0.2)])
def test_a_filter_is_a_sum_of_gaussians_up_to_a_factor(d, tolerance):
  points, values = draw(1, 1500, d)
  ratio = Lattice(points)(values) / gaussian_sums(points, values)
  assert ratio.std() / ratio.mean() < tolerance


def test_one_dimension_by_hand():
  # d = 1: x is at (x, -x) · 2 sqrt(2/3) / sqrt(2) = (1.1547 x, -1.1547 x). Steps are (1, -1) and
  # (-1, 1), so corners are sqrt(3) / 2 apart, and points there lie on them. Blurring along the two
  # axes is twice the same: of 1 and 0 the first leaves 1 and 1/2, the second 1 + 1/4 and 1/2 + 1/2.
  apart = np.sqrt(3) / 2
  found = Lattice(np.array([[0.0], [apart]]))(np.array([[1.0], [0.0]]))
  np.testing.assert_allclose(found, [[1.25], [1.0]], atol=1e-4)
  # Far apart nothing gets from one to the other: corners that are near no point are not there.
  found = Lattice(np.array([[0.0], [2 * apart + 10]]))(np.array([[1.0], [0.0]]))
  np.testing.assert_allclose(found, [[1.25], [0.0]], atol=1e-4)


def test_filtering_is_linear_and_symmetric():
  points, values = draw(2, 200, 5)
  lattice = Lattice(points)
  other = values[::-1]
  np.testing.assert_allclose(
    lattice(2 * values + other), 2 * lattice(values) + lattice(other), rtol=1e-4
  )
  # <u, F v> = <F u, v> up to the order of the axes, along which it is blurred one by one.
  one, two = (lattice(values) * other).sum(), (values * lattice(other)).sum()
  assert one == pytest.approx(two, rel=1e-2)


def test_points_in_one_place_and_a_single_point():
  found = Lattice(np.ones((3, 5)))(np.array([[1.0], [2.0], [4.0]]))
  np.testing.assert_allclose(found, np.tile(found[0], (3, 1)), rtol=1e-6)
  single = Lattice(np.ones((1, 5)))(np.array([[1.0]]))
  np.testing.assert_allclose(found[:1], 7 * single, rtol=1e-5)


def test_points_too_far_apart_get_one_sentence():
  with pytest.raises(ValueError, match='make deviations larger'):
    Lattice(np.random.default_rng(0).uniform(0, 1e5, (50, 5)))
