import json
import pickle

import numpy as np
import pytest
from PIL import Image
from pyarrow import csv, parquet
from small_extractions import config, write_video

from fmx.extraction import job, loop, measurements
from fmx.extraction.outputs import Labelled, read_parts
from fmx.labelling.frame_masks import DOUBTFUL, GOOD, FrameMasks, Piece, compose
from tfds_300vw.video import Frame

SIZE, TIMES = 96, [0, 40, 80, 200, 240, 280, 320, 360, 400, 440, 480, 520]  # Pixels; milliseconds.
CLOSED = (5, 6)  # Frames in which the eyes have no mask.
AWAY = 9  # In which the face has none.
HEADER = (
  'frame,time,face,x0,y0,x1,y1,roll,area_facial_skin,area_eyes,area_outer_mouth,area_inner_mouth,'
  'face_height,mouth_opening,left_eye_opening,right_eye_opening,left_blink,right_blink,confidence,'
  'verdict'
)


def drawn(index):
  """A face 60 pixels high; its left eye is 6 high, its right eye 3, its inner mouth `index`."""
  labels = np.zeros((SIZE, SIZE), np.uint8)
  labels[20:80, 20:70] = 1
  if index not in CLOSED:
    labels[32:35, 28:36] = 2
    labels[30:36, 52:60] = 2
  labels[60:76, 35:55] = 3
  labels[62 : 62 + index, 38:52] = 4
  pieces = [
    Piece(
      7,
      np.array([15, 10, 75, 85]),
      np.array([0, 0, SIZE, SIZE]),
      labels,
      0.9,
      verdict=DOUBTFUL if index in CLOSED else GOOD,
    )
  ]
  lost = (7,) if index == AWAY else ()
  return compose([] if lost else pieces, index, SIZE, SIZE, lost=lost)


class Drawing:
  """An extractor of drawn faces, two frames a window."""

  def windows(self, frames, state=None):
    index = state or 0
    for _ in frames:
      index += 1
      yield [drawn(index - 1)], index


@pytest.fixture
def out(tmp_path, monkeypatch):
  monkeypatch.setitem(job.METHODS, 'network', lambda config: Drawing())
  monkeypatch.setattr(loop, 'PART_FRAMES', 5)
  images = [np.zeros((SIZE, SIZE, 3), np.uint8)] * len(TIMES)
  path = write_video(tmp_path / 'clip.mkv', images, times=TIMES)
  job.run(
    config(path, tmp_path, extraction__outputs=('measurements',), plot=True), tmp_path / 'out'
  )
  return tmp_path / 'out'


def test_the_table_says_of_each_face_of_each_frame_what_was_drawn(out):
  lines = (out / 'measurements.csv').read_text().splitlines()
  assert lines[0] == HEADER
  assert len(lines) == 1 + len(TIMES)
  # 60 x 50 pixels, less 16 x 20 of the mouth and 8 x 9 of the eyes; of the mouth 4 x 14 are inside.
  # Shares of 60: 4 / 60, 6 / 60 and 3 / 60.
  assert lines[1 + 4] == (
    '4,0.24,7,15,10,75,85,0,2608,72,264,56,60,0.0667,0.1,0.05,false,false,0.9,good'
  )
  # Without their masks eyes are empty, but their being closed is not.
  assert lines[1 + 5] == '5,0.28,7,15,10,75,85,0,2680,0,250,70,60,0.0833,,,true,true,0.9,doubtful'
  assert lines[1 + AWAY] == f'{AWAY},0.44,7,,,,,,,,,,,,,,,,,lost'
  table = csv.read_csv(out / 'measurements.csv')
  np.testing.assert_allclose(table['time'].to_numpy(), np.array(TIMES) / 1000)


def test_parquet_holds_the_same_table(out):
  table, text = parquet.read_table(out / 'measurements.parquet'), (out / 'measurements.csv')
  assert table.column_names == HEADER.split(',')
  assert table.cast(csv.read_csv(text).schema).to_pylist() == csv.read_csv(text).to_pylist()


def test_the_plot_is_drawn_from_the_table_and_can_be_drawn_later(out, tmp_path):
  with Image.open(out / 'measurements.png') as picture:
    before = np.asarray(picture.convert('RGB'))
  assert before.shape[1] > 1000
  assert len(np.unique(before.reshape(-1, 3), axis=0)) > 20
  (out / 'measurements.png').unlink()
  path = tmp_path / 'clip.mkv'
  job.run(config(path, tmp_path, extraction__outputs=('measurements',), plot=True), out)
  with Image.open(out / 'measurements.png') as picture:
    np.testing.assert_array_equal(np.asarray(picture.convert('RGB')), before)


def test_a_video_without_a_face_has_a_table_without_rows_and_still_a_plot(tmp_path):
  from fmx.extraction.plot import draw_plot

  layer = measurements.Measurements(tmp_path)
  (tmp_path / '000001').mkdir()
  with layer.open_part(tmp_path / '000001') as write:
    empty = np.zeros((4, 4), np.uint8)
    write(Labelled('1', Frame(0, 0.0, empty), FrameMasks(0, empty, empty, (), False)))
  (tmp_path / '000001/frames.jsonl').write_text('{}\n')
  (tmp_path / '000001/state.pickle').write_bytes(pickle.dumps(None))
  layer.finish(read_parts(tmp_path)[0], None)
  assert (tmp_path / 'measurements.csv').read_text() == HEADER + '\n'
  draw_plot(tmp_path / 'measurements.parquet', tmp_path / 'plot.png')
  assert (tmp_path / 'plot.png').stat().st_size > 1000


def test_each_face_has_its_own_usual_opening():
  table = measurements.pa.Table.from_pylist(
    [
      {
        'frame': i,
        'time': i / 25,
        'face': face,
        'left_eye_opening': opening,
        'right_eye_opening': 0.06,
        'verdict': GOOD,
      }
      for i in range(20)
      for face, opening in ((1, 0.1), (2, 0.01 if i == 9 else 0.05))
    ],
    measurements._SCHEMA,
  )
  rows = measurements.with_blinks(table).to_pylist()
  assert [(row['frame'], row['face']) for row in rows if row['left_blink']] == [(9, 2)]
  assert not any(row['right_blink'] for row in rows)
  assert json.dumps(rows[0])  # Plain values.
