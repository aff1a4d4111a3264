"""A small tree in 300VW's layout."""

import pathlib

import pytest
from small_datasets import write_video


@pytest.fixture(scope='session')
def video_tree(tmp_path_factory) -> pathlib.Path:
  """Six videos of 12 to 25 frames and two sizes."""
  root = tmp_path_factory.mktemp('videos')
  for number in range(1, 7):
    size = {'height': 96, 'width': 112} if number % 2 else {'height': 120, 'width': 100}
    write_video(root / f'{number:03d}', 9 + number * 3 - number // 4, seed=number, **size)
  return root
