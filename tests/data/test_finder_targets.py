import numpy as np

from fmx.data.finder_targets import targets

NONE = np.zeros((0, 4))


def face(x, y, size):
  return np.array([x, y, size, *np.tile([x + 1, y - 1], 5)], np.float64)


def test_a_face_is_told_by_the_cell_of_its_centre():
  told = targets(64, 96, np.array([face(21, 35, 32.0)]), NONE)
  row, column = np.unravel_index(told['told'][..., 0].argmax(), (8, 12))
  assert (row, column) == (4, 2)  # 35.5 // 8 and 21.5 // 8.
  cell = told['told'][4, 2]
  assert cell[0] == 1
  assert cell[1] == 0  # log(32 / 32)
  # The middle of the cell is at (2.5 * 8 - 0.5, 4.5 * 8 - 0.5) = (19.5, 35.5).
  np.testing.assert_allclose(cell[2:4], [1.5 / 32, -0.5 / 32], rtol=1e-6)
  np.testing.assert_allclose(cell[4:6], [2.5 / 32, -1.5 / 32], rtol=1e-6)
  assert told['told_weight'][4, 2] == 1
  assert told['heat_weight'].min() == 1


def test_without_a_face_nothing_is_told():
  told = targets(64, 64, np.zeros((0, 13)), NONE)
  assert told['told'].max() == 0
  assert told['told_weight'].max() == 0
  assert told['heat_weight'].min() == 1


def test_ignored_areas_do_not_count_but_where_a_known_face_is():
  told = targets(64, 64, np.array([face(12, 12, 20.0)]), np.array([[0, 0, 64, 32]]))
  assert told['heat_weight'][1, 1] == 1
  assert (told['heat_weight'][:4, 3:] == 0).all()
  assert (told['heat_weight'][4:] == 1).all()


def test_of_two_faces_each_has_its_peak_and_tells_its_own_size():
  told = targets(128, 128, np.array([face(30, 30, 24.0), face(80, 90, 90.0)]), NONE)
  assert (told['told'][..., 0] == 1).sum() == 2
  assert np.isclose(told['told'][3, 3, 1], np.log(24 / 32))
  assert np.isclose(told['told'][11, 10, 1], np.log(90 / 32))


def test_a_large_face_is_told_by_several_cells_that_agree():
  told = targets(128, 128, np.array([face(64, 64, 100.0)]), NONE)
  rows, columns = np.nonzero(told['told_weight'])
  assert len(rows) > 5
  cells = (np.stack([columns, rows], axis=1) + 0.5) * 8 - 0.5
  centres = cells + told['told'][rows, columns, 2:4] * 100
  np.testing.assert_allclose(centres, np.full_like(centres, 64), atol=1e-4)
