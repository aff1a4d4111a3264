import pathlib
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tfds_300vw import photographs

SPLITS = ('train', 'validation', 'test')


def paths_of(names):
  return {name.replace('/', '_'): pathlib.Path('faces', f'{name}.jpg') for name in names}


def save(path, pixels, **options):
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.fromarray(pixels).save(path, **options)


def picture(seed, height=40, width=56):
  """A smooth picture, which two codings change little."""
  x, y = np.meshgrid(np.linspace(0, 3, width), np.linspace(0, 3, height))
  waves = [np.sin(x * (seed + 1 + channel) + y) for channel in range(3)]
  return (127 + 100 * np.stack(waves, axis=-1)).astype(np.uint8)


@given(
  faces=st.lists(st.integers(1, 30), min_size=1, max_size=60),
  seed=st.integers(0, 5),
  folders=st.integers(1, 3),
)
def test_no_photograph_is_on_two_sides(faces, seed, folders):
  names = [
    f'{photograph % folders}/{photograph * 7919 % 1000:03d}x{photograph}_{face}'
    for photograph, count in enumerate(faces)
    for face in range(1, count + 1)
  ]
  split_of = photographs.split_images(paths_of(sorted(names)), seed=seed)
  assert len(split_of) == len(names)
  sides = {}
  for image_id, split in split_of.items():
    sides.setdefault(re.sub('_[0-9]+$', '', image_id), set()).add(split)
  assert all(len(splits) == 1 for splits in sides.values())
  assert sum(splits == {'test'} for splits in sides.values()) == len(faces) // 5


def test_every_fifth_photograph_tests_whatever_the_seed_with_all_its_faces():
  names = [f'{n:03d}_{face}' for n in range(102) for face in (1, 2)]
  validating = []
  for seed in range(3):
    split_of = photographs.split_images(paths_of(names), seed=seed)
    by_split = {split: [name for name in names if split_of[name] == split] for split in SPLITS}
    assert by_split['test'] == [f'{n:03d}_{face}' for n in range(4, 102, 5) for face in (1, 2)]
    # 20 of 102 test; of the other 82, 82 * 9 / 102 = 7.2 validate.
    assert len(by_split['validation']) == 2 * 7
    assert len(by_split['train']) == 2 * 75
    validating.append(tuple(by_split['validation']))
  assert len(set(validating)) == 3


@pytest.mark.parametrize(
  ('count', 'splits'),
  [(1, ['train']), (2, ['train', 'validation']), (5, ['test', 'train', 'validation'])],
)
def test_few_images_still_train(count, splits):
  split_of = photographs.split_images(paths_of('abcde'[:count]), seed=0)
  assert sorted(set(split_of.values())) == splits


@pytest.mark.parametrize(
  ('name', 'photograph'),
  [
    ('afw/134212_1', 'afw/134212'),
    ('afw/134212_15', 'afw/134212'),
    ('ibug/image_003_1', 'ibug/image_003'),
    ('lfpw/image_0001', 'lfpw/image_0001'),  # 300-W numbers its photographs with zeros in front.
    ('indoor/indoor_001', 'indoor/indoor_001'),
    ('video/frame_120', 'video/frame_120'),
    ('deep/1', 'deep/1'),
    ('a', 'a'),
  ],
)
def test_the_number_of_a_face_is_no_part_of_the_photographs_name(name, photograph):
  assert photographs.photograph(pathlib.Path(f'{name}.jpg')) == pathlib.Path(photograph)


def test_photographs_of_one_name_in_two_folders_are_two():
  names = [f'{folder}/{n}_1' for folder in 'ab' for n in range(5)]
  split_of = photographs.split_images(paths_of(names), seed=0)
  assert [name for name in split_of if split_of[name] == 'test'] == ['a_4_1', 'b_4_1']


def test_the_users_lists_may_not_divide_a_photograph():
  paths = paths_of(['a_1', 'a_2', 'b_1'])
  assert photographs.split_images(paths, seed=0, lists={'train': ['a_1'], 'test': ['b_1']}) == {
    'a_1': 'train',
    'b_1': 'test',
  }
  with pytest.raises(ValueError, match="a_1 is listed in 'train' but a_2 in 'test'.*photograph a:"):
    photographs.split_images(paths, seed=0, lists={'train': ['a_1', 'b_1'], 'test': ['a_2']})


def test_files_of_one_picture_are_one_and_others_of_its_name_are_not(tmp_path):
  save(tmp_path / 'x/1_1.jpg', picture(1), quality=90)
  save(tmp_path / 'x/1_2.jpg', picture(1), quality=90)  # The same bytes.
  save(tmp_path / 'x/1_3.png', picture(1))  # The same picture in another coding.
  save(tmp_path / 'x/1_4.jpg', picture(2), quality=90)  # Another part of the photograph.
  save(tmp_path / 'x/1_5.jpg', picture(1, height=48), quality=90)  # Another size.
  save(tmp_path / 'x/2_1.jpg', picture(1), quality=90)  # Another photograph by its name.
  paths = photographs.image_files(tmp_path)
  found = photographs.pictures(paths)
  assert {image_id: [path.name for path in files] for image_id, files in found.items()} == {
    'x_1_1': ['1_1.jpg', '1_2.jpg', '1_3.png'],
    'x_1_4': ['1_4.jpg'],
    'x_1_5': ['1_5.jpg'],
    'x_2_1': ['2_1.jpg'],
  }


def test_files_that_are_no_image_are_left_to_whoever_reads_them(tmp_path):
  save(tmp_path / '1_1.jpg', picture(1))
  (tmp_path / '1_2.jpg').write_bytes(b'no image')
  assert len(photographs.pictures(photographs.image_files(tmp_path))) == 2
