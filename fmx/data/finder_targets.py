"""What a finder is to say of a picture, cell by cell."""

from __future__ import annotations

import numpy as np

STRIDE = 8  # As `fmx.models.finder` has it; no jax here.
UNIT_SIZE = 32.0
CHANNELS = 14  # Heat, log size, centre (2), points (10).
SMALLEST = 10.0  # Pixels; smaller faces are neither faces nor background.
_HEAT_WIDTH = 0.08  # Standard deviation of the heat over the size,
_LEAST_WIDTH = 0.45  # and its least, in cells.
_TOLD_WIDTH = 0.12  # The same of the cells that tell size and points.
_TOLD = 0.3  # Weight below which a cell need not tell them.
_SURE = 0.1  # Heat above which a cell counts although it lies in an ignored area.


def targets(
  height: int, width: int, faces: np.ndarray, ignored: np.ndarray
) -> dict[str, np.ndarray]:
  """Makes the maps that the loss compares with.

  Args:
    height: Of the picture, pixels.
    width: Likewise.
    faces: float [F, 13]: centre x, y, size, and five points x, y, pixels, 0-based.
    ignored: float [G, 4]: boxes x0, y0, x1, y1 in which no heat is neither right nor wrong.

  Returns:
    'told' float32 [h, w, 14], in the order of `fmx.models.finder`: heat in [0, 1], 1 at one cell of
    each face; then what the others are to say. 'heat_weight' float32 [h, w]: 0 where heat does not
    count. 'told_weight' float32 [h, w]: of all but the heat.
  """
  rows, columns = height // STRIDE, width // STRIDE
  x = (np.arange(columns) + 0.5) * STRIDE - 0.5  # Middles of the cells, pixels.
  y = (np.arange(rows) + 0.5) * STRIDE - 0.5
  told = np.zeros((rows, columns, CHANNELS), np.float32)
  told_weight = np.zeros((rows, columns), np.float32)
  heat_weight = np.ones((rows, columns), np.float32)
  for x0, y0, x1, y1 in ignored:
    inside_x, inside_y = (x >= x0) & (x < x1), (y >= y0) & (y < y1)
    heat_weight[np.ix_(inside_y, inside_x)] = 0.0
  for face in faces[np.argsort(-faces[:, 2], kind='stable')]:  # Small ones last, on top.
    centre, size = face[:2], face[2]
    column = int(np.clip((centre[0] + 0.5) // STRIDE, 0, columns - 1))
    row = int(np.clip((centre[1] + 0.5) // STRIDE, 0, rows - 1))
    distance = ((x - x[column]) ** 2)[None] + ((y - y[row]) ** 2)[:, None]
    heat = _bell(distance, max(_HEAT_WIDTH * size, _LEAST_WIDTH * STRIDE))
    told[..., 0] = np.maximum(told[..., 0], heat)
    weight = _bell(distance, max(_TOLD_WIDTH * size, _LEAST_WIDTH * STRIDE))
    mine = (weight > _TOLD) & (weight >= told_weight)
    at_y, at_x = np.nonzero(mine)
    cells = np.stack([x[at_x], y[at_y]], axis=1)  # [M, 2]
    told[at_y, at_x, 1] = np.log(size / UNIT_SIZE)
    positions = face[[0, 1, *range(3, 13)]].reshape(1, 6, 2)
    told[at_y, at_x, 2:] = ((positions - cells[:, None]) / size).reshape(-1, 12)
    told_weight[at_y, at_x] = weight[at_y, at_x]
  heat_weight[told[..., 0] > _SURE] = 1.0
  return {'told': told, 'heat_weight': heat_weight, 'told_weight': told_weight}


def _bell(squared_distance: np.ndarray, width: float) -> np.ndarray:
  return np.exp(-squared_distance / (2 * width**2))
