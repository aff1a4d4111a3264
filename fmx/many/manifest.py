"""The table of all videos: what became of each, whole at every moment."""

import csv
import dataclasses
import io
import pathlib
import time
from collections.abc import Iterable, Mapping

from tfds_300vw import placing

MANIFEST = 'manifest.csv'
WAITING, DONE, FAILED = 'waiting', 'done', 'failed'
_REST = 9  # Times as long as it was written, it is not.


@dataclasses.dataclass
class Row:
  """What is known of a video; what is not known yet is empty.

  Attributes:
    video: Its address.
    folder: Of its masks, in the folder of all.
    state: WAITING, DONE or FAILED.
    reason: Why it failed, or that its end could not be read.
    frames: How many.
    faces: How many got an id.
    frames_without_face: How many.
    good: Faces of frames with this verdict; docs/extraction.md says what it means.
    refound: Likewise.
    bridged: Likewise.
    doubtful: Likewise.
    lost: Frames of faces that are followed and have no mask.
    seconds: Of work at it, of all workers together.
    networks: Their version.
    key: What tells the video as it was, the networks and the options from others.
  """

  video: str
  folder: str
  state: str = WAITING
  reason: str = ''
  frames: str = ''
  faces: str = ''
  frames_without_face: str = ''
  good: str = ''
  refound: str = ''
  bridged: str = ''
  doubtful: str = ''
  lost: str = ''
  seconds: str = ''
  networks: str = ''
  key: str = ''


COLUMNS = [field.name for field in dataclasses.fields(Row)]


def read(workdir: pathlib.Path) -> dict[str, Row]:
  """The rows that earlier runs left, by video; none if there is no manifest.

  Raises:
    ValueError: the file is no manifest.
  """
  path = workdir / MANIFEST
  if not path.exists():
    return {}
  with open(path, newline='') as file:
    lines = csv.DictReader(file)
    if lines.fieldnames != COLUMNS:
      raise ValueError(f'{path} is no manifest of this version: give another --workdir.')
    return {line['video']: Row(**line) for line in lines}


class Manifest:
  """The table on disk, written anew when a row changes, but for a tenth of the time at most.

  What a kill then takes along, the folder of each video still says itself.
  """

  def __init__(self, workdir: pathlib.Path, rows: Mapping[str, Row]):
    """Says where, and which rows; they may change."""
    self._workdir, self._rows = workdir, rows
    self._next = 0.0  # When it may be written again.

  def changed(self) -> None:
    """Says that a row has changed."""
    if time.monotonic() >= self._next:
      self.write()

  def write(self) -> None:
    """Has all that is known on the disk when it returns; raises as `write`."""
    started = time.monotonic()
    write(self._workdir, self._rows.values())
    ended = time.monotonic()
    self._next = ended + _REST * (ended - started)


def write(workdir: pathlib.Path, rows: Iterable[Row]) -> None:
  """Puts a manifest in the place of the one that may be there.

  Raises:
    OSError: it cannot be written; then the old one is still there.
  """
  text = io.StringIO(newline='')
  lines = csv.writer(text, lineterminator='\n')
  lines.writerow(COLUMNS)
  lines.writerows(dataclasses.astuple(row) for row in rows)
  placing.write(workdir / MANIFEST, text.getvalue())
