"""One extraction that a person follows in a browser: its files, how far it is, what came out."""

import dataclasses
import logging
import pathlib
import shutil
import threading
import time
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
from pyarrow import parquet

from fmx.app import packets, uploads
from fmx.app.turns import Turns
from fmx.app.watched import Cancelled, Watched
from fmx.extraction.loop import Extractor, Listener, Record
from fmx.extraction.sources import Source
from fmx.labelling.frame_masks import FrameMasks
from fmx.workdir import CUTOUT, MEASUREMENTS, MEASUREMENTS_CSV, OVERLAY, UNFINISHED

MASKS = 'masks.zip'
DOWNLOADS = (OVERLAY, MASKS, MEASUREMENTS_CSV, CUTOUT)
COLUMNS = (
  'frame', 'time', 'face', 'mouth_opening', 'left_eye_opening', 'right_eye_opening', 'left_blink',
  'right_blink', 'area_facial_skin', 'confidence', 'verdict',
)  # fmt: skip
_SHOWN, _OUT = 'shown', 'out'
_logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Choice:
  """What a person asks for."""

  max_faces: int = 1
  cutout: bool = False


class Extraction:
  """The masks of one upload, made in a thread of its own."""

  def __init__(
    self, folder: pathlib.Path, turns: Turns, limits: uploads.Limits, extract: 'Extract'
  ):
    """Takes an empty folder, which goes with `remove`."""
    self.folder = folder
    self.upload = folder / uploads.UPLOAD
    self._turns, self._limits, self._extract = turns, limits, extract
    self._cancelled, self._thread = threading.Event(), threading.Thread(target=self._work)
    self._choice = Choice()
    self._said: dict[str, Any] = {'state': 'waiting', 'shown': 0}
    self._began: tuple[int, float] | None = None  # Frames and time, after the first window.

  def start(self, choice: Choice) -> None:
    """Begins; the upload is there."""
    self._choice = choice
    self._thread.start()

  def cancel(self) -> None:
    """Ends it within a window; what was shown stays until it is removed."""
    self._cancelled.set()

  def remove(self) -> None:
    """Cancels it, waits for its end, and removes its files."""
    self.cancel()
    if self._thread.ident is not None:
      self._thread.join()
    shutil.rmtree(self.folder, ignore_errors=True)

  def status(self) -> dict[str, Any]:
    """How far it is.

    Returns:
      'state': 'waiting', 'working', 'packing', 'done', 'cancelled' or 'failed', which has an
      'error'; 'shown': frames of which there is a packet; and once it is known 'frames',
      'frame_rate', 'width', 'height', 'seconds_left', 'downloads'.
    """
    return dict(self._said)

  def packet(self, index: int) -> pathlib.Path:
    """Where that of a frame lies, if it is there."""
    return self.folder / _SHOWN / f'{index:06d}'

  def download(self, name: str) -> pathlib.Path | None:
    """Where a file of DOWNLOADS lies; None if it is not there."""
    path = self.folder / _OUT / name
    return path if name in self._said.get('downloads', ()) else None

  def measurements(self) -> dict[str, list]:
    """COLUMNS of the table, as lists; empty as long as it is not done."""
    path = self.folder / _OUT / MEASUREMENTS
    if self._said['state'] != 'done':
      return {name: [] for name in COLUMNS}
    return parquet.read_table(path, columns=list(COLUMNS)).to_pydict()

  def update(self, step: int, frames: int) -> None:
    """As `Listener.update`."""
    now = time.monotonic()
    if self._began is None:
      self._began = (step, now)
    first, since = self._began
    if step > first:
      left = (now - since) / (step - first) * max(self._said['frames'] - step, 0)
      self._tell(seconds_left=round(left, 1))

  def close(self) -> None:
    """As `Listener.close`."""

  def _tell(self, **said: Any) -> None:
    self._said = self._said | said  # Others read it meanwhile.

  def _work(self) -> None:
    try:
      source = uploads.opened(self.upload, self._limits)
      found = source.properties
      self._tell(
        state='working',
        frames=found.num_frames,
        frame_rate=found.frame_rate,
        width=found.width,
        height=found.height,
      )
      (self.folder / _SHOWN).mkdir()
      self._extract(source, self._choice, self._watched, self.folder / _OUT, self)
      self._pack()
    except Cancelled:
      self._tell(state='cancelled')
    except (ValueError, OSError) as error:
      self._tell(state='failed', error=self._without_paths(str(error)))
    except Exception:
      _logger.exception('An extraction failed.')
      self._tell(state='failed', error="Something went wrong here; the program's log says what.")
    finally:
      for path in self.folder.glob(f'{uploads.UPLOAD}*'):
        path.unlink(missing_ok=True)

  def _watched(self, extractor: Extractor) -> Watched:
    return Watched(extractor, self._turns, self._cancelled, self._show)

  def _show(self, frame: np.ndarray, masks: FrameMasks) -> None:
    """Keeps a frame for the page."""
    picture, labels = packets.small(frame, masks.labels)
    path = self.packet(masks.index)
    path.write_bytes(packets.packet({'frame': masks.index}, labels, picture))
    self._tell(shown=masks.index + 1)

  def _pack(self) -> None:
    """Makes one file of the masks, and drops what nobody can ask for."""
    self._tell(state='packing')
    out = self.folder / _OUT
    with zipfile.ZipFile(out / MASKS, 'w') as archive:  # Stored: a PNG is compressed already.
      for path in sorted((out / 'masks').iterdir()):
        archive.write(path, path.name)
    shutil.rmtree(out / 'masks')
    shutil.rmtree(out / UNFINISHED, ignore_errors=True)
    downloads = [name for name in DOWNLOADS if (out / name).is_file()]
    frames = self._said['shown']  # A damaged end makes them fewer than there should be.
    self._tell(state='done', downloads=downloads, frames=frames, seconds_left=0)

  def _without_paths(self, text: str) -> str:
    for path in (*self.folder.glob(f'{uploads.UPLOAD}*'), self.upload):
      text = text.replace(str(path), 'The file')
    return text.replace(str(self.folder), 'the folder')


Extract = Callable[
  [Source, Choice, Callable[[Extractor], Watched], pathlib.Path, Listener],
  tuple[dict[str, Any], Record],
]
