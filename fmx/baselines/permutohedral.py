"""The permutohedral lattice (Adams, Baek, Davis 2010): Gaussian filters in several dimensions.

Points are spread over the corners of the simplices around them, the corners blurred along each axis
of the lattice, and read again at the points. The cost grows with points and dimensions, not with
the width of the Gaussian.
"""

import numpy as np
from scipy import sparse


class Lattice:
  """A Gaussian filter over fixed points, of deviation 1 in each dimension, up to a factor.

  It approximates sum_j exp(-|f_i - f_j|^2 / 2) v_j, j = i included. Attributes are its parts:
  `splat`, sparse [M, N], from N points to the M corners around them, `slice`, its transpose, and
  `before` and `after`, for each axis the neighbours of each corner, int32 [d + 1, M]; M where there
  is none.
  """

  def __init__(self, points: np.ndarray):
    """Finds the corners around the points.

    Args:
      points: f, [N, d].

    Raises:
      ValueError: they are spread over more deviations than a lattice of d dimensions can number.
    """
    nearest, rank, weights = _simplices(np.asarray(points, np.float32).T)
    numbers, steps = _numbered(nearest, rank)
    size, number = weights.shape
    weights = weights.T.ravel()
    unique, order, ends = _sorted(numbers.T.ravel())
    index = np.empty(len(order), np.int32)
    index[order] = np.repeat(np.arange(len(unique), dtype=np.int32), np.diff(ends))
    # A point's corners are all different, so there are no two entries in one place.
    entries = weights, index, size * np.arange(number + 1)
    self.slice = sparse.csr_array(entries, shape=(number, len(unique)))
    entries = weights[order], order // size, ends
    self.splat = sparse.csr_array(entries, shape=(len(unique), number))
    self.before, self.after = _neighbours(unique, steps)

  def __call__(self, values: np.ndarray) -> np.ndarray:
    """Filters values [N, C]; returns them in the same shape, float32.

    The corners are blurred fastest where 4 C is a power of two: NumPy takes such rows whole.
    """
    found = self.splat @ np.asarray(values, np.float32)
    found = np.concatenate([found, np.zeros_like(found[:1])])  # What is beyond the corners.
    for before, after in zip(self.before, self.after):
      blurred = found.take(before, axis=0)
      blurred += found.take(after, axis=0)
      blurred *= 0.5
      found[:-1] += blurred
    return self.slice @ found[:-1]


def _simplices(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """The simplex around each point.

  Args:
    points: [d, N].

  Returns:
    Its corner whose coordinates are multiples of d + 1, over d + 1, int32 [d + 1, N] (they add up
    to 0); the rank of each coordinate of the point less those of that corner, the largest first,
    int32 [d + 1, N]; and the weights of the d + 1 corners, float32 [d + 1, N], which add up to 1.
  """
  d = len(points)
  axes = np.arange(1, d + 1)[:, None]
  # Onto the hyperplane of coordinates that add up to 0, so scaled that splatting, blurring and
  # slicing together have deviation 1.
  scaled = points * ((d + 1) * np.sqrt(2 / 3) / np.sqrt(axes * (axes + 1))).astype(np.float32)
  elevated = np.zeros((d + 1, points.shape[1]), np.float32)
  for axis in reversed(range(d)):
    elevated[axis] = elevated[axis + 1] + scaled[axis]
  elevated[1:] -= axes.astype(np.float32) * scaled
  elevated /= d + 1
  nearest = np.round(elevated)
  offset = elevated - nearest
  rank = np.repeat(nearest.sum(axis=0, keepdims=True).astype(np.int32), d + 1, axis=0)
  for one in range(d + 1):
    for other in range(one):
      is_behind = offset[other] >= offset[one]
      rank[one] += is_behind
      rank[other] += ~is_behind
  # If coordinates do not add up to 0, those that are farthest off go on to the next multiple.
  wrap = (rank < 0).astype(np.int32) - (rank > d)
  nearest += wrap
  rank += (d + 1) * wrap
  in_order = np.empty_like(offset)
  np.put_along_axis(in_order, rank, elevated - nearest, axis=0)
  weights = np.empty_like(offset)
  weights[1:] = (in_order[:-1] - in_order[1:])[::-1]
  weights[0] = 1 - weights[1:].sum(axis=0)
  return nearest.astype(np.int32), rank, weights


def _numbered(nearest: np.ndarray, rank: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """A number for each corner such that a step along an axis always adds the same.

  The corner k of a simplex has k more in each coordinate than corner 0, and d + 1 less than that in
  the k coordinates that come last by rank.

  Args:
    nearest: From `_simplices`.
    rank: Likewise.

  Returns:
    The numbers of the corners, int64 [d + 1, N], and what steps along the d + 1 axes add, int64
    [d + 1].

  Raises:
    ValueError: numbers would be too large.
  """
  size = len(nearest)  # d + 1.
  extent = [int(of.max()) - int(of.min()) + 4 for of in nearest[:-1]]  # With all neighbours.
  # Multiples of d + 1, so that the strides add up to one more than such a multiple, and the
  # remainder of a number says which corner of a simplex it is of.
  places = np.cumprod([1.0, *(size * -(-n // size) for n in extent)])
  if size * places[-1] * rank.size >= 2**61:
    raise ValueError(
      f'{rank.shape[1]} points are spread over {places[-1]:.0e} places of a lattice: make '
      'deviations larger.'
    )
  strides = np.append(places[:-1].astype(np.int64), 0)  # The last coordinate follows from others.
  first = size * np.einsum('dn,d->n', nearest.astype(np.int64), strides)
  by_rank = np.empty(rank.shape, np.int64)
  np.put_along_axis(by_rank, rank, np.broadcast_to(strides[:, None], rank.shape), axis=0)
  corners = np.empty(rank.shape, np.int64)
  corners[0] = first
  for k in range(1, size):
    corners[k] = corners[k - 1] - size * by_rank[size - k] + strides.sum()
  # Along an axis its own coordinate grows by d, and every other falls by 1.
  return corners, size * strides - strides.sum()


def _sorted(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Sorts numbers [n], each together with its place, in one integer: twice as fast as by argsort.

  Returns:
    The M different numbers, ascending; the places of all in that order, int64 [n]; and where in it
    each of the M begins, with n at the end, [M + 1].
  """
  low, bits = numbers.min(), len(numbers).bit_length()
  together = (numbers - low) << bits
  together |= np.arange(len(numbers))
  together.sort()
  order = together & ((1 << bits) - 1)
  together >>= bits
  starts = np.flatnonzero(np.diff(together, prepend=-1))
  return together[starts] + low, order, np.append(starts, len(numbers))


def _neighbours(unique: np.ndarray, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """The places of each corner's neighbours among the sorted numbers, M where there is none."""
  size = len(unique)
  before, after = np.full((2, len(steps), size), size, np.int32)
  for axis, step in enumerate(steps):
    place = np.searchsorted(unique, unique + step)
    there = np.flatnonzero(unique[np.minimum(place, size - 1)] == unique + step)
    after[axis, there] = place[there]
    before[axis, place[there]] = there
  return before, after
