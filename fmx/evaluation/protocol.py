"""The paper's protocol (section 4.3): counts at each frame's original size, over the whole set."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from fmx.evaluation.confusion import confusion_counts, iou, mean_iou
from fmx.labelling.classes import predict


class FrameScore(NamedTuple):
  """What one frame adds to the results."""

  video: str  # The subject: 300VW has one video of each.
  clip: str  # Unique over all videos.
  frame: int  # Within the clip.
  position: int  # Within the network's window, from 1.
  counts: np.ndarray  # [K, K] int64 pixels at the frame's original size, rows labels.


def score_frame(
  logits: np.ndarray, labels: np.ndarray, *, video: str, clip: str, frame: int, position: int
) -> FrameScore:
  """Compares one frame's logits with its labels at the labels' size.

  Args:
    logits: [h, w, K], or probabilities.
    labels: [H, W] class ids at the frame's original size.
    video: The id of the video.
    clip: The id of the clip, unique over all videos.
    frame: The number of the frame within the clip.
    position: The number of the frame within its window, from 1.

  Returns:
    The score of the frame.
  """
  predictions = predict(logits, *labels.shape)
  counts = confusion_counts(labels, predictions, logits.shape[-1])
  return FrameScore(video, clip, frame, position, counts)


def summarize(scores: Iterable[FrameScore], classes: Sequence[str]) -> dict[str, Any]:
  """The results of one model on one set, ready for JSON (absent values are None).

  Args:
    scores: One for each frame of the set, in any order; padding of a batch makes none.
    classes: The names of the K classes, background first.

  Returns:
    'frames': how many; 'classes': the names; 'counts': [K, K] over the set; 'iou' by class and
    'miou', in [0, 1]; 'positions': mIoU by position in the window (Table 4), from counts;
    'subjects': for each video the mean and standard deviation of its frames' mIoU (Fig. 6), and how
    many frames they are of; 'clips': the counts of each clip, from which significance follows.

  Raises:
    ValueError: there is no frame, one is there twice, or the classes are not K.
  """
  scores = sorted(scores, key=lambda score: (score.clip, score.frame))
  _check(scores, classes)
  counts = np.stack([score.counts for score in scores])
  total = counts.sum(axis=0)
  return {
    'frames': len(scores),
    'classes': list(classes),
    'counts': total.tolist(),
    'iou': {name: _json_number(value) for name, value in zip(classes, iou(total))},
    'miou': _json_number(mean_iou(total)),
    'positions': {
      str(position): _json_number(mean_iou(group.sum(axis=0)))
      for position, group in _groups(counts, [score.position for score in scores])
    },
    'subjects': {
      video: _spread(mean_iou(group))
      for video, group in _groups(counts, [score.video for score in scores])
    },
    'clips': {
      clip: group.sum(axis=0).tolist()
      for clip, group in _groups(counts, [score.clip for score in scores])
    },
  }


def _check(scores: Sequence[FrameScore], classes: Sequence[str]) -> None:
  if not scores:
    raise ValueError('There is no frame to evaluate; check that the split has clips.')
  num_classes = len(scores[0].counts)
  if len(classes) != num_classes:
    raise ValueError(f'{len(classes)} class names are given for {num_classes} classes.')
  for one, next_one in zip(scores, scores[1:]):
    if (one.clip, one.frame) == (next_one.clip, next_one.frame):
      raise ValueError(
        f'Frame {one.frame} of clip {one.clip} is evaluated twice; windows must not overlap, and '
        'padding must be left out.'
      )


def _groups(counts: np.ndarray, keys: Sequence) -> list[tuple[Any, np.ndarray]]:
  """Each key in order with its frames' counts [n, K, K]."""
  of_frames = np.array(keys)
  return [(key.item(), counts[of_frames == key]) for key in np.unique(of_frames)]


def _spread(values: np.ndarray) -> dict[str, Any]:
  """Mean and standard deviation (of the population) of the values that are there."""
  values = values[~np.isnan(values)]
  if not values.size:
    return {'mean': None, 'std': None, 'frames': 0}
  return {'mean': float(values.mean()), 'std': float(values.std()), 'frames': values.size}


def _json_number(value: np.ndarray | float) -> float | None:
  return None if np.isnan(value) else float(value)
