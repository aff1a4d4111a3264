import json

import numpy as np
from finder_scenes import frame, landmarks
from PIL import Image

from fmx.finding import unannotated
from fmx.finding.peers import PEERS, joined
from tfds_300vw.annotations import write_pts


def test_only_faces_that_nobody_annotated_are_left():
  boxes = np.array(
    [[30, 30, 60, 60], [100, 20, 130, 50], [0, 0, 200, 200], [44, 44, 46, 46]], float
  )
  left = unannotated.unannotated(boxes, [landmarks(45, 46, 30)])
  np.testing.assert_array_equal(left, boxes[1:2])


def test_faces_that_two_see_are_there_once():
  found = joined(
    [np.array([[0, 0, 10, 10, 0.6]]), np.array([[1, 0, 11, 10, 0.9], [40, 40, 50, 50, 0.4]])]
  )
  np.testing.assert_array_equal(found, [[1, 0, 11, 10, 0.9], [40, 40, 50, 50, 0.4]])
  assert joined([np.zeros((0, 5))]).shape == (0, 5)


def test_the_command_writes_shares_by_key(tmp_path, monkeypatch):
  example = frame((40, 50, 40))
  (tmp_path / 'in/afw').mkdir(parents=True)
  Image.fromarray(example.image).save(tmp_path / 'in/afw/7_1.jpg')
  write_pts(tmp_path / 'in/afw/7_1.pts', example.landmarks[0])
  other = np.array([[96.0, 24, 128, 48, 0.8], [20, 30, 60, 70, 0.9]])
  monkeypatch.setitem(PEERS, 'libfacedetection', lambda: lambda image: other.copy())
  unannotated.main(
    [
      f'--photographs={tmp_path / "in"}',
      '--teachers',
      'libfacedetection',
      f'--to={tmp_path / "o.json"}',
    ]
  )
  assert json.loads((tmp_path / 'o.json').read_text()) == {
    'afw_7_1_000001': [[0.75, 0.25, 1.0, 0.5]]
  }
