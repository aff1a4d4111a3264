"""Where frames come from: a video file, a folder of pictures, or one picture."""

import dataclasses
import math
import pathlib
import re
from collections.abc import Generator, Iterable, Sequence
from fractions import Fraction
from typing import Any, Protocol, cast

import numpy as np
from PIL import ExifTags, Image, ImageOps

from tfds_300vw import video
from tfds_300vw.video import Frame, VideoError
from tfds_300vw.video_packets import open_video, tabulate

PICTURES = ('.png', '.jpg', '.jpeg')
FOLDER_RATE = 25.0  # Frames a second, of what has no clock.
_DECODING_THREADS = 2
_FINEST_CLOCK = 10**6  # Ticks a second; finer ones are no video's.


@dataclasses.dataclass(frozen=True)
class Properties:
  """What is known of a source before its frames are read.

  Attributes:
    path: Absolute.
    kind: 'video' or 'pictures'.
    num_frames: How many there should be; a damaged end makes them fewer.
    frame_rate: Frames a second, average.
    height: Pixels, upright.
    width: Pixels, upright.
    rotation: Degrees counter-clockwise, by which stored frames are turned.
    codec: By FFmpeg's name, or the kind of picture.
    pixel_aspect: Width of a pixel by its height, upright; None if the file says nothing.
    start: Of frame 0 on the file's clock, seconds: what the sound is in step with.
    clock: Ticks a second of the file's time stamps; None if it has none.
    address: What people know it by, where that is not the path.
  """

  path: pathlib.Path
  kind: str
  num_frames: int
  frame_rate: float
  height: int
  width: int
  rotation: int
  codec: str
  pixel_aspect: Fraction | None = None
  start: float = 0.0
  clock: Fraction | None = None
  address: str = ''


class Source(Protocol):
  """Frames in order, from any of them on."""

  properties: Properties
  files: Sequence[pathlib.Path]

  def frames(self, start: int = 0) -> Generator[Frame, None, None]:
    """Yields the frames from number `start` on.

    Raises:
      VideoError: after the frames that are whole, the others cannot be read.
    """

  def name(self, index: int) -> str:
    """What the frame's own files are called, without a suffix."""


def open_source(path: str | pathlib.Path) -> Source:
  """Looks at what a person names as the video.

  Args:
    path: A video file, a folder of pictures (.png or .jpg, in the order of the numbers in their
      names, all of one size), or one picture.

  Raises:
    FileNotFoundError: there is nothing at that path.
    ValueError: it is no video, or a folder without pictures or with pictures of several sizes.
  """
  if not str(path):
    raise ValueError(
      "video is '': give a file, or a folder of frames, for instance --config.video=clip.mp4."
    )
  path = pathlib.Path(path).expanduser().absolute()
  if path.is_dir():
    return PictureFolder(path)
  if not path.exists():
    raise FileNotFoundError(f'{path}: there is no such file; check the path.')
  return PictureFolder(path) if path.suffix.lower() in PICTURES else VideoFile(path)


def identity(path: pathlib.Path, files: Iterable[pathlib.Path]) -> dict[str, Any]:
  """What tells a file or a folder from another one, or from itself after a change.

  Args:
    path: Of a file or folder.
    files: The file itself, or those in the folder that count.

  Returns:
    The absolute path, and the number, the bytes and the time of change (nanoseconds) of the files.
  """
  found = [file.stat() for file in files]
  return {
    'path': str(path.absolute()),
    'files': len(found),
    'bytes': sum(s.st_size for s in found),
    'modified': max((s.st_mtime_ns for s in found), default=0),
  }


class VideoFile:
  """Any file that FFmpeg reads; frames come upright."""

  def __init__(self, path: pathlib.Path):
    """Reads the packets and the first frame.

    Raises:
      VideoError: not a video, or one without a frame.
    """
    info = video.probe(path)
    table, _, _ = tabulate(path)
    with open_video(path) as (_, stream):
      aspect, start = stream.sample_aspect_ratio, stream.start_time
      clock = 1 / cast(Fraction, stream.time_base)
    self.files: Sequence[pathlib.Path] = [path]
    self._is_exact = info.is_exact
    self._is_cut = table.is_cut
    self._num_declared = info.num_declared
    if table.order is not None:
      stamps = cast(list[int], table.pts)  # What is in order has them all.
      start = min(stamp for stamp, hidden in zip(stamps, table.is_hidden) if not hidden)
    elif table.dts[0] is not None:  # As in AVI, where players make up the others.
      start = table.dts[0]
    self.properties = Properties(
      path=path,
      kind='video',
      num_frames=info.num_frames,
      frame_rate=info.frame_rate,
      height=info.height,
      width=info.width,
      rotation=info.rotation,
      codec=info.codec,
      pixel_aspect=_upright(aspect, info.rotation),
      start=float((start or 0) / clock),
      clock=clock if clock <= _FINEST_CLOCK else None,
    )

  def frames(self, start: int = 0) -> Generator[Frame, None, None]:
    """As `Source.frames`; the same damage is found whatever the start."""
    path, stop = self.properties.path, self.properties.num_frames
    if not self._is_exact:
      frames = video.read_frames(path, threads=_DECODING_THREADS)
      yield from (frame for frame in frames if frame.index >= start)
      return
    yield from video.read_frames(path, [(start, stop)], threads=_DECODING_THREADS)
    if self._is_cut:
      promised = f' of {self._num_declared}' if self._num_declared > stop else ''
      raise VideoError(f'{path}: cut off at frame {stop}{promised}; copy the file again.')

  def name(self, index: int) -> str:
    """The number from 1, as 300VW counts."""
    return f'{index + 1:06d}'


class PictureFolder:
  """The pictures of a folder, or one picture alone, as a video of 25 frames a second."""

  def __init__(self, path: pathlib.Path):
    """Lists the pictures and compares their sizes.

    Raises:
      ValueError: there is none, or their sizes differ.
      OSError: one of them is no picture.
    """
    files = [path] if path.is_file() else sorted(_pictures(path), key=_natural)
    if not files:
      raise ValueError(f'{path}: no picture in this folder; give one with .png or .jpg files.')
    self.files: Sequence[pathlib.Path] = files
    self._names = [file.stem for file in files]
    if len(set(self._names)) < len(files):  # Such as 1.png beside 1.jpg.
      self._names = [f'{i + 1:06d}' for i in range(len(files))]
    width, height = _size(files[0])
    for file in files[1:]:
      if _size(file) != (width, height):
        raise ValueError(
          f'{file} is {"x".join(map(str, _size(file)))} where {files[0].name} is {width}x{height}: '
          'give frames of one size.'
        )
    self.properties = Properties(
      path=path,
      kind='pictures',
      num_frames=len(files),
      frame_rate=FOLDER_RATE,
      height=height,
      width=width,
      rotation=0,
      codec=files[0].suffix.lower().lstrip('.'),
    )

  def frames(self, start: int = 0) -> Generator[Frame, None, None]:
    """As `Source.frames`."""
    for index, file in enumerate(self.files[start:], start):
      try:
        with Image.open(file) as picture:
          upright = ImageOps.exif_transpose(picture) if picture.format == 'JPEG' else picture
          image = np.asarray(upright.convert('RGB'))
      except (OSError, SyntaxError, ValueError) as error:  # What Pillow says of damaged files.
        raise VideoError(f'{file} cannot be read ({error}); copy it again.') from error
      yield Frame(index, index / FOLDER_RATE, image)

  def name(self, index: int) -> str:
    """The picture's own name, where no other one has it too."""
    return self._names[index]


def _pictures(folder: pathlib.Path) -> list[pathlib.Path]:
  return [
    path
    for path in folder.iterdir()
    if path.suffix.lower() in PICTURES and not path.name.startswith('.')
  ]


def _natural(path: pathlib.Path) -> tuple[list[str | int], str]:
  """Sorts frame2 before frame10."""
  parts = re.split(r'(\d+)', path.name)
  return [int(part) if i % 2 else part.lower() for i, part in enumerate(parts)], path.name


def _size(file: pathlib.Path) -> tuple[int, int]:
  """Width and height of a picture, upright, without decoding it."""
  try:
    with Image.open(file) as picture:
      # Orientations 5 to 8 lie on their side. Other kinds have theirs at the end, if at all.
      turned = picture.format == 'JPEG' and picture.getexif().get(ExifTags.Base.Orientation, 1) >= 5
      return picture.size[::-1] if turned else picture.size
  except (OSError, SyntaxError) as error:
    raise OSError(f'{file} is no picture ({error}); remove it or copy it again.') from error


def _upright(aspect: Fraction | None, rotation: int) -> Fraction | None:
  if not aspect or aspect == 1 or not math.isfinite(aspect):
    return None
  return 1 / aspect if rotation % 180 else aspect
