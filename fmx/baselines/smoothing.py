"""The paper's simple temporal smoothing: a Gaussian over neighbouring frames' probabilities."""

import numpy as np
from scipy import ndimage, special

WINDOW = 5  # Frames.
DEVIATION = 0.6  # Frames.


def softmax(logits: np.ndarray) -> np.ndarray:
  """Probabilities [..., K] of logits [..., K]."""
  return special.softmax(logits, axis=-1)


def smooth(probs: np.ndarray, *, window: int = WINDOW, deviation: float = DEVIATION) -> np.ndarray:
  """Averages each frame's probabilities with those of its neighbours (Sect. 4.2).

  Args:
    probs: [T, ..., K], the frames of one clip in order.
    window: Frames that the average is over, odd. Beyond the ends of the clip there is nothing:
      the weights of the frames that are there are scaled to sum to 1.
    deviation: Standard deviation of the Gaussian weights, in frames.

  Returns:
    Probabilities of the same shape, float32.

  Raises:
    ValueError: the window is not odd, or the deviation not positive.
  """
  if window % 2 == 0 or window < 1 or deviation <= 0:
    raise ValueError(
      f'A window of {window} frames with deviation {deviation} is no Gaussian: the window must be '
      'odd and the deviation above 0.'
    )
  offsets = np.arange(window) - window // 2
  weights = np.exp(-0.5 * (offsets / deviation) ** 2).astype(np.float32)
  total = ndimage.correlate1d(np.asarray(probs, np.float32), weights, axis=0, mode='constant')
  present = ndimage.correlate1d(np.ones(len(probs), np.float32), weights, mode='constant')
  return total / present.reshape(-1, *(1,) * (total.ndim - 1))
