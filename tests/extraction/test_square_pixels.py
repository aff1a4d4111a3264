from fractions import Fraction

import numpy as np
import pytest
from PIL import Image
from small_extractions import FakeExtractor, config, images_of, pictures, summary_of

from fmx.extraction import contact_sheet, job
from fmx.extraction.shots import find_shots
from fmx.extraction.sources import open_source
from fmx.extraction.square_pixels import as_shown, box_as_shown
from tfds_300vw import video


@pytest.mark.parametrize(
  ('aspect', 'size', 'box'),
  [
    (None, (48, 64), (1, 2, 30, 40)),
    (Fraction(1), (48, 64), (1, 2, 30, 40)),
    (Fraction(4320, 4319), (48, 64), (1, 2, 30, 40)),  # Somebody's rounding.
    (Fraction(0), (48, 64), (1, 2, 30, 40)),  # Unknown.
    (Fraction(5, 1), (48, 64), (1, 2, 30, 40)),  # Nobody films so.
    (Fraction(4, 3), (48, 85), (1, 2, 40, 40)),  # HDV is wider than it is stored,
    (Fraction(8, 9), (54, 64), (1, 2, 30, 45)),  # and NTSC's DVD higher.
  ],
)
def test_frames_have_square_pixels_and_none_is_lost(aspect, size, box):
  frame = pictures(1)[0]
  shown = as_shown(frame, aspect)
  assert shown.shape == (*size, 3)
  assert (shown is frame) == (size == (48, 64))
  assert box_as_shown((1, 2, 30, 40), aspect) == box
  assert box_as_shown((), aspect) == ()


class Seeing(FakeExtractor):
  """Keeps what it is shown."""

  def __init__(self):
    super().__init__()
    self.shown = []

  def windows(self, frames, state=None):
    for frame in frames:
      self.shown.append(frame)
    yield from super().windows(iter(self.shown), state)


@pytest.fixture
def wide(tmp_path):
  """A video of 48 x 64 pixels that are twice as wide as high."""
  path = tmp_path / 'wide.mp4'
  with video.VideoWriter(path, 25, pixel_aspect=Fraction(2)) as writer:
    for image in pictures(12):
      writer.write(image)
  return path


def test_what_is_stored_squeezed_is_labelled_as_it_is_shown(wide, tmp_path, monkeypatch):
  extractor, configs = Seeing(), []
  monkeypatch.setitem(job.METHODS, 'network', lambda config: configs.append(config) or extractor)
  made = config(wide, tmp_path, extraction__box=(4, 4, 20, 24), contact_sheet=True)
  job.run(made, tmp_path / 'out')
  assert {frame.shape for frame in extractor.shown} == {(48, 128, 3)}
  for shown, stored in zip(extractor.shown, images_of(wide), strict=True):
    np.testing.assert_array_equal(shown, as_shown(stored, Fraction(2)))
  assert tuple(configs[0].extraction.box) == (8, 4, 40, 24)
  summary = summary_of(tmp_path / 'out')
  assert summary['video']['pixel_aspect'] == 2
  assert summary['options']['box'] == [4, 4, 20, 24]  # As it was given.
  face = summary['frames'][0]['faces'][0]
  assert face['box'] == [1, 4, 9, 24]  # The fake's is 3 to 17.
  assert sum(face['areas'].values()) == 7 * 20
  with Image.open(tmp_path / 'out/masks/000001.png') as mask:
    assert mask.size == (64, 48)
    assert np.asarray(mask).any(axis=0).nonzero()[0].tolist() == [1, 2, 3, 4, 5, 6, 7]


def test_a_box_outside_is_told_in_the_pixels_in_which_it_was_given(wide, tmp_path):
  with pytest.raises(ValueError, match=r'\(70, 4, 90, 24\) is .* outside .* 64 x 48'):
    job.run(config(wide, tmp_path, extraction__box=(70, 4, 90, 24)), tmp_path / 'out')


def test_the_shots_of_a_squeezed_video_go_on_where_the_whole_would(wide, tmp_path):
  path = tmp_path / 'cut.mp4'
  dark, light = pictures(12), [255 - image for image in pictures(12)]
  with video.VideoWriter(path, 25, pixel_aspect=Fraction(2)) as writer:
    for image in dark + [np.flipud(image) for image in light]:
      writer.write(image)
  _, second = find_shots(open_source(path), 5, 1)
  assert second.start == 12
  assert second.state.size == (48, 128)


def test_pictures_of_a_contact_sheet_are_not_squeezed(wide, tmp_path, monkeypatch):
  rows = []
  monkeypatch.setattr(
    contact_sheet.pictures, 'sheet', lambda of, size: rows.extend(of) or np.zeros((9, 9, 3), 'u1')
  )
  contact_sheet.draw_contact_sheet(wide, tmp_path / 'sheet.png')
  assert {image.shape for row in rows for image in row.pictures} == {(48, 128, 3)}
