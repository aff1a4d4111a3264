"""The parts of shots made those of one extraction, with ids that go on from shot to shot."""

import functools
import json
import os
import pathlib
import pickle
import shutil
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image
from pyarrow import compute, parquet

from fmx.extraction.loop import Record
from fmx.extraction.outputs import LINES, PNG_OPTIONS, STATE, Part, read_parts
from fmx.extraction.shots import Shot
from fmx.labelling.frame_masks import MAX_ID
from fmx.workdir import COCO_LINES, MEASUREMENTS, PARTS, UNFINISHED
from tfds_300vw import placing, video
from tfds_300vw.video_writer import LabelWriter

_MASKS, _FACES = 'masks', 'faces'  # Folders of pictures.
Copy = Callable[[pathlib.Path, pathlib.Path], None]


def put_together(workdir: pathlib.Path, shots: Sequence[Shot], frame_rate: float) -> None:
  """Makes the parts of all shots the parts of the workdir, as `extract_parts` leaves them there.

  Interrupted, it can be called again; the folders of the shots stay as they are.

  Args:
    workdir: Of the video.
    shots: All of it, in order; each is extracted.
    frame_rate: At which parts are encoded.

  Raises:
    OSError: something cannot be read or written.
  """
  unfinished = workdir / UNFINISHED
  whole, partial = unfinished / PARTS, unfinished / f'{PARTS}{placing.PARTIAL}'
  if whole.exists():
    return
  for folder in (partial, unfinished / _MASKS, unfinished / _FACES):
    shutil.rmtree(folder, ignore_errors=True)
  placing.make_folder(partial)
  record, ids, number = Record(), 0, 0
  for shot in shots:
    folder = shot.folder(workdir) / UNFINISHED
    parts, of_shot = read_parts(folder / PARTS)
    copies = _copies(ids, frame_rate)
    for name in (_MASKS, _FACES):
      if (folder / name).exists():
        _copy_all(folder / name, unfinished / name, copies.get(name, _link))
    for part in parts:
      number += 1
      _copy_part(part, partial / f'{number:06d}', copies)
    ids += of_shot.state.num_ids
    record = _appended(record, of_shot, ids - of_shot.state.num_ids)
  (partial / f'{number:06d}' / STATE).write_bytes(pickle.dumps(record))
  placing.place(partial, whole)


def _copies(ids: int, frame_rate: float) -> dict[str, Copy]:
  """How to copy what has ids in it, by the name of the file, or of the folder of pictures."""
  if not ids:
    return {}
  return {
    LINES: functools.partial(_copy_lines, change=functools.partial(_renumbered, ids)),
    COCO_LINES: functools.partial(_copy_lines, change=functools.partial(_renumbered_coco, ids)),
    MEASUREMENTS: functools.partial(_copy_table, ids),
    f'{_FACES}.mkv': functools.partial(_copy_video, ids, frame_rate),
    _FACES: functools.partial(_copy_picture, ids),
  }


def _appended(record: Record, later: Record, ids: int) -> Record:
  """The record of all shots up to one, whose ids began anew after so many."""
  record.totals.append(later.totals, ids)
  record.quality.append(later.quality)
  stages = record.seconds.keys() | later.seconds.keys()
  record.seconds = {s: record.seconds.get(s, 0.0) + later.seconds.get(s, 0.0) for s in stages}
  record.elapsed += later.elapsed
  record.next_index, record.damage, record.is_end = later.next_index, later.damage, later.is_end
  return record


def _copy_part(part: Part, to: pathlib.Path, copies: dict[str, Copy]) -> None:
  to.mkdir()
  for file in part.folder.iterdir():
    if file.name != STATE:
      copies.get(file.name, _link)(file, to / file.name)


def _copy_all(folder: pathlib.Path, to: pathlib.Path, copy: Copy) -> None:
  placing.make_folder(to)
  for file in folder.iterdir():
    copy(file, to / file.name)


def _link(file: pathlib.Path, to: pathlib.Path) -> None:
  """The same file under one more name, or a copy where the disk knows no such thing."""
  try:
    os.link(file, to)
  except OSError:
    shutil.copyfile(file, to)


def _copy_lines(
  file: pathlib.Path, to: pathlib.Path, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
  with open(file) as lines, open(to, 'w') as out:
    for line in lines:
      print(json.dumps(change(json.loads(line))), file=out)


def _renumbered(ids: int, entry: dict[str, Any]) -> dict[str, Any]:
  """A line of the summary; see `fmx.extraction.report.frame_entry`."""
  faces = [face | {'id': face['id'] + ids} for face in entry['faces']]
  return entry | {'faces': faces, 'lost': [lost + ids for lost in entry['lost']]}


def _renumbered_coco(ids: int, line: dict[str, Any]) -> dict[str, Any]:
  found = [one | {'track_id': one['track_id'] + ids} for one in line['annotations']]
  return line | {'annotations': found}


def _copy_table(ids: int, file: pathlib.Path, to: pathlib.Path) -> None:
  table = parquet.read_table(file)
  place = table.schema.get_field_index('face')
  faces = compute.add(table['face'], pa.scalar(ids, pa.int64()))
  parquet.write_table(table.set_column(place, table.schema.field(place), faces), to)


def _copy_video(ids: int, frame_rate: float, file: pathlib.Path, to: pathlib.Path) -> None:
  with LabelWriter(to, frame_rate) as writer:
    for frame in video.read_frames(file):
      writer.write(_stored(frame.image[..., 0], ids))


def _copy_picture(ids: int, file: pathlib.Path, to: pathlib.Path) -> None:
  with Image.open(file) as picture:
    palette, labels = picture.getpalette() or [], np.asarray(picture)
  changed = Image.fromarray(_stored(labels, ids)).convert('L')
  changed.putpalette(palette)
  changed.save(to, **PNG_OPTIONS)


def _stored(stored: np.ndarray, ids: int) -> np.ndarray:
  """Ids of a map, uint8 [H, W], each greater by so many; they are counted anew after MAX_ID."""
  table = np.arange(MAX_ID + 1)
  table[1:] = (table[1:] - 1 + ids) % MAX_ID + 1
  return table.astype(np.uint8)[stored]
