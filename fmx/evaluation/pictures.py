"""What a model makes of a few clips: frames, labels and predictions under one another."""

from collections.abc import Sequence

import numpy as np

from fmx.data.eval_batches import EvalWindow
from fmx.labelling.classes import predict
from tfds_300vw import pictures


def window_rows(window: EvalWindow, logits: np.ndarray, region: str) -> list[pictures.Row]:
  """The rows of one window for `pictures.sheet`.

  Args:
    window: With its frames.
    logits: [t, S, S, K].
    region: A key of `tfds_300vw.face_mask.REGIONS`.

  Returns:
    Three rows: the frames, their labels, the predictions.
  """
  assert window.frames is not None
  predictions = [
    predict(frame_logits, *labels.shape) for frame_logits, labels in zip(logits, window.labels)
  ]
  names = [f'{window.video_id}  frame {number}' for number in window.frame_numbers]
  return [
    pictures.Row(window.frames, names),
    _overlays(window.frames, window.labels, region, 'labels'),
    _overlays(window.frames, predictions, region, 'prediction'),
  ]


def _overlays(
  frames: Sequence[np.ndarray], labels: Sequence[np.ndarray], region: str, caption: str
) -> pictures.Row:
  painted = [pictures.overlay(frame, of_frame, region) for frame, of_frame in zip(frames, labels)]
  return pictures.Row(painted, [caption] * len(painted))
