"""A model over a split: window by window to logits, frame by frame to scores, and to results."""

import collections
import concurrent.futures
import itertools
import os
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from fmx.baselines import smoothing
from fmx.baselines.dense_crf import DenseCRF
from fmx.data.eval_batches import EvalBatch, EvalWindow
from fmx.data.prepared import Window
from fmx.data.transforms import resize_frame
from fmx.evaluation import protocol

Predict = Callable[[np.ndarray], jax.Array]  # [D, B, T, S, S, 3] to logits [D, B, T, S, S, K].
WindowLogits = tuple[EvalWindow, np.ndarray]
OfClip = TypeVar('OfClip', EvalWindow, Window)


def window_logits(predict: Predict, batches: Iterable[EvalBatch]) -> Iterator[WindowLogits]:
  """Yields every real window with the logits [t, S, S, K] of its real frames."""
  for batch in batches:
    logits = np.asarray(predict(batch.video))
    logits = logits.reshape(-1, *logits.shape[2:])  # [D * B, T, S, S, K]
    for window, of_window in zip(batch.windows, logits):
      yield window, of_window[: len(window.labels)]


def smooth_clips(
  windows: Iterable[tuple[OfClip, np.ndarray]],
) -> Iterator[tuple[OfClip, np.ndarray]]:
  """Turns the logits of whole clips into temporally smoothed probabilities (Sect. 4.2).

  Args:
    windows: Those of a clip follow one another.

  Yields:
    The same windows with probabilities [t, S, S, K].
  """
  for _, group in itertools.groupby(windows, key=lambda pair: pair[0].clip):
    of_clip = list(group)
    probs = np.concatenate([smoothing.softmax(logits) for _, logits in of_clip])
    ends = np.cumsum([len(logits) for _, logits in of_clip])
    for (window, _), smoothed in zip(of_clip, np.split(smoothing.smooth(probs), ends[:-1])):
      yield window, smoothed


def refine_windows(
  windows: Iterable[tuple[OfClip, np.ndarray]], crf: DenseCRF
) -> Iterator[tuple[OfClip, np.ndarray]]:
  """Turns logits into probabilities that agree with the frames, by a dense CRF.

  Args:
    windows: With their frames, which the CRF sees at the size of the logits; those of a window and
      of the next side by side, in a thread for each core.
    crf: Says how.

  Yields:
    The same windows with probabilities [t, S, S, K].
  """
  begun: collections.deque[tuple[OfClip, Iterator[np.ndarray]]] = collections.deque()
  with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    for window, logits in windows:
      frames = [resize_frame(frame, logits.shape[1]) for frame in window.frames or ()]
      begun.append((window, pool.map(crf.refine, frames, smoothing.softmax(logits))))
      if len(begun) == 2:
        yield _completed(*begun.popleft())
    for window, probs in begun:
      yield _completed(window, probs)


def _completed(window: OfClip, probs: Iterator[np.ndarray]) -> tuple[OfClip, np.ndarray]:
  return window, np.stack(list(probs))


def score_window(window: EvalWindow, logits: np.ndarray) -> list[protocol.FrameScore]:
  """Scores each frame of a window at its original size.

  Args:
    window: With its labels.
    logits: [t, S, S, K], or probabilities.
  """
  return [
    protocol.score_frame(
      frame_logits,
      labels,
      video=window.video_id,
      clip=window.clip,
      frame=window.start + position - 1,
      position=position,
    )
    for position, (frame_logits, labels) in enumerate(zip(logits, window.labels), start=1)
  ]


def summarize(scores: Sequence[protocol.FrameScore], class_names: Sequence[str]) -> dict[str, Any]:
  """The results over the frames of all processes; see `protocol.summarize`."""
  return protocol.summarize(_gather(scores), class_names)


def evaluate(windows: Iterable[WindowLogits], class_names: Sequence[str]) -> dict[str, Any]:
  """Scores every frame and sums up.

  Args:
    windows: From `window_logits`, `smooth_clips` or `refine_windows`.
    class_names: Of the K classes, background first.

  Returns:
    See `protocol.summarize`.
  """
  scores = [score for window, logits in windows for score in score_window(window, logits)]
  return summarize(scores, class_names)


def _gather(scores: Sequence[protocol.FrameScore]) -> Sequence[protocol.FrameScore]:
  """The scores of all processes, in each of them."""
  if jax.process_count() == 1:
    return scores
  content = np.frombuffer(pickle.dumps(list(scores)), np.uint8)
  sizes = multihost_utils.process_allgather(np.int64(content.size)).ravel()
  padded = np.zeros(sizes.max(), np.uint8)
  padded[: content.size] = content
  gathered = multihost_utils.process_allgather(padded)
  return [
    score for row, size in zip(gathered, sizes) for score in pickle.loads(row[:size].tobytes())
  ]
