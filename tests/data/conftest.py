import itertools

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image
from released_tree import CLIPS, NAME

import tfds_300vw
from fmx.data.prepared import open_dataset


@pytest.fixture(scope='session')
def released(tmp_path_factory):
  """A released tree of noise images; their sizes differ."""
  root = tmp_path_factory.mktemp('released')
  rng = np.random.default_rng(0)
  for folder in ('images_orig', 'labels_orig', 'data_splits/split_1'):
    (root / folder).mkdir(parents=True)
  for split, videos in CLIPS.items():
    lines = []
    for video_id, clips in videos.items():
      for number in itertools.chain(*clips):
        height, width = rng.integers(12, 30, 2)
        name = f'{video_id}_{number:06d}'
        frame = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(frame).save(root / f'images_orig/{name}.jpg', quality=95)
        labels = rng.integers(0, 5, (height, width), dtype=np.uint8)
        Image.fromarray(labels).save(root / f'labels_orig/{name}.png')
        lines.append(f'/images_orig/{name}.jpg /labels_orig/{name}.png\n')
    name = 'val' if split == 'validation' else split
    (root / f'data_splits/split_1/{name}_per10.txt').write_text(''.join(lines))
  return root


@pytest.fixture(scope='session')
def data_dir(released, tmp_path_factory):
  """The folder of the dataset prepared from that tree."""
  folder = tmp_path_factory.mktemp('data')
  builder = tfds_300vw.Builder(
    config='released_primary', data_dir=folder, file_format='array_record'
  )
  builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=released))
  return folder


@pytest.fixture
def dataset(data_dir):
  return open_dataset(NAME, data_dir)
