import numpy as np
import pytest
from PIL import Image
from small_datasets import write_released

from tfds_300vw import __main__ as command
from tfds_300vw import contact_sheet, face_mask, pictures


def test_an_overlay_paints_classes_and_leaves_the_background():
  frame = np.full((1, 3, 3), 100, np.uint8)
  labels = np.array([[0, 1, 4]], np.uint8)
  # 100 · 0.75 + colour · 0.25: red 255 gives 138.75, its zeros 75; blue likewise.
  expected = [[[100, 100, 100], [139, 75, 75], [75, 75, 139]]]
  np.testing.assert_array_equal(pictures.overlay(frame, labels, opacity=0.25), expected)


def test_an_overlay_of_a_region_takes_the_colours_of_its_classes():
  labels = np.array([[1]], np.uint8)
  painted = pictures.overlay(np.zeros((1, 1, 3), np.uint8), labels, 'eyes', opacity=1.0)
  np.testing.assert_array_equal(painted[0, 0], face_mask.COLORS[2])


def test_a_sheet_places_pictures_of_any_shape_in_their_cells():
  red, blue = np.zeros((20, 10, 3), np.uint8), np.zeros((8, 8, 3), np.uint8)
  red[..., 0], blue[..., 2] = 255, 255
  sheet = pictures.sheet(
    [pictures.Row([red, blue], ['a', 'b']), pictures.Row([blue], ['c'])], size=40
  )
  cell, row = 40 + pictures.GAP, 40 + pictures.GAP + pictures.CAPTION_HEIGHT
  middle = pictures.GAP + 20
  np.testing.assert_array_equal(sheet[middle, middle], [255, 0, 0])
  np.testing.assert_array_equal(sheet[middle, middle + cell], [0, 0, 255])
  np.testing.assert_array_equal(sheet[middle + row, middle], [0, 0, 255])
  np.testing.assert_array_equal(sheet[middle, pictures.GAP], pictures.PAPER)  # Beside the tall one.
  assert (sheet[middle + row, middle + cell] == pictures.PAPER).all()


def test_a_sheet_is_wide_enough_for_its_legend():
  picture = np.zeros((8, 8, 3), np.uint8)
  sheet = pictures.sheet([pictures.Row([picture], [''])], 'primary', size=8)
  blue = (sheet == face_mask.COLORS[4]).all(axis=-1)  # The last entry of the legend.
  assert blue.sum() > 50


@pytest.fixture
def dataset(tmp_path):
  write_released(tmp_path / 'zip')
  where = [f'--manual_dir={tmp_path / "zip"}', f'--data_dir={tmp_path / "data"}']
  assert command.main(['--config=released_primary', '--workers=1', *where]) == 0
  return [f'--data_dir={tmp_path / "data"}', '--dataset=the300vw_mask/released_primary']


def test_a_contact_sheet_shows_frames_above_their_masks(dataset, tmp_path):
  path = tmp_path / 'made/sheet.png'
  flags = [*dataset, '--clips=2', '--frames=3', '--size=64', str(path)]
  assert contact_sheet.main(flags) == 0
  sheet = np.asarray(Image.open(path)).astype(int)
  row = 64 + pictures.GAP + pictures.CAPTION_HEIGHT
  assert sheet.shape[0] == 4 * row + pictures.GAP + pictures.CAPTION_HEIGHT
  frames, overlays = sheet[:64], sheet[row : row + 64]
  redder = (overlays[..., 0] - frames[..., 0])[20:50, 20:50]
  assert redder.mean() > 20


@pytest.mark.parametrize(
  ('flags', 'message'),
  [
    (['--dataset=the300vw_mask/mouth'], 'not built'),
    (['--dataset=nonsense'], 'not built'),
    (['--split=nonesuch'], "no split 'nonesuch'"),
    (['--clips=0'], 'at least 1'),
  ],
)
def test_a_contact_sheet_of_nothing_is_one_clear_sentence(
  dataset, tmp_path, capsys, flags, message
):
  assert contact_sheet.main([*dataset, *flags, str(tmp_path / 'sheet.png')]) == 1
  assert message in capsys.readouterr().err
  assert not (tmp_path / 'sheet.png').exists()
