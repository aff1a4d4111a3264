import numpy as np

from fmx.finding.overlap import iou, shared
from tfds_300vw.pose import Pose


def test_iou_is_shared_area_over_area_in_all():
  # 5x10 of 10x10 and 10x10: 50 / 150.
  np.testing.assert_allclose(iou([[0, 0, 10, 10]], [[5, 0, 15, 10], [20, 0, 30, 10]]), [[1 / 3, 0]])


def test_shared_area_is_of_the_smaller_square():
  # Squares of 10 and 20 whose centres are 10 apart in x: 5 x 10 of 100 pixels are shared.
  assert shared(Pose(0.0, 0.0, 10.0, 0.0), Pose(10.0, 0.0, 20.0, 0.0)) == 0.5
  assert shared(Pose(0.0, 0.0, 10.0, 0.0), Pose(0.0, 2.0, 20.0, 0.0)) == 1
  assert shared(Pose(0.0, 0.0, 10.0, 0.0), Pose(99.0, 0.0, 20.0, 0.0)) == 0
