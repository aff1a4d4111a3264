"""What extraction writes, in parts that are whole or not there; here the overlay and the masks.

A part is the frames of some windows that follow each other; its folder gets its name when all of
it is written.
"""

import contextlib
import dataclasses
import functools
import json
import pathlib
import pickle
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple, Protocol, runtime_checkable

import cv2
import numpy as np
from PIL import Image

from fmx.extraction import joining
from fmx.labelling.frame_masks import FrameMasks
from fmx.workdir import OVERLAY, UNFINISHED, finishing
from tfds_300vw import face_mask, pictures, placing
from tfds_300vw.video import Frame
from tfds_300vw.video_writer import LabelWriter, VideoWriter

LINES, STATE = 'frames.jsonl', 'state.pickle'
# How the overlay is encoded: as good as 'veryfast' with 18, in a third of the time (docs/speed.md).
_ENCODER: dict[str, Any] = {
  'crf': 20,
  'preset': 'superfast',
  'options': {'aq-mode': '0', 'b_strategy': '0', 'weightp': '0'},
}
# Masks are runs of one number: zlib's Z_RLE writes half as much as its default, in the same time,
# and more than level 3 of 9 only takes time.
PNG_OPTIONS: Mapping[str, Any] = {'compress_level': 3, 'compress_type': 3}


class Labelled(NamedTuple):
  """A frame and what was found in it.

  Attributes:
    name: Of its own files, without a suffix.
    frame: Its picture and its time.
    masks: Of it.
  """

  name: str
  frame: Frame
  masks: FrameMasks


Write = Callable[[Labelled], None]
Pick = Callable[[FrameMasks], np.ndarray]  # Labels or ids, uint8 [H, W].


class PartLayer(Protocol):
  """What is written part by part."""

  def open_part(self, folder: pathlib.Path) -> contextlib.AbstractContextManager[Write]:
    """Begins a part in its folder."""


@runtime_checkable
class Layer(PartLayer, Protocol):
  """One of the outputs, written part by part, that can finish itself."""

  def finish(self, parts: Sequence['Part'], clock: joining.Clock) -> None:
    """Gives the output of all parts its final name."""


@dataclasses.dataclass(frozen=True)
class Part:
  """A part that is whole.

  Attributes:
    folder: Where it lies.
    first: Index of its first frame.
    stop: Index of the frame that follows it.
  """

  folder: pathlib.Path
  first: int
  stop: int

  def lines(self) -> list[str]:
    """What the summary says of each frame, as JSON."""
    return (self.folder / LINES).read_text().splitlines()


def files_of(parts: Sequence[Part], name: str) -> list[tuple[pathlib.Path, int]]:
  """The file of that name in each part, and the index of its first frame."""
  return [(part.folder / name, part.first) for part in parts]


class PngMasks:
  """A PNG with palette for each frame, in a folder."""

  def __init__(self, workdir: pathlib.Path, name: str, pick: Pick, palette: np.ndarray):
    """Says where, what of the masks, and the colour of each of its values, uint8 [K, 3]."""
    self._folder, self._unfinished = workdir / name, workdir / UNFINISHED / name
    self._pick = pick
    self._palette = palette.reshape(-1).tolist()

  @contextlib.contextmanager
  def open_part(self, folder: pathlib.Path) -> Iterator[Write]:
    """As `Layer.open_part`; the files lie together, since a repeated part writes the same again."""
    del folder
    placing.make_folder(self._unfinished)
    written: list[pathlib.Path] = []
    yield lambda labelled: written.append(self._write(labelled))
    for path in written:  # Before the part says that they are there.
      placing.sync(path)
    placing.sync_name(self._unfinished / 'any')

  def finish(self, parts: Sequence[Part], clock: joining.Clock) -> None:
    """As `Layer.finish`."""
    if self._unfinished.exists():  # Else it was done before an interruption.
      placing.place(self._unfinished, self._folder)

  def _write(self, labelled: Labelled) -> pathlib.Path:
    path = self._unfinished / f'{labelled.name}.png'
    picture = Image.fromarray(self._pick(labelled.masks)).convert('L')
    picture.putpalette(self._palette)
    picture.save(path, **PNG_OPTIONS)
    return path


class VideoMasks:
  """One lossless video whose grey levels are the ids."""

  def __init__(self, workdir: pathlib.Path, name: str, pick: Pick, frame_rate: float):
    """Says where, what of the masks, and at which rate parts are written."""
    self._workdir, self._name, self._rate = workdir, f'{name}.mkv', frame_rate
    self._pick = pick

  @contextlib.contextmanager
  def open_part(self, folder: pathlib.Path) -> Iterator[Write]:
    """As `Layer.open_part`."""
    with LabelWriter(folder / self._name, self._rate) as writer:
      yield lambda labelled: writer.write(self._pick(labelled.masks))

  def finish(self, parts: Sequence[Part], clock: joining.Clock) -> None:
    """As `Layer.finish`."""
    with finishing(self._workdir, self._name) as path:
      joining.join(files_of(parts, self._name), path, clock, self._rate)


class Overlay:
  """The frames under the class colours; whoever finishes it adds the sound."""

  def __init__(self, frame_rate: float, pixel_aspect: Fraction | None):
    """Says how parts are written."""
    self._rate, self._pixel_aspect = frame_rate, pixel_aspect

  @contextlib.contextmanager
  def open_part(self, folder: pathlib.Path) -> Iterator[Write]:
    """As `Layer.open_part`."""
    with VideoWriter(
      folder / OVERLAY, self._rate, pixel_aspect=self._pixel_aspect, **_ENCODER
    ) as writer:
      yield lambda labelled: writer.write(paint(labelled.frame.image, labelled.masks.labels))


def paint(frame: np.ndarray, labels: np.ndarray) -> np.ndarray:
  """The same as `pictures.overlay`, several times as fast.

  Args:
    frame: uint8 [H, W, 3], RGB.
    labels: Class ids, uint8 [H, W].

  Returns:
    uint8 [H, W, 3], RGB.
  """
  x, y, width, height = cv2.boundingRect(labels)
  box = slice(y, y + height), slice(x, x + width)
  painted = frame.copy()
  for class_id, levels in enumerate(_painted()):
    inside = (labels[box] == class_id).view(np.uint8)
    if class_id and inside.any():
      cv2.copyTo(cv2.LUT(frame[box], levels), inside, painted[box])
  return painted


@functools.cache
def _painted() -> np.ndarray:
  """What each level of a channel becomes under each class, uint8 [K, 1, 256, 3]."""
  levels = np.arange(256, dtype=np.uint8)[:, None].repeat(3, axis=1)[None]
  return np.stack(
    [
      pictures.overlay(levels, np.full((1, 256), class_id, np.uint8))
      for class_id in range(len(face_mask.CLASS_NAMES))
    ]
  )


def id_colors(count: int = 256) -> np.ndarray:
  """Colours that tell faces apart: black for none, then far apart on the wheel; uint8 [K, 3]."""
  hues = (np.arange(count) * 0.618034) % 1  # The golden ratio: no two near each other.
  distance = np.abs((hues[:, None] * 6 + np.array([0, 4, 2])) % 6 - 3)
  colors = np.round(255 * np.clip(distance - 1, 0, 1)).astype(np.uint8)
  colors[0] = 0
  return colors


class PartWriter:
  """Writes one part; what is not finished is left behind under another name."""

  def __init__(
    self,
    parts: pathlib.Path,
    number: int,
    layers: Mapping[str, PartLayer],
    timed: Callable[[str], contextlib.AbstractContextManager[None]],
  ):
    """Begins part `number`, from 1, in the folder of all parts.

    Args:
      parts: The folder.
      number: Of the part.
      layers: By name.
      timed: Gives a context that is timed under a name, which may be a layer's.
    """
    self._folder, self._partial = parts / f'{number:06d}', parts / f'{number:06d}.partial'
    self._timed = timed
    self._lines: list[str] = []
    shutil.rmtree(self._partial, ignore_errors=True)
    placing.make_folder(self._partial)
    self._stack = contextlib.ExitStack()
    self._write = {
      name: self._stack.enter_context(layer.open_part(self._partial))
      for name, layer in layers.items()
    }

  def abort(self) -> None:
    """Closes what is open, as after an error."""
    error = RuntimeError('A part was not finished.')
    self._stack.__exit__(type(error), error, None)
    shutil.rmtree(self._partial, ignore_errors=True)

  def __len__(self) -> int:
    """Frames so far."""
    return len(self._lines)

  def add(self, labelled: Labelled, entry: dict[str, Any]) -> None:
    """Appends a frame, and what the summary says of it."""
    for name, write in self._write.items():
      with self._timed(name):
        write(labelled)
    self._lines.append(json.dumps(entry, allow_nan=False))

  def finish(self, state: Any) -> None:
    """Gives the part its name, with the state from which the next one goes on."""
    with self._timed('write'):
      self._stack.close()
      (self._partial / LINES).write_text('\n'.join(self._lines) + '\n')
      (self._partial / STATE).write_bytes(pickle.dumps(state))
      placing.place(self._partial, self._folder)
      for older in self._folder.parent.glob(f'*/{STATE}'):  # Each may hold a frame or more.
        if older.parent != self._folder and older.parent.suffix != '.partial':
          older.unlink()


def read_parts(parts: pathlib.Path) -> tuple[list[Part], Any]:
  """The whole parts in order, and the state after the last of them; None if there is none."""
  found, first = [], 0
  for folder in sorted(parts.glob('[0-9]' * 6)):
    stop = first + (folder / LINES).read_bytes().count(b'\n')
    found.append(Part(folder, first, stop))
    first = stop
  return found, pickle.loads((found[-1].folder / STATE).read_bytes()) if found else None
