"""A portrait filmed by a virtual camera: it pans, zooms and rolls, and something passes the face.

`astronaut.jpg` is the upper part of NASA's portrait of the astronaut Eileen Collins, public domain,
as scikit-image ships it (`skimage/data/astronaut.png`, from NASA's Great Images, flic.kr/p/r9qvLn).
"""

import pathlib
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from tfds_300vw.video import write_video

PORTRAIT = pathlib.Path(__file__).with_name('astronaut.jpg')
WIDTH, HEIGHT, FRAME_RATE = 480, 360, 25  # Pixels, frames a second.


class Shot(NamedTuple):
  """Where the camera looks at a moment, in pixels of the portrait."""

  second: float
  x: float  # Of the middle of the frame.
  y: float
  height: float  # Of what it shows.
  roll: float  # Degrees, clockwise as the camera turns.


# From shot to shot the camera moves smoothly, and never sees beyond the portrait.
SHOTS = (
  Shot(0.0, 256, 200, 370, 0),
  Shot(1.0, 228, 128, 215, 0),
  Shot(1.6, 224, 126, 170, 20),
  Shot(2.3, 224, 126, 170, -20),
  Shot(2.9, 236, 140, 230, 0),
  Shot(3.6, 236, 140, 230, 0),
  Shot(4.2, 270, 190, 330, 6),
)
NUM_FRAMES = round(SHOTS[-1].second * FRAME_RATE)
# What passes: when it comes in and has left, its half axes and its height in the frame (shares of
# the frame's height), the width of its soft edge (pixels) and its colour.
PASSING, AXES, PASSING_HEIGHT, EDGE, COLOR = (2.6, 3.9), (0.13, 0.2), 0.52, 6.0, (52, 58, 74)


def write_clip(path: pathlib.Path) -> None:
  """Writes the clip.

  Args:
    path: Of the video.

  Raises:
    OSError: it cannot be written.
  """
  write_video(path, frames(), FRAME_RATE)


def frames() -> Iterator[np.ndarray]:
  """Yields the frames of the clip, uint8 [HEIGHT, WIDTH, 3], RGB."""
  with Image.open(PORTRAIT) as picture:
    portrait = np.asarray(picture.convert('RGB'))
  for index in range(NUM_FRAMES):
    second = index / FRAME_RATE
    frame = cv2.warpAffine(
      portrait,
      camera(second),
      (WIDTH, HEIGHT),
      flags=cv2.INTER_CUBIC,
      borderMode=cv2.BORDER_REFLECT_101,
    )
    yield passed(frame, second)


def shot_at(second: float) -> Shot:
  """Where the camera looks."""
  times = np.array([shot.second for shot in SHOTS])
  after = int(np.clip(np.searchsorted(times, second), 1, len(SHOTS) - 1))
  share = np.clip((second - times[after - 1]) / (times[after] - times[after - 1]), 0, 1)
  share = (1 - np.cos(np.pi * share)) / 2
  before, behind = np.array(SHOTS[after - 1]), np.array(SHOTS[after])
  return Shot(*((1 - share) * before + share * behind).tolist())


def camera(second: float) -> np.ndarray:
  """The way from pixels of the portrait to those of the frame, float64 [2, 3]."""
  shot = shot_at(second)
  scale, angle = HEIGHT / shot.height, np.deg2rad(shot.roll)
  linear = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
  middle = np.array([(WIDTH - 1) / 2, (HEIGHT - 1) / 2])
  return np.concatenate([linear, (middle - linear @ (shot.x, shot.y))[:, None]], axis=1)


def passed(frame: np.ndarray, second: float) -> np.ndarray:
  """The frame with what passes at that time before it."""
  start, stop = PASSING
  if not start < second < stop:
    return frame
  across, down = (axis * HEIGHT for axis in AXES)
  share = (second - start) / (stop - start)
  x = -across + share * (WIDTH + 2 * across)
  rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
  distance = np.hypot((columns - x) / across, (rows - PASSING_HEIGHT * HEIGHT) / down)
  cover = np.clip((1 - distance) * min(across, down) / EDGE + 0.5, 0, 1)[..., None]
  return np.round(frame * (1 - cover) + np.array(COLOR) * cover).astype(np.uint8)
