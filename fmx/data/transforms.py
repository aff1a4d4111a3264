"""Frames and labels at the network's size, and the random changes that training may make to them.

A window's frames share one draw, and labels follow the geometry alone: they are amodal, and no
class has a left or a right of its own.
"""

import dataclasses
import math
import statistics
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

# Quantiles of the standard normal distribution, so that a random byte gives a draw from it.
_NORMAL = np.array([statistics.NormalDist().inv_cdf((byte + 0.5) / 256) for byte in range(256)])
_LUMA = np.tile([0.299, 0.587, 0.114], (3, 1))  # Of R, G and B.


def resize_frame(frame: np.ndarray, size: int) -> np.ndarray:
  """Resizes a frame to a square, bilinearly and with antialiasing.

  Args:
    frame: uint8 [h, w, 3].
    size: Side in pixels.

  Returns:
    uint8 [size, size, 3].
  """
  if frame.shape[:2] == (size, size):
    return frame
  return np.asarray(Image.fromarray(frame).resize((size, size), Image.Resampling.BILINEAR))


def resize_labels(labels: np.ndarray, size: int) -> np.ndarray:
  """Resizes class ids to a square: each pixel takes the id at its centre, so no id is new.

  Args:
    labels: uint8 [h, w].
    size: Side in pixels.

  Returns:
    uint8 [size, size].
  """
  centres = 2 * np.arange(size) + 1  # In half pixels of the result.
  rows, columns = (centres * side // (2 * size) for side in labels.shape)
  return labels.take(rows, axis=0).take(columns, axis=1)


def resize_window(
  frames: Sequence[np.ndarray], labels: Sequence[np.ndarray], size: int
) -> tuple[np.ndarray, np.ndarray]:
  """Brings the frames of a window, whose sizes may differ, to one size.

  Args:
    frames: T images, uint8 [h, w, 3].
    labels: T maps of class ids, uint8 [h, w].
    size: Side in pixels.

  Returns:
    uint8 [T, size, size, 3] and uint8 [T, size, size].
  """
  return (
    np.stack([resize_frame(frame, size) for frame in frames]),
    np.stack([resize_labels(frame_labels, size) for frame_labels in labels]),
  )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Augmentation:
  """How much training clips are changed at random. Everything is off by default, as in the paper.

  Each strength is the end of a uniform draw, made once for all frames of a window.

  Attributes:
    flip: Probability of a mirror image, in [0, 1].
    scale: Largest relative change of size, in [0, 1): 0.2 draws factors from 1/1.2 to 1.2.
    shift: Largest shift in x and in y, as a share of the side, in [0, 1).
    rotation: Largest angle, in degrees, in [0, 180].
    brightness: Largest change of brightness, as a share of the range of grey levels, in [0, 1].
    contrast: Largest relative change of contrast, in [0, 1].
    color: Largest relative change of each channel, in [0, 1].
    saturation: Largest relative change of saturation, in [0, 1].
    blur: Largest standard deviation of a Gaussian blur, in pixels of the resized frame.
    noise: Largest standard deviation of Gaussian noise, in grey levels; drawn anew in each frame.
    occlusion: Probability that a patch of one colour hides part of the frames, in [0, 1]. Labels
      stay: they are amodal.
    occlusion_size: Largest side of that patch, as a share of the frame's side, in [0, 1].
  """

  flip: float = 0.0
  scale: float = 0.0
  shift: float = 0.0
  rotation: float = 0.0
  brightness: float = 0.0
  contrast: float = 0.0
  color: float = 0.0
  saturation: float = 0.0
  blur: float = 0.0
  noise: float = 0.0
  occlusion: float = 0.0
  occlusion_size: float = 0.4

  def __post_init__(self) -> None:
    """Refuses strengths outside their range.

    Raises:
      ValueError: names the option and its range.
    """
    below = {'scale': 1, 'shift': 1, 'blur': math.inf}
    at_most = {'rotation': 180, 'noise': 255}
    for name, value in dataclasses.asdict(self).items():
      if name in below:
        legal, holds = f'below {below[name]}', 0 <= value < below[name]
      else:
        end = at_most.get(name, 1)
        legal, holds = f'at most {end}', 0 <= value <= end
      if not holds:
        raise ValueError(f'Augmentation: {name} is {value!r}; it must be at least 0 and {legal}.')


def augment(
  frames: np.ndarray, labels: np.ndarray, augmentation: Augmentation, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
  """Changes a window at random: its geometry with the labels', its colours, its sharpness.

  Args:
    frames: uint8 [T, S, S, 3], RGB.
    labels: uint8 [T, S, S].
    augmentation: What is allowed.
    rng: Draws once for the whole window; only the noise differs between frames.

  Returns:
    New frames and labels of the same shapes. What comes into view from outside is black, and
    background.
  """
  if augmentation.flip and rng.random() < augmentation.flip:
    frames, labels = frames[:, :, ::-1], labels[:, :, ::-1]
  if (
    augmentation.brightness
    or augmentation.contrast
    or augmentation.color
    or augmentation.saturation
  ):
    frames = recolor(frames, **_draw_colors(augmentation, rng))
  if augmentation.scale or augmentation.shift or augmentation.rotation:
    frames, labels = warp(frames, labels, _draw_affine(augmentation, frames.shape[1], rng))
  if augmentation.occlusion and rng.random() < augmentation.occlusion:
    frames = occlude(frames, augmentation.occlusion_size, rng)
  if augmentation.blur:
    frames = blur(frames, rng.uniform(0, augmentation.blur))
  if augmentation.noise:
    frames = add_noise(frames, rng.uniform(0, augmentation.noise), rng)
  return np.ascontiguousarray(frames), np.ascontiguousarray(labels)


def affine(
  side: int,
  *,
  scale: float = 1.0,
  angle: float = 0.0,
  shift: tuple[float, float] = (0.0, 0.0),
) -> np.ndarray:
  """The map that scales and turns a square image about its centre, then shifts it.

  Args:
    side: Of the image, in pixels.
    scale: Above 1 enlarges.
    angle: In degrees, clockwise as seen.
    shift: To the right and down, in pixels.

  Returns:
    float64 [2, 3] that takes (x, y, 1) of a pixel, its centre at whole numbers, to its new place.
  """
  centre = (side - 1) / 2
  cosine, sine = scale * math.cos(math.radians(angle)), scale * math.sin(math.radians(angle))
  linear = np.array([[cosine, -sine], [sine, cosine]])
  return np.column_stack([linear, centre + np.array(shift) - linear @ [centre, centre]])


def warp(
  frames: np.ndarray, labels: np.ndarray, matrix: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Moves frames (bilinearly) and labels (nearest) alike; outside lies black, and background.

  Args:
    frames: uint8 [T, S, S, 3].
    labels: uint8 [T, S, S].
    matrix: As `affine` gives it.
  """
  moved = {}
  for flag, images in ((cv2.INTER_LINEAR, frames), (cv2.INTER_NEAREST, labels)):
    moved[flag] = np.stack(
      [
        cv2.warpAffine(np.ascontiguousarray(image), matrix, image.shape[1::-1], flags=flag)
        for image in images
      ]
    )
  return moved[cv2.INTER_LINEAR], moved[cv2.INTER_NEAREST]


def recolor(
  frames: np.ndarray,
  *,
  brightness: float = 0.0,
  contrast: float = 1.0,
  gains: Sequence[float] = (1.0, 1.0, 1.0),
  saturation: float = 1.0,
) -> np.ndarray:
  """Changes colours: saturation, then gain by channel, then contrast, then brightness.

  Args:
    frames: uint8 [T, S, S, 3], RGB.
    brightness: Added, in grey levels.
    contrast: Factor of the distance from grey level 127.5.
    gains: Factors of R, G and B.
    saturation: Factor of the distance from the pixel's own grey; 0 leaves grey.
  """
  matrix = np.diag(gains) @ (saturation * np.eye(3) + (1 - saturation) * _LUMA)
  offset = np.full((3, 1), 127.5 * (1 - contrast) + brightness)
  rows = np.ascontiguousarray(frames).reshape(-1, *frames.shape[2:])
  return cv2.transform(rows, np.hstack([contrast * matrix, offset])).reshape(frames.shape)


def occlude(frames: np.ndarray, largest: float, rng: np.random.Generator) -> np.ndarray:
  """Hides a rectangle, the same in all frames, behind one random colour.

  Args:
    frames: uint8 [T, S, S, 3].
    largest: Side of the rectangle, as a share of S; the smallest is a quarter of it.
    rng: Draws place, size and colour.
  """
  side = frames.shape[1]
  height, width = np.ceil(rng.uniform(largest / 4, largest, 2) * side).astype(int)
  top, left = rng.integers(0, side - height + 1), rng.integers(0, side - width + 1)
  hidden = frames.copy()
  hidden[:, top : top + height, left : left + width] = rng.integers(0, 256, 3)
  return hidden


def blur(frames: np.ndarray, deviation: float) -> np.ndarray:
  """Blurs each frame, uint8 [S, S, 3], by a Gaussian of that standard deviation in pixels."""
  if deviation <= 0:
    return frames
  return np.stack([cv2.GaussianBlur(frame, (0, 0), deviation) for frame in frames])


def add_noise(frames: np.ndarray, deviation: float, rng: np.random.Generator) -> np.ndarray:
  """Adds Gaussian noise, cut off at 2.9 standard deviations, to every value of every frame.

  Args:
    frames: uint8 [T, S, S, 3].
    deviation: In grey levels.
    rng: Draws one byte a value, which is much quicker than a normal draw.
  """
  draws = np.frombuffer(rng.bytes(frames.size), np.uint8).reshape(len(frames), -1)
  noise = cv2.LUT(draws, np.rint(deviation * _NORMAL).astype(np.int16)[None])
  rows = np.ascontiguousarray(frames).reshape(noise.shape)
  return cv2.add(rows, noise, dtype=cv2.CV_8U).reshape(frames.shape)


def _draw_affine(augmentation: Augmentation, side: int, rng: np.random.Generator) -> np.ndarray:
  shift = rng.uniform(-augmentation.shift, augmentation.shift, 2) * side
  return affine(
    side,
    scale=(1 + augmentation.scale) ** rng.uniform(-1, 1),
    angle=rng.uniform(-augmentation.rotation, augmentation.rotation),
    shift=(shift[0], shift[1]),
  )


def _draw_colors(augmentation: Augmentation, rng: np.random.Generator) -> dict:
  return {
    'brightness': 255 * rng.uniform(-augmentation.brightness, augmentation.brightness),
    'contrast': 1 + rng.uniform(-augmentation.contrast, augmentation.contrast),
    'gains': 1 + rng.uniform(-augmentation.color, augmentation.color, 3),
    'saturation': 1 + rng.uniform(-augmentation.saturation, augmentation.saturation),
  }
