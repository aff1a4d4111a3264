"""A page of frames of a video, evenly spread over it."""

import pathlib

import numpy as np
from PIL import Image

from fmx.extraction.sources import open_source
from fmx.extraction.square_pixels import as_shown
from tfds_300vw import pictures, video

CONTACT_SHEET = 'contact_sheet.png'
_PICTURES, _COLUMNS, _SIZE = 24, 6, 240  # The size in pixels.


def draw_contact_sheet(path: pathlib.Path, to: pathlib.Path) -> None:
  """Draws frames of a video side by side.

  Args:
    path: The video, with masks painted over it.
    to: Where the PNG goes.

  Raises:
    OSError: it cannot be written.
  """
  count = video.probe(path).num_frames
  indices = np.unique(np.linspace(0, count - 1, min(count, _PICTURES)).round().astype(int)).tolist()
  frames = list(video.read_frames(path, [(i, i + 1) for i in indices]))
  aspect = open_source(path).properties.pixel_aspect
  rows = [frames[i : i + _COLUMNS] for i in range(0, len(frames), _COLUMNS)]
  sheet = pictures.sheet(
    [
      pictures.Row(
        [as_shown(frame.image, aspect) for frame in row], [_caption(frame) for frame in row]
      )
      for row in rows
    ],
    size=_SIZE,
  )
  Image.fromarray(sheet).save(to, 'PNG')


def _caption(frame: video.Frame) -> str:
  minutes, seconds = divmod(frame.time, 60)
  return f'frame {frame.index + 1}   {minutes:.0f}:{seconds:04.1f}'
