"""The face alone, over transparency."""

import contextlib
import pathlib
from collections.abc import Iterator, Sequence
from fractions import Fraction

import cv2
import numpy as np

from fmx.extraction import joining
from fmx.extraction.outputs import Labelled, Part, Write, files_of
from fmx.workdir import CUTOUT, finishing
from tfds_300vw.video_writer import AlphaWriter

_RIM = 4  # Pixels around a face that keep their colour, so that none bleeds into its soft edge.


class Cutout:
  """A WebM with transparency, without sound."""

  def __init__(self, workdir: pathlib.Path, frame_rate: float, pixel_aspect: Fraction | None):
    """Says where, and how parts are written."""
    self._workdir, self._rate, self._pixel_aspect = workdir, frame_rate, pixel_aspect

  @contextlib.contextmanager
  def open_part(self, folder: pathlib.Path) -> Iterator[Write]:
    """As `Layer.open_part`."""
    with AlphaWriter(folder / CUTOUT, self._rate, pixel_aspect=self._pixel_aspect) as writer:
      yield lambda labelled: writer.write(_cut_out(labelled))

  def finish(self, parts: Sequence[Part], clock: joining.Clock) -> None:
    """As `Layer.finish`."""
    with finishing(self._workdir, CUTOUT) as path:
      joining.join(files_of(parts, CUTOUT), path, clock, self._rate)


def cut_out(frame: np.ndarray, labels: np.ndarray) -> np.ndarray:
  """What belongs to a face, with an edge that is soft for a pixel to either side.

  Args:
    frame: uint8 [H, W, 3], RGB.
    labels: Class ids, uint8 [H, W].

  Returns:
    uint8 [H, W, 4], RGB and opacity. What is farther than a few pixels from a face is black, so
    that a player without transparency does not show it either.
  """
  inside = np.where(labels > 0, np.uint8(255), np.uint8(0))
  opacity = cv2.GaussianBlur(inside, (3, 3), 0)
  kept = cv2.dilate(inside, np.ones((2 * _RIM + 1, 2 * _RIM + 1), np.uint8))
  return np.dstack([cv2.bitwise_and(frame, frame, mask=kept), opacity])


def _cut_out(labelled: Labelled) -> np.ndarray:
  return cut_out(labelled.frame.image, labelled.masks.labels)
