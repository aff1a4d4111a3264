"""What makes video hard: things that hide the face, and cameras that fail for a few frames."""

import dataclasses
from typing import cast

import cv2
import numpy as np

from fmx.drawing import occluders

_SLACK = 96  # Pixels by which the noise's tile exceeds the frame.


@dataclasses.dataclass(frozen=True)
class Difficulty:
  """How often and how strongly video is disturbed. Rates are events per second of video.

  Landmarks never depend on it. Brief events last `event_frames`, so that the frames around them
  tell what they hide.

  Attributes:
    occlusions: Rate of brief occlusions of a part of the face.
    long_occlusions: Rate of occlusions of 0.7 to 2.5 s.
    occlusion_frames: Least and most frames of a brief occlusion.
    event_frames: Least and most frames of every other event.
    motion_blurs: Rate.
    motion_blur_length: Longest streak, as a share of the frame's height.
    defocusings: Rate.
    defocus_radius: Largest standard deviation, as a share of the frame's height.
    darkenings: Rate.
    darkest: Share of the light that is left at worst.
    flashes: Rate.
    flash_gain: Largest gain.
    dropouts: Rate of frames that arrive as coarse blocks with heavy noise.
    dropout_blocks: Fewest blocks along the height that remain.
    noise: Largest standard deviation of a video's constant noise, grey levels.
    poor_video: Share of videos of low resolution or low light, or strongly compressed.
  """

  occlusions: float = 0.45
  long_occlusions: float = 0.07
  occlusion_frames: tuple[int, int] = (2, 6)
  event_frames: tuple[int, int] = (1, 4)
  motion_blurs: float = 0.35
  motion_blur_length: float = 0.1
  defocusings: float = 0.2
  defocus_radius: float = 0.02
  darkenings: float = 0.15
  darkest: float = 0.08
  flashes: float = 0.15
  flash_gain: float = 3.5
  dropouts: float = 0.3
  dropout_blocks: int = 22
  noise: float = 7.0
  poor_video: float = 0.35

  def __post_init__(self) -> None:
    for name in ('occlusion_frames', 'event_frames'):
      low, high = getattr(self, name)
      if not 1 <= low <= high:
        raise ValueError(f'{name} is ({low}, {high}); give least and most frames, 1 or more.')
    for field in dataclasses.fields(self):
      value = getattr(self, field.name)
      if not isinstance(value, tuple) and not 0 <= value < np.inf:
        raise ValueError(f'{field.name} is {value}; it must be a finite number of at least 0.')

  @classmethod
  def none(cls) -> 'Difficulty':
    """Undisturbed video."""
    return cls(
      occlusions=0,
      long_occlusions=0,
      motion_blurs=0,
      defocusings=0,
      darkenings=0,
      flashes=0,
      dropouts=0,
      noise=0,
      poor_video=0,
    )


class Disturbances:
  """Everything that happens to one video."""

  def __init__(
    self,
    difficulty: Difficulty,
    rng: np.random.Generator,
    num_frames: int,
    frame_rate: float,
    skin: np.ndarray,
    hair: np.ndarray,
  ):
    self._difficulty = d = difficulty
    self._rng = rng
    self._num_frames, self._frame_rate = num_frames, frame_rate
    self._occlusions = [
      occluders.Occlusion(rng, start, length, skin, hair)
      for start, length in self._events(d.occlusions, d.occlusion_frames)
    ]
    long_frames = (int(0.7 * frame_rate) + 1, int(2.5 * frame_rate) + 1)
    self._occlusions += [
      occluders.Occlusion(rng, start, length, skin, hair, slow=True)
      for start, length in self._events(d.long_occlusions, long_frames)
    ]
    self._motion_blur = self._strengths(d.motion_blurs)
    self._blur_angle = np.cumsum(rng.normal(0, 0.5, num_frames)) + rng.uniform(0, np.pi)
    self._defocus = self._strengths(d.defocusings)
    dark, flash = self._strengths(d.darkenings), self._strengths(d.flashes)
    self._gain = (1 - dark * (1 - d.darkest)) * (1 + flash * (max(d.flash_gain, 1) - 1))
    self._dropout = self._strengths(d.dropouts)
    self._camera()

  def _camera(self) -> None:
    """Flaws that last for the whole video."""
    rng, d = self._rng, self._difficulty
    poor = rng.random() < d.poor_video
    flaw = rng.choice(['small', 'dim', 'compressed', 'all']) if poor else 'none'
    self._shrink = rng.uniform(0.25, 0.55) if flaw in ('small', 'all') else 1.0
    if flaw in ('dim', 'all'):
      self._gain = self._gain * rng.uniform(0.3, 0.6)
    self._quality = int(rng.integers(12, 40)) if flaw in ('compressed', 'all') else None
    self._noise = d.noise * (rng.random() ** 2 if not poor else rng.uniform(0.3, 1))
    self._seed = int(rng.integers(2**31))
    self._grain: np.ndarray | None = None

  def hide(
    self, image: np.ndarray, t: int, face: tuple[np.ndarray, float], light: np.ndarray
  ) -> None:
    """Draws what stands before the face in frame `t`, in place.

    Args:
      image: uint8 [H, W, 3].
      t: Frame, from 0.
      face: Centre [2] (pixels) and pixels per head unit.
      light: RGB strength of the light.
    """
    for occlusion in self._occlusions:
      occlusion.draw(image, t, *face, light)

  def film(self, image: np.ndarray, t: int) -> np.ndarray:
    """Gives what a bad camera makes of frame `t`: uint8 [H, W, 3]."""
    d, height = self._difficulty, image.shape[0]
    if self._motion_blur[t] > 0:
      image = _streak(
        image, self._motion_blur[t] * d.motion_blur_length * height, self._blur_angle[t]
      )
    sigma = self._defocus[t] * d.defocus_radius * height
    if sigma > 0.2:
      image = cv2.GaussianBlur(image, (0, 0), sigma)
    if self._shrink < 1:
      image = _resample(image, max(int(height * self._shrink), 8))
    if self._gain[t] != 1:
      image = cv2.convertScaleAbs(image, alpha=float(self._gain[t]))
    extra = 0.0  # Grey levels of noise.
    if self._dropout[t] > 0:
      blocks = d.dropout_blocks + (1 - self._dropout[t]) * 30
      image = _mosaic(image, max(int(blocks), 2))
      extra = 22 * self._dropout[t]
    if self._noise + extra > 0.3:
      image = self._add_noise(image, t, extra)
    if self._quality is not None:
      _, data = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, self._quality])
      image = cast(np.ndarray, cv2.imdecode(data, cv2.IMREAD_COLOR))
    return image

  def _add_noise(self, image: np.ndarray, t: int, extra: float) -> np.ndarray:
    """Grain from a tile larger than the frame, at a place of the frame's own."""
    rng = np.random.default_rng([self._seed, t])
    if self._grain is None:
      self._grain = _grain(np.random.default_rng(self._seed), *image.shape[:2])
      self._usual = np.rint(self._grain * np.float32(self._noise)).astype(np.int16)
    y, x = rng.integers(0, _SLACK, 2)
    place = slice(y, y + image.shape[0]), slice(x, x + image.shape[1])
    if not extra:
      return cv2.add(image, self._usual[place], dtype=cv2.CV_8U)
    grain = self._grain[place] * np.float32(self._noise + extra)
    return cv2.add(image, grain, dtype=cv2.CV_8U)

  def _events(self, rate: float, frames: tuple[int, int]) -> list[tuple[int, int]]:
    """First frame and length of events that come at random."""
    count = self._rng.poisson(rate * self._num_frames / self._frame_rate)
    start = self._rng.integers(0, self._num_frames, count)
    return list(zip(start, self._rng.integers(frames[0], frames[1] + 1, count), strict=True))

  def _strengths(self, rate: float) -> np.ndarray:
    """Strength of one kind of event in each frame, [T] in [0, 1]."""
    strength = np.zeros(self._num_frames)
    for start, length in self._events(rate, self._difficulty.event_frames):
      strength[start : start + length] = self._rng.uniform(
        0.45, 1, len(strength[start : start + length])
      )
    return strength


def _grain(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
  """Noise of unit strength, a frame and `_SLACK` more pixels each way: float32 [h, w, 3]."""
  size = height + _SLACK, width + _SLACK
  grain = 0.4 * rng.standard_normal((*size, 3), dtype=np.float32)
  grain += rng.standard_normal((*size, 1), dtype=np.float32)
  return grain


def _streak(image: np.ndarray, length: float, angle: float) -> np.ndarray:
  """Motion blur along a line centred on each pixel."""
  half = max(int(np.ceil(length / 2)), 1)
  kernel = np.zeros((2 * half + 1,) * 2, np.float32)
  offset = np.array([np.cos(angle), np.sin(angle)]) * length / 2
  ends = np.round((np.array([-offset, offset]) + half) * 16).astype(int)
  cv2.line(kernel, tuple(ends[0].tolist()), tuple(ends[1].tolist()), 1.0, 1, cv2.LINE_8, 4)
  kernel = kernel + kernel[::-1, ::-1]  # Exactly symmetric, so that nothing is displaced.
  return cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)


def _resample(image: np.ndarray, height: int) -> np.ndarray:
  size = image.shape[1::-1]
  small = (max(int(size[0] * height / size[1]), 8), height)
  image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
  return cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)


def _mosaic(image: np.ndarray, blocks: int) -> np.ndarray:
  size = image.shape[1::-1]
  small = (max(int(size[0] * blocks / size[1]), 2), blocks)
  image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
  return cv2.resize(image, size, interpolation=cv2.INTER_NEAREST)
