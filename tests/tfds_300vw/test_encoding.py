import numpy as np
import pytest
from PIL import Image

from tfds_300vw.encoding import is_plain_jpeg, open_image


def save(path, mode='RGB', **options):
  Image.fromarray(np.full((8, 12, 3), 90, np.uint8)).convert(mode).save(path, **options)
  return open_image(path)


def turned():
  exif = Image.Exif()
  exif[0x0112] = 6  # To be shown turned by 90 degrees.
  return exif


@pytest.mark.parametrize(
  ('name', 'mode', 'options', 'plain'),
  [
    ('a.jpg', 'RGB', {}, True),
    ('a.png', 'RGB', {}, False),
    ('a.jpg', 'L', {}, False),
    ('a.jpg', 'CMYK', {}, False),
    ('a.jpg', 'RGB', {'exif': turned()}, False),  # Some readers would turn it.
  ],
)
def test_only_files_that_everybody_reads_alike_are_taken_as_they_are(
  tmp_path, name, mode, options, plain
):
  assert is_plain_jpeg(save(tmp_path / name, mode, **options)) == plain
