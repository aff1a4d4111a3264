"""What may come between a camera and a face: things in front of it, poor light, poor video.

Labels stay as they are: masks are complete behind whatever hides a face.
"""

import dataclasses
from collections.abc import Callable

import cv2
import numpy as np

from fmx.data.transforms import add_noise, blur, recolor

Donor = Callable[[np.random.Generator], np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spoiling:
  """How a training window is spoiled; everything is off by default.

  Attributes:
    occluders: Probability of things in front of the face, one to three of them.
    occluder_size: Largest extent of one, as a share of the side.
    donors: Share of the occluders that show a piece of another training picture, faces included.
    glasses: Probability of drawn glasses.
    brightness: Largest change, as a share of the range.
    contrast: Largest change, relative.
    color: Largest change of a channel, relative.
    gamma: Largest change of the exponent, relative.
    gray: Probability of a grey picture.
    blur: Largest standard deviation, pixels.
    motion_blur: Probability of a streak of up to a tenth of the side.
    low_resolution: Probability of the detail of a smaller picture.
    lowest_resolution: Its least size, as a share of the side.
    noise: Largest standard deviation, grey levels.
    jpeg: Probability of JPEG's blocks, of qualities from 10 to 70.
  """

  occluders: float = 0.0
  occluder_size: float = 0.6
  donors: float = 0.4
  glasses: float = 0.0
  brightness: float = 0.0
  contrast: float = 0.0
  color: float = 0.0
  gamma: float = 0.0
  gray: float = 0.0
  blur: float = 0.0
  motion_blur: float = 0.0
  low_resolution: float = 0.0
  lowest_resolution: float = 0.2
  noise: float = 0.0
  jpeg: float = 0.0

  def __post_init__(self) -> None:
    """Refuses values out of range.

    Raises:
      ValueError: names the option.
    """
    for name, value in dataclasses.asdict(self).items():
      most = {'blur': np.inf, 'noise': np.inf}.get(name, 1.0)
      if not 0 <= value <= most:
        raise ValueError(f'spoiling.{name} is {value}; it must be from 0 to {most}.')


def spoil(
  frame: np.ndarray,
  spoiling: Spoiling,
  rng: np.random.Generator,
  *,
  eyes: np.ndarray | None = None,
  donor: Donor | None = None,
) -> np.ndarray:
  """Spoils a picture.

  Args:
    frame: uint8 [S, S, 3], RGB.
    spoiling: How.
    rng: Draws.
    eyes: Centres of the eyes [2, 2], x then y, pixels, for glasses.
    donor: Gives another picture, uint8 [S, S, 3], for pieces of it.

  Returns:
    uint8 [S, S, 3]; `frame` is left as it is.
  """
  frame = frame.copy()
  if eyes is not None and rng.random() < spoiling.glasses:
    _put_glasses(frame, eyes, rng)
  if rng.random() < spoiling.occluders:
    for _ in range(rng.integers(1, 4) if rng.random() < 0.4 else 1):
      _put_occluder(frame, spoiling, rng, donor)
  frame = _relight(frame, spoiling, rng)
  return _film(frame, spoiling, rng)


def _put_occluder(
  frame: np.ndarray, spoiling: Spoiling, rng: np.random.Generator, donor: Donor | None
) -> None:
  """Hides a part of a picture, in place."""
  side = frame.shape[0]
  mask = SHAPES[rng.integers(len(SHAPES))](side, spoiling.occluder_size * side, rng)
  if donor is not None and rng.random() < spoiling.donors:
    shown = donor(rng)
  else:
    shown = filling(frame, rng)
  opacity: np.ndarray = mask * (1.0 if rng.random() < 0.85 else rng.uniform(0.4, 0.9))
  if rng.random() < 0.4:
    opacity = cv2.GaussianBlur(opacity, (0, 0), rng.uniform(0.5, 0.02 * side + 0.6))
  opacity = opacity[..., None]
  frame[...] = np.rint(frame + (shown.astype(np.float32) - frame) * opacity)


def _ellipse(side: int, most: float, rng: np.random.Generator) -> np.ndarray:
  mask = np.zeros((side, side), np.float32)
  axes = rng.uniform(most / 8, most / 2, 2)
  cv2.ellipse(
    mask, _place(side, rng), axes.astype(int).tolist(), rng.uniform(0, 180), 0, 360, 1, -1
  )
  return mask


def _polygon(side: int, most: float, rng: np.random.Generator) -> np.ndarray:
  mask = np.zeros((side, side), np.float32)
  angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 9)))
  radii = rng.uniform(most / 5, most / 1.8, len(angles))
  points = np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)
  cv2.fillPoly(mask, [(points + _place(side, rng)).astype(np.int32)], 1)
  return mask


def _bar(side: int, most: float, rng: np.random.Generator) -> np.ndarray:
  """A microphone's stand, a strand of hair, the edge of a door."""
  mask = np.zeros((side, side), np.float32)
  start, stop = np.array(_place(side, rng)), rng.uniform(-0.3, 1.3, 2) * side
  start, stop = (1.5 * start - 0.5 * stop).astype(int), stop.astype(int)
  thickness = int(np.ceil(rng.uniform(0.01, 0.25) * most))
  cv2.line(mask, start.tolist(), stop.tolist(), 1, max(thickness, 1))
  return mask


def _hand(side: int, most: float, rng: np.random.Generator) -> np.ndarray:
  """Fingers side by side and a palm below them."""
  mask = np.zeros((side, side), np.float32)
  palm, angle = np.array(_place(side, rng), np.float64), rng.uniform(0, 2 * np.pi)
  width = rng.uniform(0.08, 0.2) * most
  along, across = (
    np.array([np.cos(angle), np.sin(angle)]),
    np.array([-np.sin(angle), np.cos(angle)]),
  )
  for finger in range(rng.integers(2, 5)):
    base = palm + (finger - 1.5) * width * 1.05 * across
    tip = base + rng.uniform(2.0, 4.0) * width * (along + rng.uniform(-0.15, 0.15) * across)
    cv2.line(mask, base.astype(int).tolist(), tip.astype(int).tolist(), 1, max(int(width), 1))
  axes = (int(2.1 * width) + 1, int(2.3 * width) + 1)
  cv2.ellipse(mask, palm.astype(int).tolist(), axes, float(np.degrees(angle)), 0, 360, 1, -1)
  return mask


def _writing(side: int, most: float, rng: np.random.Generator) -> np.ndarray:
  mask = np.zeros((side, side), np.uint8)  # OpenCV 5 writes into nothing else.
  text = ''.join(chr(code) for code in rng.integers(33, 123, rng.integers(3, 12)))
  place = (int(rng.uniform(-0.1, 0.5) * side), int(rng.uniform(0.1, 1.0) * side))
  size = rng.uniform(0.2, 0.7) * most / 40
  cv2.putText(mask, text, place, int(rng.integers(0, 8)), size, 1, max(int(2 * size), 1))
  return mask.astype(np.float32)


SHAPES = (_ellipse, _ellipse, _polygon, _bar, _hand, _writing)


def filling(frame: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  """Something to see on an occluder: a colour, often one of the picture's, with some structure.

  Args:
    frame: uint8 [H, W, 3], what it is put in front of.
    rng: Draws.

  Returns:
    float32 [H, W, 3], in [0, 255].
  """
  height, width = frame.shape[:2]
  if rng.random() < 0.5:  # Skin, hair, clothes.
    place = [int(rng.integers(edge // 4, max(3 * edge // 4, 1))) for edge in (height, width)]
    color = frame[place[0], place[1]].astype(np.float32)
    color = np.clip(color * rng.uniform(0.7, 1.3), 0, 255)
  else:
    color = rng.uniform(0, 255, 3).astype(np.float32)
  filled = np.broadcast_to(color, frame.shape).astype(np.float32)
  kind = rng.random()
  if kind < 0.35:
    return filled
  cells = int(rng.integers(2, 4 if kind < 0.7 else 24))  # Folds and shadows, or a pattern.
  coarse = rng.normal(0, rng.uniform(5, 60), (cells, cells, 1 if kind < 0.85 else 3))
  how = cv2.INTER_CUBIC if rng.random() < 0.7 else cv2.INTER_NEAREST
  fine = cv2.resize(coarse.astype(np.float32), (width, height), interpolation=how)
  return np.clip(filled + fine.reshape(height, width, -1), 0, 255)


def _put_glasses(frame: np.ndarray, eyes: np.ndarray, rng: np.random.Generator) -> None:
  """Draws two lenses and the bridge between them, in place."""
  line = eyes[1] - eyes[0]
  distance = float(np.hypot(*line))
  angle = float(np.degrees(np.arctan2(line[1], line[0])))
  radii = distance * rng.uniform((0.28, 0.18), (0.48, 0.4))
  axes = np.maximum(radii.astype(int), 1).tolist()
  color = (rng.uniform(0, 255, 3) * (rng.random() < 0.4)).tolist()
  thickness = max(int(distance * rng.uniform(0.02, 0.08)), 1)
  drawn = frame.copy()
  centres = [
    tuple((eye + rng.uniform(-0.03, 0.03, 2) * distance).astype(int).tolist()) for eye in eyes
  ]
  if rng.random() < 0.5:  # Dark ones.
    shade = (rng.uniform(0, 90, 3)).tolist()
    for centre in centres:
      cv2.ellipse(drawn, centre, axes, angle, 0, 360, shade, -1)
    opacity = rng.uniform(0.4, 1.0)
    frame[...] = cv2.addWeighted(drawn, opacity, frame, 1 - opacity, 0)
  for centre in centres:
    cv2.ellipse(frame, centre, axes, angle, 0, 360, color, thickness, cv2.LINE_AA)
  cv2.line(frame, centres[0], centres[1], color, thickness) if rng.random() < 0.2 else None


def _relight(frame: np.ndarray, spoiling: Spoiling, rng: np.random.Generator) -> np.ndarray:
  """Changes light and colours."""
  gamma = (1 + spoiling.gamma) ** rng.uniform(-1, 1)
  if spoiling.gamma:
    table = 255 * (np.arange(256) / 255) ** gamma
    frame = cv2.LUT(frame, np.rint(table).astype(np.uint8))
  return recolor(
    frame[None],
    brightness=255 * rng.uniform(-spoiling.brightness, spoiling.brightness),
    contrast=1 + rng.uniform(-spoiling.contrast, spoiling.contrast),
    gains=(1 + rng.uniform(-spoiling.color, spoiling.color, 3)).tolist(),
    saturation=0.0 if rng.random() < spoiling.gray else 1.0,
  )[0]


def _film(frame: np.ndarray, spoiling: Spoiling, rng: np.random.Generator) -> np.ndarray:
  """Takes a picture with a poor camera."""
  side = frame.shape[0]
  if rng.random() < spoiling.motion_blur:
    frame = cv2.filter2D(frame, -1, _streak(rng.uniform(0.02, 0.1) * side, rng))
  if spoiling.blur and rng.random() < 0.5:
    frame = blur(frame[None], rng.uniform(0, spoiling.blur))[0]
  if rng.random() < spoiling.low_resolution:
    small = max(int(side * rng.uniform(spoiling.lowest_resolution, 0.9)), 2)
    frame = cv2.resize(frame, (small, small), interpolation=cv2.INTER_AREA)
    how = cv2.INTER_LINEAR if rng.random() < 0.5 else cv2.INTER_CUBIC
    frame = cv2.resize(frame, (side, side), interpolation=how)
  if spoiling.noise and rng.random() < 0.5:
    frame = add_noise(frame[None], rng.uniform(0, spoiling.noise), rng)[0]
  if rng.random() < spoiling.jpeg:
    quality = int(rng.integers(10, 70))
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    _, code = cv2.imencode('.jpg', frame[..., ::-1], options)  # OpenCV wants BGR.
    frame = np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR))[..., ::-1]
  return frame


def _streak(length: float, rng: np.random.Generator) -> np.ndarray:
  """A kernel that smears along a line, [k, k], of sum 1."""
  half = int(np.ceil(length / 2)) + 1
  kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
  angle = rng.uniform(0, np.pi)
  way = length / 2 * np.array([np.cos(angle), np.sin(angle)])
  ends = [(half + sign * way).round().astype(int).tolist() for sign in (-1, 1)]
  cv2.line(kernel, ends[0], ends[1], 1.0)
  return kernel / kernel.sum()


def _place(side: int, rng: np.random.Generator) -> tuple[int, int]:
  x, y = rng.uniform(0.1, 0.9, 2) * side
  return int(x), int(y)
