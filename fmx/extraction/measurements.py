"""A table with a row for each face of each frame: where it is, how large, how far open."""

import contextlib
import math
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import compute, csv, parquet

from fmx.extraction.joining import Clock
from fmx.extraction.outputs import Labelled, Part, Write
from fmx.labelling.blinks import blinks
from fmx.labelling.frame_masks import Face
from fmx.labelling.openings import measure
from fmx.workdir import MEASUREMENTS, MEASUREMENTS_CSV, finishing
from tfds_300vw.face_mask import CLASS_NAMES

LOST = 'lost'  # In place of a verdict: the face is followed, but has no mask.
EYES = ('left', 'right')  # The person's.
AREAS = {name: f'area_{name}' for name in CLASS_NAMES[1:]}
# What is known of a row by itself; docs/extraction.md says the units.
_SCHEMA = pa.schema(
  [
    ('frame', pa.int64()),
    ('time', pa.float64()),
    ('face', pa.int64()),
    *((edge, pa.int64()) for edge in ('x0', 'y0', 'x1', 'y1')),
    ('roll', pa.float64()),
    *((name, pa.int64()) for name in AREAS.values()),
    ('face_height', pa.float64()),
    ('mouth_opening', pa.float64()),
    *((f'{eye}_eye_opening', pa.float64()) for eye in EYES),
    ('confidence', pa.float64()),
    ('verdict', pa.string()),
  ]
)


class Measurements:
  """The table as CSV and as Parquet."""

  def __init__(self, workdir: pathlib.Path):
    """Says where."""
    self._workdir = workdir

  @contextlib.contextmanager
  def open_part(self, folder: pathlib.Path) -> Iterator[Write]:
    """As `Layer.open_part`."""
    rows: list[dict[str, Any]] = []
    yield lambda labelled: rows.extend(rows_of(labelled))
    parquet.write_table(pa.Table.from_pylist(rows, _SCHEMA), folder / MEASUREMENTS)

  def finish(self, parts: Sequence[Part], clock: Clock) -> None:
    """As `Layer.finish`; only now is it known how far each eye is usually open."""
    del clock
    tables = (parquet.read_table(part.folder / MEASUREMENTS) for part in parts)
    # In one piece: before version 24 Arrow writes as CSV twice what is beside an empty one.
    table = with_blinks(pa.concat_tables(tables)).combine_chunks()
    with finishing(self._workdir, MEASUREMENTS) as path:
      parquet.write_table(table, path)
    with finishing(self._workdir, MEASUREMENTS_CSV) as path, open(path, 'wb') as file:
      file.write(','.join(table.column_names).encode() + b'\n')  # Arrow would quote them.
      csv.write_csv(table, file, csv.WriteOptions(include_header=False, quoting_style='none'))


def rows_of(labelled: Labelled) -> Iterator[dict[str, Any]]:
  """Yields the rows of a frame, of faces with a mask and then of those that are lost."""
  masks = labelled.masks
  place = {'frame': masks.index, 'time': round(labelled.frame.time, 6)}
  for face in masks.faces:
    found = measure(masks, face)
    yield {
      **place,
      **described(face),
      'face_height': round(found.face_height, 2),
      'mouth_opening': _share(found.mouth),
      'left_eye_opening': _share(found.left_eye),
      'right_eye_opening': _share(found.right_eye),
    }
  for lost in masks.lost:
    yield {**place, 'face': lost, 'verdict': LOST}


def described(face: Face) -> dict[str, Any]:
  """The columns that a face of a frame has of itself."""
  return {
    'face': face.id,
    **dict(zip(('x0', 'y0', 'x1', 'y1'), np.asarray(face.box).tolist())),
    'roll': round(math.degrees(face.roll), 1),
    **{AREAS[name]: count for name, count in face.areas.items()},
    'confidence': _share(face.confidence),
    'verdict': face.verdict,
  }


def with_blinks(table: pa.Table) -> pa.Table:
  """Adds a column for each eye before the last two: whether it blinks, empty where that is unknown.

  Args:
    table: With the columns above, in the order of the frames.
  """
  for eye in EYES:
    answers: list[bool | None] = [None] * len(table)
    for face in compute.unique(table['face']).to_pylist():
      rows = np.flatnonzero(_has_mask(table) & (table['face'].to_numpy() == face))
      of_face = table.take(rows)
      times = of_face['time'].to_numpy()
      for row, answer in zip(rows, blinks(times, of_face[f'{eye}_eye_opening'].to_numpy())):
        answers[row] = answer
    column = pa.array(answers, pa.bool_())
    table = table.add_column(table.num_columns - 2, f'{eye}_blink', column)
  return table


def _has_mask(table: pa.Table) -> np.ndarray:
  return compute.not_equal(table['verdict'], LOST).to_numpy()


def _share(value: float | None) -> float | None:
  return None if value is None else round(float(value), 4)
