"""Contrast stretching of pictures that are dark, pale, or in coloured light.

Networks know faces in fair light. Where the values of a colour channel lie close together, little
is left of what they look for, and the other channels outweigh it.
"""

import cv2
import numpy as np

FAIR_RANGE = 90.0  # Grey levels that a channel's values are spread over at least,
_TAILS = 0.02  # but for this share of them at either end,
_DARKEST, _BRIGHTEST = 5.0, 250.0  # and within these.
_MOST_GAIN = 12.0  # Beyond that there is mostly noise.
_SAMPLES = 32  # Pixels along a side that are looked at.


def stretched(frames: np.ndarray, least_range: float = FAIR_RANGE) -> np.ndarray:
  """Spreads those channels whose values lie close together; others stay as they are.

  A frame that is darker or paler than most gets no more than these: so it stays so.

  Args:
    frames: uint8 [t, H, W, 3], of one video.
    least_range: Grey levels that values must be spread over.

  Returns:
    uint8 [t, H, W, 3]; the same array where no channel needs it.
  """
  rows, columns = (max(side // _SAMPLES, 1) for side in frames.shape[1:3])
  low, high = levels(frames[:, ::rows, ::columns])
  gains = missing_gain(low, high, least_range)
  gains = np.minimum(gains, np.median(gains, axis=0))
  if (gains == 1).all():
    return frames
  middles, half = (low + high) / 2, least_range / 2
  moved = np.where(gains > 1, np.clip(middles, _DARKEST + half, _BRIGHTEST - half), middles)
  tables = moved[:, None] + gains[:, None] * (np.arange(256)[:, None] - middles[:, None])
  tables = np.clip(np.rint(tables), 0, 255).astype(np.uint8)
  return np.stack([cv2.LUT(np.ascontiguousarray(f), t[None]) for f, t in zip(frames, tables)])


def levels(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Between which values nearly all pixels of a channel lie.

  Args:
    frames: [t, ..., C].

  Returns:
    The low and the high ones of each frame, float64 [t, C] each.
  """
  values = np.sort(frames.reshape(len(frames), -1, frames.shape[-1]), axis=1)
  tail = int(_TAILS * (values.shape[1] - 1))
  return values[:, tail].astype(np.float64), values[:, -1 - tail].astype(np.float64)


def missing_gain(low: np.ndarray, high: np.ndarray, least_range: float = FAIR_RANGE) -> np.ndarray:
  """By how much values between these have to be spread; 1 where they are far enough apart.

  Args:
    low: Grey levels, from `levels`.
    high: Likewise.
    least_range: How far apart they must be.
  """
  return np.clip(least_range / np.maximum(high - low, 1), 1, _MOST_GAIN)
