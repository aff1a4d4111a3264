import json

import numpy as np
import pytest
from finder_scenes import frame

from fmx.data import finder_frames


class Examples(list):
  """Stands for `FrameExamples`."""

  frame_numbers = np.array([1, 1, 2, 6])
  from_people = np.array([True, False, False, False])


EXAMPLES = Examples(
  [
    frame((40, 50, 40), name='helen_1'),
    *(frame((40, 50, 40), name='001', number=number, from_people=False) for number in (1, 2, 6)),
  ]
)


def test_photographs_and_every_fifth_frame_are_chosen_with_their_others(tmp_path):
  path = tmp_path / 'others.json'
  path.write_text(json.dumps({'helen_1_000001': [], '001_000006': [[0.5, 0.25, 0.75, 0.5]]}))
  photographs, videos = finder_frames.choose(EXAMPLES, finder_frames.read_others(str(path)))
  assert [each.video_id for each in photographs] == ['helen_1']
  assert [each.frame_number for each in videos] == [1, 6]
  assert photographs[0].others.shape == (0, 4)
  np.testing.assert_array_equal(videos[1].others, [[64, 24, 96, 48]])


def test_no_file_of_others_is_none_and_a_wrong_one_is_refused(tmp_path):
  assert finder_frames.read_others('') == {}
  (tmp_path / 'wrong.json').write_text('{"a": [[1, 2, 3]]}')
  with pytest.raises(ValueError, match='holds no boxes by frame'):
    finder_frames.read_others(str(tmp_path / 'wrong.json'))


def test_shipped_pictures_without_people_are_found():
  pytest.importorskip('sklearn')
  images = finder_frames.backgrounds()
  assert len(images) >= 2
  assert all(image.dtype == np.uint8 and image.shape[2] == 3 for image in images)
