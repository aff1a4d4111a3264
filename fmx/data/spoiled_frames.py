"""Clips of which some frames are spoiled: what a memory of the others is there for.

Ours; the paper's test videos are whole. Labels stay, since masks are complete behind what hides a
face.
"""

import dataclasses
import zlib
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from fmx.data.prepared import Window
from fmx.data.spoiling import Spoiling, spoil
from fmx.data.transforms import add_noise, blur
from tfds_300vw.boxes import WINDOW

_BEHIND = Spoiling(occluders=1.0, occluder_size=1.0)
_LOST = 0.4  # Share of the blocks of a frame.
_BLOCKS = 10  # Along a side.


def spoil_frames(clip: Sequence[Window]) -> tuple[list[Window], np.ndarray]:
  """Spoils one or two of every five frames of a clip.

  Which ones, and how, hangs on the clip and their places in it alone: every model sees the same,
  whatever its windows.

  Args:
    clip: Its windows, in order.

  Returns:
    The windows with other frames in the places of some, and which those are, bool [frames].
  """
  whole = [frame for window in clip for frame in window.frames]
  frames, is_spoiled = spoil_video(whole, clip[0].clip)
  ends = np.cumsum([len(window.frames) for window in clip])
  spoiled = [
    dataclasses.replace(window, frames=frames[end - len(window.frames) : end])
    for window, end in zip(clip, ends)
  ]
  return spoiled, is_spoiled


def spoil_video(frames: Sequence[np.ndarray], name: str) -> tuple[list[np.ndarray], np.ndarray]:
  """Likewise of a video of this name; frames are uint8 [H, W, 3]."""
  spoiled, is_spoiled = list(frames), np.zeros(len(frames), bool)
  for start in range(0, len(frames), WINDOW):
    rng = np.random.default_rng(zlib.crc32(f'{name} {start}'.encode()))
    number, length = int(rng.integers(1, 3)), min(WINDOW, len(frames) - start)
    for time in start + rng.permutation(length)[: min(number, length)]:
      spoiled[time] = KINDS[rng.integers(len(KINDS))](frames[time], rng)
      is_spoiled[time] = True
  return spoiled, is_spoiled


def spoil_some(
  frames: Sequence[np.ndarray], share: float, rng: np.random.Generator
) -> list[np.ndarray]:
  """Spoils frames of a clip to train on, each by a draw of its own.

  Args:
    frames: uint8 [H, W, 3] each.
    share: Probability that a frame is spoiled.
    rng: Draws; not at all for a share of 0.

  Returns:
    The frames, new ones in the places of some.
  """
  if not share:
    return list(frames)
  return [
    KINDS[rng.integers(len(KINDS))](frame, rng) if rng.random() < share else frame
    for frame in frames
  ]


def _occluder(frame: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  height, width = frame.shape[:2]
  missing = max(height, width) - np.array([height, width])
  square = np.pad(frame, [(0, missing[0]), (0, missing[1]), (0, 0)], mode='edge')
  return spoil(square, _BEHIND, rng)[:height, :width]


def _blur(frame: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  return blur(frame[None], rng.uniform(0.03, 0.08) * max(frame.shape[:2]))[0]


def _dark(frame: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  """A twentieth to a seventh of the light, and the noise that comes with that."""
  dark = np.rint(frame * rng.uniform(0.05, 0.15)).astype(np.uint8)
  return add_noise(dark[None], 4.0, rng)[0]


def _noise(frame: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  return add_noise(frame[None], rng.uniform(40, 100), rng)[0]


def _block_loss(frame: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  """What is left where parts of a frame did not arrive: blocks of grey."""
  blocks = (rng.random((_BLOCKS, _BLOCKS)) < _LOST).astype(np.uint8)
  lost = cv2.resize(blocks, frame.shape[1::-1], interpolation=cv2.INTER_NEAREST)
  return np.where(lost[..., None] > 0, np.uint8(128), frame)


KINDS: tuple[Callable[[np.ndarray, np.random.Generator], np.ndarray], ...] = (
  _occluder,
  _blur,
  _dark,
  _noise,
  _block_loss,
)
