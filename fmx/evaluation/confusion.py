"""Confusion counts, and the IoU that follows. Counts add up over frames, ratios do not."""

import numpy as np

BACKGROUND = 0


def confusion_counts(labels: np.ndarray, predictions: np.ndarray, num_classes: int) -> np.ndarray:
  """How many pixels of each label got each prediction.

  Args:
    labels: [...] integer class ids in [0, K).
    predictions: [...] integer class ids in [0, K), of the same shape.
    num_classes: K.

  Returns:
    [K, K] int64: n_ij pixels of label i (row) predicted as j (column).

  Raises:
    ValueError: the shapes differ, or an id is outside [0, K).
  """
  labels, predictions = np.asarray(labels), np.asarray(predictions)
  if labels.shape != predictions.shape:
    raise ValueError(
      f'Labels of shape {labels.shape} cannot be compared with predictions of shape '
      f'{predictions.shape}.'
    )
  for name, ids in (('labels', labels), ('predictions', predictions)):
    if ids.size and not 0 <= ids.min() <= ids.max() < num_classes:
      raise ValueError(
        f'The {name} hold ids from {ids.min()} to {ids.max()}, but there are {num_classes} '
        f'classes: 0 to {num_classes - 1}.'
      )
  pairs = labels.ravel().astype(np.int64) * num_classes + predictions.ravel()
  return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def iou(counts: np.ndarray) -> np.ndarray:
  """The IoU of each class (the ratio in Eq. 2): n_ii / (row + column - n_ii).

  Args:
    counts: [..., K, K] pixels, rows labels.

  Returns:
    [..., K] in [0, 1]; nan for a class that is neither labelled nor predicted.
  """
  counts = np.asarray(counts)
  shared = np.diagonal(counts, axis1=-2, axis2=-1)
  union = counts.sum(axis=-1) + counts.sum(axis=-2) - shared
  return np.where(union > 0, shared / np.maximum(union, 1), np.nan)


def mean_iou(counts: np.ndarray) -> np.ndarray:
  """The mIoU (Eq. 2): the mean over the classes except background.

  A class that is neither labelled nor predicted does not count; in the paper's sets there is none,
  but a single frame may lack one.

  Args:
    counts: [..., K, K] pixels, rows labels, background first.

  Returns:
    [...] in [0, 1]; nan where no class but background occurs.
  """
  ratios = iou(counts)[..., BACKGROUND + 1 :]
  present = ~np.isnan(ratios)
  number = present.sum(axis=-1)
  total = np.where(present, ratios, 0.0).sum(axis=-1)
  return np.where(number > 0, total / np.maximum(number, 1), np.nan)
