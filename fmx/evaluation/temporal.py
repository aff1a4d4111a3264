"""How still masks are over time, as numbers that need no labels.

Both numbers also answer to real motion, so they compare methods on the same video, never videos
with one another; and a mask that never moves is perfectly still and perfectly wrong.
"""

from __future__ import annotations

import functools
from collections.abc import Container, Iterable, Sequence
from typing import Any

import numpy as np

from fmx.evaluation.confusion import BACKGROUND, confusion_counts, iou
from tfds_300vw import boxes
from tfds_300vw.face_mask import CLASS_NAMES

HELD = 3  # Frames. A change is judged by the frame before it and the two after it.


class TemporalQuality:
  """IoU between consecutive frames and flicker, frame by frame in constant memory.

  IoU: of each pair of consecutive frames of one shot, the IoU of each class between the two masks;
  then the mean over the pairs, in which every pair weighs the same, however large the face. A pair
  in neither of whose masks a class occurs does not count for that class. So two frames without a
  face count for nothing, and a face that vanishes or appears within a shot is an IoU of 0.

  Flicker: a pixel flickers in frame t if its class there is not that of t - 1, and it has the class
  of t - 1 again in t + 1 or t + 2. It is the number of flickering pixels over the number of those
  that are not background in any of the frames t - 1 to t + 2, both summed over the frames; so the
  number does not depend on how much background there is. A frame is judged if its shot has a frame
  before and one after it; of a shot's last two frames, t + 2 is not there and not looked at.
  """

  def __init__(self, class_names: Sequence[str] = CLASS_NAMES):
    """Starts with no frame.

    Args:
      class_names: By class id, background first.
    """
    self._class_names = tuple(class_names)
    self._shot: list[np.ndarray] = []  # The last frames, of the present shot only.
    self._num_frames = self._num_pairs = 0
    self._iou_sums = np.zeros(len(class_names))
    self._iou_counts = np.zeros(len(class_names), np.int64)  # Pairs that the class is in.
    self._flicker = np.zeros(2, np.int64)  # Flickering pixels, and pixels of any mask.

  def add(self, labels: np.ndarray, *, is_cut: bool = False) -> None:
    """Takes the next frame.

    Args:
      labels: Class ids, uint8 [H, W], of one size within a shot.
      is_cut: Whether a shot, a clip or another video begins with this frame: then it is compared
        with none before it.

    Raises:
      ValueError: the labels are no such image, or of another size than the frame before.
    """
    labels = np.array(labels)
    self._check(labels, is_cut)
    if is_cut:
      self._end_shot()
    if self._shot:
      ratios = _iou(self._shot[-1], labels, len(self._class_names))
      present = ~np.isnan(ratios)
      self._iou_sums[present] += ratios[present]
      self._iou_counts += present
      self._num_pairs += 1
    self._shot.append(labels)
    self._num_frames += 1
    if len(self._shot) > HELD:
      self._flicker += _flicker(self._shot)
      self._shot = self._shot[-HELD:]

  def append(self, later: TemporalQuality) -> None:
    """Takes in what another one has seen, whose first frame begins a shot."""
    self._end_shot()
    self._num_frames += later._num_frames
    self._num_pairs += later._num_pairs
    self._iou_sums += later._iou_sums
    self._iou_counts += later._iou_counts
    self._flicker += later._flicker
    self._shot = list(later._shot)

  def result(self) -> dict[str, Any]:
    """The numbers of all frames so far, as if the last one were the end; more may be added.

    Returns:
      Ready for JSON, None where nothing was to be measured: 'frames' and 'pairs', how many;
      'iou' by class but the background; 'miou', the mean of those; 'flicker'. All in [0, 1].
    """
    means = {
      name: float(total / count) if count else None
      for name, total, count in list(zip(self._class_names, self._iou_sums, self._iou_counts))[1:]
    }
    present = [value for value in means.values() if value is not None]
    flickering, shown = (self._flicker + _flicker(self._shot)).tolist()
    return {
      'frames': self._num_frames,
      'pairs': self._num_pairs,
      'iou': means,
      'miou': sum(present) / len(present) if present else None,
      'flicker': flickering / shown if shown else None,
    }

  def _end_shot(self) -> None:
    self._flicker += _flicker(self._shot[-HELD:])
    self._shot = []

  def _check(self, labels: np.ndarray, is_cut: bool) -> None:
    place = f'Frame {self._num_frames} of those given'
    if labels.ndim != 2 or labels.dtype != np.uint8 or not labels.size:
      raise ValueError(
        f'{place} is {labels.dtype} {list(labels.shape)}; masks must be class ids, uint8 [H, W].'
      )
    if labels.max() >= len(self._class_names):
      raise ValueError(
        f'{place} holds the class id {labels.max()}, but there are {len(self._class_names)} '
        f'classes: {", ".join(self._class_names)}.'
      )
    if self._shot and not is_cut and labels.shape != self._shot[-1].shape:
      raise ValueError(
        f'{place} has {labels.shape[1]} x {labels.shape[0]} pixels, the one before it '
        f'{self._shot[-1].shape[1]} x {self._shot[-1].shape[0]}: bring the masks of a shot to one '
        'size, or say that a cut lies between.'
      )


def temporal_quality(
  masks: Iterable[np.ndarray],
  *,
  cuts: Container[int] = (),
  class_names: Sequence[str] = CLASS_NAMES,
) -> dict[str, Any]:
  """How still a sequence of masks is; they are taken one after another and not kept.

  Args:
    masks: Class ids, uint8 [H, W] each, of one size within a shot.
    cuts: The frames, counted from 0, with which a new shot begins.
    class_names: By class id, background first.

  Returns:
    See `TemporalQuality.result`.

  Raises:
    ValueError: see `TemporalQuality.add`.
  """
  quality = TemporalQuality(class_names)
  for index, labels in enumerate(masks):
    quality.add(labels, is_cut=index in cuts)
  return quality.result()


def _iou(before: np.ndarray, labels: np.ndarray, num_classes: int) -> np.ndarray:
  """IoU of each class between two masks, [K]; nan where it is in neither, and of background."""
  box = boxes.mask_box((before | labels) > 0)
  if box is None:
    return np.full(num_classes, np.nan)
  counts = confusion_counts(boxes.crop(before, box), boxes.crop(labels, box), num_classes)
  ratios = iou(counts)
  ratios[BACKGROUND] = np.nan  # Outside of the box, nothing was counted.
  return ratios


def _flicker(frames: Sequence[np.ndarray]) -> np.ndarray:
  """Judges the second frame by all: the pixels of it that flicker, and those of any mask, [2]."""
  if len(frames) < HELD:
    return np.zeros(2, np.int64)
  shown = functools.reduce(np.bitwise_or, frames)
  box = boxes.mask_box(shown > 0)
  if box is None:
    return np.zeros(2, np.int64)
  before, labels, *after = (boxes.crop(frame, box) for frame in frames)
  returns = functools.reduce(np.bitwise_or, [later == before for later in after])
  flickers = (labels != before) & returns
  return np.array([np.count_nonzero(flickers), np.count_nonzero(shown)], np.int64)
