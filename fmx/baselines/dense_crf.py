"""A fully connected CRF behind a network (Kraehenbuehl and Koltun 2011), as DeepLab-V2 has it."""

import dataclasses
from collections.abc import Callable

import cv2
import numpy as np

from fmx.baselines.permutohedral import Lattice

_TINY = 1e-20  # Keeps logarithms and quotients finite.
_REACH = 4.0  # Deviations, beyond which the kernel of positions is taken for zero.


@dataclasses.dataclass(frozen=True)
class DenseCRF:
  """What the neighbours of a pixel, which are all others, add to its scores; Potts model.

  Attributes:
    iterations: Of the mean field.
    position_weight: Of the kernel exp(-|p_i - p_j|^2 / 2 position_deviation^2).
    position_deviation: Pixels.
    bilateral_weight: Of the kernel exp(-|p_i - p_j|^2 / 2 bilateral_deviation^2 -
      |I_i - I_j|^2 / 2 color_deviation^2), where I are colours.
    bilateral_deviation: Pixels.
    color_deviation: Grey levels of 255.

  Raises:
    ValueError: a number is out of its range; the message says which.
  """

  iterations: int
  position_weight: float
  position_deviation: float
  bilateral_weight: float
  bilateral_deviation: float
  color_deviation: float

  def __post_init__(self) -> None:
    for field in dataclasses.fields(self):
      value = getattr(self, field.name)
      if field.name.endswith('deviation') and not value > 0:
        raise ValueError(f'dense_crf.{field.name} is {value}; it must be above 0.')
      if not value >= 0:
        raise ValueError(f'dense_crf.{field.name} is {value}; it must be 0 or more.')

  def refine(self, frame: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """The mean field's probabilities after the iterations (their Algorithm 1).

    Kernels are normalised symmetrically: k_ij / sqrt(n_i n_j), n_i the sum of the row; a pixel's
    message to itself is part of them, as in the authors' code.

    Args:
      frame: RGB in [0, 255], [H, W, 3].
      probs: Of the network, [H, W, K].

    Returns:
      Probabilities [H, W, K], float32.

    Raises:
      ValueError: the two differ in size.
    """
    if frame.shape[:2] != probs.shape[:2]:
      raise ValueError(f'The frame is {frame.shape[:2]}, the probabilities {probs.shape[:2]}.')
    height, width, classes = probs.shape
    probs = np.asarray(probs, np.float32)
    if not self.iterations or classes == 1:
      return probs
    # Of the classes but the last, whose probabilities and messages follow from the others'.
    found = probs[..., :-1]
    messages = self._messages_in(np.asarray(frame, np.float32), classes - 1)
    scores = np.log(found + _TINY) - np.log(probs[..., -1:] + _TINY)
    scores -= messages(np.ones_like(probs[..., :1]))
    against_last = np.eye(classes - 1, dtype=np.float32) + 1
    for _ in range(self.iterations):
      found = _softmax(scores + messages(found) @ against_last)
    last = np.maximum(1 - found.sum(axis=-1, keepdims=True), 0)
    return np.concatenate([found, last], axis=-1)

  def _messages_in(self, frame: np.ndarray, channels: int) -> Callable[[np.ndarray], np.ndarray]:
    """Says what each pixel of a frame hears: of values [H, W, C] a weighted sum over all pixels.

    C is at most `channels`.
    """
    rows, columns = np.mgrid[: frame.shape[0], : frame.shape[1]].astype(np.float32)
    places = np.dstack([columns, rows]) / self.bilateral_deviation
    lattice = Lattice(np.dstack([places, frame / self.color_deviation]).reshape(-1, 5))

    def over_pairs(values: np.ndarray) -> np.ndarray:
      return lattice(values.reshape(-1, values.shape[-1])).reshape(values.shape)

    def roots(over: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
      # Arrays of one shape are multiplied fastest.
      return np.repeat(_root(over(np.ones_like(frame[..., :1]))), channels, axis=-1)

    root_pairs, root_places = roots(over_pairs), roots(self._over_places)
    of_pairs, of_places = self.bilateral_weight * root_pairs, self.position_weight * root_places

    def messages(values: np.ndarray) -> np.ndarray:
      used = np.s_[..., : values.shape[-1]]
      heard = of_pairs[used] * over_pairs(root_pairs[used] * values)
      heard += of_places[used] * self._over_places(root_places[used] * values)
      return heard

    return messages

  def _over_places(self, values: np.ndarray) -> np.ndarray:
    """The kernel of positions applied to [H, W, C]; beyond the frame there is nothing."""
    size = 2 * round(_REACH * self.position_deviation) + 1
    kernel = cv2.getGaussianKernel(size, self.position_deviation, cv2.CV_32F)
    found = cv2.sepFilter2D(values, cv2.CV_32F, kernel, kernel, borderType=cv2.BORDER_CONSTANT)
    return found.reshape(values.shape)  # It drops the axis of a single channel.


def _softmax(scores: np.ndarray) -> np.ndarray:
  """Over the last axis and one more class, whose score is 0; bounded scores need no shift."""
  weights = np.exp(scores)
  return weights / (1 + weights @ np.ones((weights.shape[-1],) * 2, weights.dtype))


def _root(sums: np.ndarray) -> np.ndarray:
  """What a kernel is multiplied by on both sides to be normalised."""
  return 1 / np.sqrt(sums + _TINY)
