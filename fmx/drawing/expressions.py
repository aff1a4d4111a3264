"""How faces move: displacements of skin and landmarks for each expression, and the lids."""

import numpy as np

from fmx.drawing import anatomy

EXPRESSIONS = (
  'jaw',
  'smile_left',
  'smile_right',
  'pucker',
  'brow_left',
  'brow_right',
  'frown',
  'upper_lip',
)


def basis(points: np.ndarray) -> np.ndarray:
  """Displacement of each point by each of `EXPRESSIONS`: [expressions, ..., 3]."""
  x, y, z = np.moveaxis(points, -1, 0)
  side = np.sign(x)
  basis = np.zeros((len(EXPRESSIONS), *points.shape), np.float32)

  def near(x0: float, y0: float, sx: float, sy: float) -> np.ndarray:
    return np.exp(-(((np.abs(x) - x0) / sx) ** 2) / 2 - ((y - y0) / sy) ** 2 / 2) * (z > 0)

  # The neck (y > 1.1 or far behind the chin) follows less and less.
  jaw = (
    anatomy.smoothstep(y, 0.56, 0.72)
    * np.clip(z / 0.7, 0, 1)
    * (1 - anatomy.smoothstep(y, 1.0, 1.5))
  )
  basis[0, ..., 1], basis[0, ..., 2] = 0.3 * jaw, -0.1 * jaw
  corner = near(0.24, 0.62, 0.11, 0.1)
  cheek = near(0.36, 0.36, 0.12, 0.13)
  for index, sign in ((1, -1), (2, 1)):
    here = corner * (side == sign)
    basis[index, ..., 0] = 0.085 * here * side
    basis[index, ..., 1] = -0.06 * here - 0.03 * cheek * (side == sign)
    basis[index, ..., 2] = -0.05 * here + 0.045 * cheek * (side == sign)
  basis[3, ..., 0] = -0.09 * corner * side
  basis[3, ..., 2] = 0.05 * near(0, 0.63, 0.15, 0.09)
  lifted = near(0.3, -0.19, 0.24, 0.09)
  for index, sign in ((4, -1), (5, 1)):
    basis[index, ..., 1] = -0.075 * lifted * anatomy.smoothstep(side * x * (side == sign), 0, 0.1)
  inner_brow = near(0.1, -0.15, 0.09, 0.08)
  basis[6, ..., 0], basis[6, ..., 1] = -0.03 * inner_brow * side, 0.045 * inner_brow
  basis[7, ..., 1] = -0.05 * near(0, 0.58, 0.11, 0.05)
  return basis


def landmark_basis(landmarks: np.ndarray) -> np.ndarray:
  """The same as `basis` for landmarks [68, 3], except that lips part instead of stretching."""
  moves = basis(landmarks)
  jaw_weights = np.zeros(20)  # How far each landmark of the mouth follows the jaw.
  jaw_weights[[0, 6, 12, 16]] = 0.42
  jaw_weights[[7, 11]] = 0.86
  jaw_weights[[8, 9, 10]] = 1.0
  jaw_weights[[17, 18, 19]] = 0.97, 1.0, 0.97
  moves[0, 48:, 1], moves[0, 48:, 2] = 0.3 * jaw_weights, -0.1 * jaw_weights
  # Opening also draws the corners in a little and lifts the upper lip.
  moves[0, [48, 60], 0], moves[0, [54, 64], 0] = 0.05, -0.05
  moves[0, [50, 51, 52, 61, 62, 63], 1] = -0.022
  moves[0, [49, 53], 1] = -0.01
  moves[7, 48:, 1] = 0
  moves[7, [50, 51, 52, 61, 62, 63], 1] = -0.05
  moves[7, [49, 53], 1] = -0.035
  return moves


def close_lids(landmarks: np.ndarray, first: int, openness: float) -> None:
  """Moves the lids of the eye whose landmarks start at `first`, in place."""
  upper, lower = landmarks[first + 1 : first + 3], landmarks[[first + 5, first + 4]]
  closed = lower * [1, 0.75, 1] + landmarks[[first, first + 3]] * [0, 0.25, 0]
  closed[:, 0] = upper[:, 0] * 0.7 + lower[:, 0] * 0.3
  gap = np.maximum(lower[:, 1] - upper[:, 1], 0)
  landmarks[first + 1 : first + 3] = closed + (upper - closed) * max(openness, 0.03)
  lower_lid = [first + 5, first + 4]
  landmarks[lower_lid, 1] -= gap * 0.12 * np.clip(1 - openness, 0, 1)
  lowest = landmarks[lower_lid, 1] - 0.03 * gap  # Closed lids touch but never cross.
  landmarks[first + 1 : first + 3, 1] = np.minimum(landmarks[first + 1 : first + 3, 1], lowest)
