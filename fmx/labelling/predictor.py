"""A trained network ready to label windows of frames: cutting, resizing, state."""

from collections.abc import Mapping, Sequence

import jax
import numpy as np

from fmx.data.transforms import resize_frame
from fmx.engines import choice
from fmx.models.heads import State
from fmx.weights import Model
from tfds_300vw import boxes

STATES = ('stream', 'reset')  # Whether a network's state goes on from window to window, or not.


class Predictor:
  """Runs a network on batches of windows."""

  def __init__(self, model: Model, *, clip_length: int | None = None, engine: str = 'xla'):
    """Makes the network ready.

    Args:
      model: From `fmx.weights`.
      clip_length: Frames of a window; None for the network's own. One without a memory can do with
        any.
      engine: 'auto', or a key of `fmx.engines.choice.ENGINES`.

    Raises:
      ValueError: there is no such engine, it is not installed, or it cannot run the network.
    """
    self.model = model
    self._clip_length = model.clip_length if clip_length is None else clip_length
    self._network = choice.segmenter(model, self._clip_length, engine)

  def __call__(
    self, video: np.ndarray, carry: State | None = None
  ) -> tuple[np.ndarray, State | None]:
    """Gives the logits of windows.

    Args:
      video: uint8 [B, T, S, S, 3], RGB, of the network's S; T is at most its window's length. A
        shorter window repeats its last frame, where it cannot disturb the real ones.
      carry: State after the windows before these of the same faces (`stack`); None to start anew.

    Returns:
      Logits float32 [B, T, S, S, K], and the state after the last frame, on the host. The state is
      None for the FCN, and after a shorter window: such a one ends a clip or a shot, and nothing
      goes on from it.

    Raises:
      ValueError: the video has another size, or windows that are too long.
    """
    return self._run(video, carry, 'logits')

  def probabilities(
    self, video: np.ndarray, carry: State | None = None
  ) -> tuple[np.ndarray, State | None]:
    """The same with probabilities, float32 [B, T, S, S, K], in place of logits."""
    return self._run(video, carry, 'probabilities')

  def _run(
    self, video: np.ndarray, carry: State | None, output: str
  ) -> tuple[np.ndarray, State | None]:
    _, length, *size, _ = video.shape
    expected = self.model.image_size
    if size != [expected, expected] or not 1 <= length <= self._clip_length:
      raise ValueError(
        f'The network for {self.model.region!r} takes windows of 1 to {self._clip_length} '
        f'frames of {expected} x {expected} pixels, not {length} of {size[1]} x {size[0]}.'
      )
    scores, carry = self._network(video, carry, output)
    return scores, carry if length == self._clip_length else None

  def cut(self, frame: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Cuts a box out of a frame, at the network's size and as its training data were cut.

    Args:
      frame: uint8 [H, W, 3].
      box: [4] in pixels; what lies outside the frame is cut off.

    Returns:
      uint8 [S, S, 3].

    Raises:
      ValueError: the box lies wholly outside the frame.
    """
    return resize_frame(boxes.crop(frame, box), self.model.image_size)


def check_windows(models: Mapping[str, Model]) -> None:
  """Raises ValueError where networks are not for windows of one length."""
  lengths = {name: model.clip_length for name, model in models.items()}
  if len(set(lengths.values())) > 1:
    told = ', '.join(f'{name}: {length}' for name, length in lengths.items())
    raise ValueError(
      f'The networks are for windows of different lengths ({told}): train them with one '
      'data.clip_length.'
    )


def stack_windows(windows: Sequence[np.ndarray]) -> np.ndarray:
  """Makes one batch of windows, the shorter ones filled up with their last frame.

  Nothing goes on from a window that was filled up, for the state after it is worthless.

  Args:
    windows: [t, S, S, 3] each.

  Returns:
    [B, T, S, S, 3].
  """
  longest = max(len(window) for window in windows)
  return np.stack(
    [
      np.concatenate([window, np.repeat(window[-1:], longest - len(window), axis=0)])
      for window in windows
    ]
  )


def stack(carries: Sequence[State | None]) -> State | None:
  """Makes the state of a batch out of the states of its windows, None of which means zeros.

  Args:
    carries: Of each window: [h, w, C].

  Returns:
    [B, h, w, C], or None if all are None.
  """
  known = next((carry for carry in carries if carry is not None), None)
  if known is None:
    return None
  zeros = jax.tree.map(np.zeros_like, known)
  filled = [zeros if carry is None else carry for carry in carries]
  return jax.tree.map(lambda *arrays: np.stack(arrays), *filled)


def unstack(carry: State | None, number: int) -> list[State | None]:
  """The states of the `number` windows of a batch: what `stack` put together."""
  if carry is None:
    return [None] * number
  return [jax.tree.map(lambda array, i=i: array[i].copy(), carry) for i in range(number)]
