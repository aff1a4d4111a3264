import json

import numpy as np
import pytest

from tfds_300vw import others

GOOD = {'helen/1_1': [[1, 2, 3.5, 4]], '001/000006': [], '001/000001': [[0, 0, 9, 9], [1, 1, 2, 2]]}


def test_a_file_is_read(tmp_path):
  (tmp_path / 'others.json').write_text(json.dumps(GOOD))
  assert others.read(tmp_path / 'others.json') == GOOD


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('{', 'is not JSON'),
    ('[]', 'must hold boxes by name'),
    ('{"a/1": {"1": []}}', "'a/1' must have a list of boxes"),
    ('{"a/1": [1, 2, 3, 4]}', "'a/1' must have a list of boxes"),
    ('{"a/1": [[1, 2, 3]]}', "'a/1' must have a list of boxes"),
    ('{"a/1": [[3, 2, 1, 4]]}', "'a/1' must have a list of boxes"),
    ('{"a/1": [[1, 2, NaN, 4]]}', "'a/1' must have a list of boxes"),
    ('{"a/1": [["1", 2, 3, 4]]}', "'a/1' must have a list of boxes"),
  ],
)
def test_a_wrong_file_is_named_with_its_entry(tmp_path, text, message):
  (tmp_path / 'others.json').write_text(text)
  with pytest.raises(ValueError, match=rf'others\.json.*{message}'):
    others.read(tmp_path / 'others.json')


def test_boxes_stand_until_the_next_frame_that_has_a_name():
  by_frame = others.of_video(
    {'001/000006': [], '001/000003': [[0, 0, 1, 1]], '002/000001': []}, '001'
  )
  assert list(by_frame) == [3, 6]
  found = others.at_frames(by_frame, range(1, 9))
  assert [len(boxes) for boxes in found] == [0, 0, 1, 1, 1, 0, 0, 0]


def test_a_frame_without_a_number_is_named():
  with pytest.raises(ValueError, match='^001/first is not a frame of the video 001'):
    others.of_video({'001/first': []}, '001')


def test_frames_with_fewer_boxes_are_filled_with_nan():
  found = others.stack([[[0, 1, 2, 3]], [], [[4, 5, 6, 7], [-1, -1, 1, 1]]], [(10, 10)] * 3)
  assert found.shape == (3, 2, 4)
  np.testing.assert_array_equal(np.isnan(found[..., 0]), [[0, 1], [1, 1], [0, 0]])
  np.testing.assert_array_equal(found[2, 1], [-1, -1, 1, 1])
  assert others.stack([(), ()], [(10, 10)] * 2).shape == (2, 0, 4)


def test_a_box_outside_its_frame_is_an_error():
  with pytest.raises(ValueError, match=r'\[20, 0, 30, 5\].* frame of 20 x 10 pixels'):
    others.stack([[[20, 0, 30, 5]]], [(10, 20)])


def test_boxes_of_other_data_are_noticed_but_more_data_may_be_named():
  others.check_names(GOOD, ['001', '002'])
  others.check_names(GOOD, ['helen/1_1', 'helen/2_1'])
  others.check_names({}, ['helen/1_1'])
  with pytest.raises(ValueError, match='are of helen/1_1 and the like, but the data is of afw/3_1'):
    others.check_names(GOOD, ['afw/3_1'])
