"""What a browser may hand in, and what of it is refused."""

import dataclasses
import pathlib

import av
from PIL import Image

from fmx.extraction.sources import PictureFolder, Source, VideoFile
from tfds_300vw.video import VideoError
from tfds_300vw.video_packets import open_container

# FFmpeg's names. Playlists and the like are not among them: they name other files, and FFmpeg would
# open those.
FORMATS = ('mov', 'matroska', 'webm', 'avi', 'mpegts', 'mpeg', 'ogg', 'asf', 'flv', 'gif')
PICTURES = {'PNG': '.png', 'JPEG': '.jpg'}  # Pillow's names, and what such a file is called.
CONVERTED = ('WEBP', 'BMP')  # To PNG.
UPLOAD = 'upload'  # The file's name here, whatever it was.


@dataclasses.dataclass(frozen=True)
class Limits:
  """What is refused; see `app` in `configs/primary.py`."""

  max_megabytes: float
  max_seconds: float
  max_megapixels: float
  max_faces: int

  @property
  def max_bytes(self) -> int:
    """Of an upload."""
    return int(self.max_megabytes * 1e6)

  def check_bytes(self, count: int) -> None:
    """Raises ValueError if an upload is too large."""
    if count > self.max_bytes:
      raise ValueError(
        f'The file has more than {self.max_megabytes:g} MB; cut it, or make it smaller.'
      )

  def check_pixels(self, width: int, height: int) -> None:
    """Raises ValueError if frames are too large."""
    if width * height > self.max_megapixels * 1e6:
      raise ValueError(
        f'It has {width} x {height} pixels; at most {self.max_megapixels:g} million are taken: '
        'make it smaller.'
      )


def opened(path: pathlib.Path, limits: Limits) -> Source:
  """Opens an upload.

  Args:
    path: A file in a folder of its own; a picture gets another name in it.
    limits: What is refused.

  Raises:
    ValueError: it is neither a picture nor a video, or too large or long; the sentence may name the
      path.
    OSError: it is damaged.
  """
  kind = _picture(path, limits)
  if kind is not None:
    as_file = path.with_suffix(PICTURES.get(kind, '.png'))
    if kind in PICTURES:
      path.rename(as_file)
    else:
      with Image.open(path) as picture:
        picture.convert('RGB').save(as_file)
    return PictureFolder(as_file)
  _check_format(path)
  source = VideoFile(path)
  found = source.properties
  limits.check_pixels(found.width, found.height)
  seconds = found.num_frames / found.frame_rate
  if seconds > limits.max_seconds:
    raise ValueError(
      f'The video takes {seconds:.0f} s; at most {limits.max_seconds:g} s are taken: cut it.'
    )
  return source


def _picture(path: pathlib.Path, limits: Limits) -> str | None:
  """The format of a picture; None for what is none."""
  try:
    with Image.open(path, formats=(*PICTURES, *CONVERTED)) as picture:
      limits.check_pixels(*picture.size)
      return picture.format
  except (OSError, SyntaxError, Image.DecompressionBombError):
    return None


def _check_format(path: pathlib.Path) -> None:
  """Raises VideoError for a file that is no video in itself."""
  options = {'format_whitelist': ','.join(FORMATS), 'protocol_whitelist': 'file'}
  try:
    with open_container(path, options) as container:
      if container.streams.video:
        return
  except (av.FFmpegError, OSError):
    pass
  raise VideoError('It is neither a video nor a picture that can be read here; give another file.')
