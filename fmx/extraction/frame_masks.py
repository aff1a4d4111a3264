"""What extraction gives for one frame: whichever method made it, a network or landmarks."""

import dataclasses

import numpy as np

from tfds_300vw.face_mask import CLASS_NAMES


@dataclasses.dataclass(frozen=True)
class Face:
  """One face of one frame.

  Attributes:
    id: Counted from 1; the same person keeps it while the face is followed.
    box: The crop that was segmented, int64 [4]: x0, y0, x1, y1 in pixels of the frame, half-open.
    areas: Pixels of each class but the background, by name.
    confidence: Mean probability of the predicted class over the face's own pixels, in [0, 1]; None
      where the method gives none.
  """

  id: int
  box: np.ndarray
  areas: dict[str, int]
  confidence: float | None


@dataclasses.dataclass(frozen=True)
class FrameMasks:
  """The masks of one frame.

  Attributes:
    index: Place of the frame in the video, from 0.
    labels: uint8 [H, W], class ids of `tfds_300vw.face_mask.CLASS_NAMES`; 0 where there is no face.
    ids: uint8 [H, W], the id of the face that a pixel belongs to; 0 for none.
    faces: The faces that were found, largest first; none leaves `labels` empty.
    is_cut: Whether a new shot begins here, so that nothing before it counts.
  """

  index: int
  labels: np.ndarray
  ids: np.ndarray
  faces: tuple[Face, ...]
  is_cut: bool


def empty(index: int, height: int, width: int, *, is_cut: bool = False) -> FrameMasks:
  """The masks of a frame without a face."""
  blank = np.zeros((height, width), np.uint8)
  return FrameMasks(index, blank, blank.copy(), (), is_cut)


def areas(labels: np.ndarray) -> dict[str, int]:
  """Counts the pixels of each class but the background.

  Args:
    labels: Class ids, uint8 [...].

  Returns:
    Pixels by class name.
  """
  counts = np.bincount(labels.reshape(-1), minlength=len(CLASS_NAMES))
  return {name: int(count) for name, count in zip(CLASS_NAMES[1:], counts[1:])}
