"""From a network's logits to the class of each pixel, at the size of the frame."""

import cv2
import numpy as np


def resize_logits(logits: np.ndarray, height: int, width: int) -> np.ndarray:
  """The logits of one frame at another size, bilinear with half-pixel centres, not antialiased.

  Args:
    logits: [h, w, K], of any float type.
    height: In pixels.
    width: In pixels.

  Returns:
    [height, width, K] float32.
  """
  logits = np.ascontiguousarray(logits, np.float32)
  resized = cv2.resize(logits, (width, height), interpolation=cv2.INTER_LINEAR)
  return resized.reshape(height, width, -1)  # OpenCV drops the axis of a single class.


def predict(logits: np.ndarray, height: int, width: int) -> np.ndarray:
  """The class of each pixel of one frame: arg-max after resizing to the frame's original size.

  Args:
    logits: [h, w, K]; probabilities do as well.
    height: Of the original frame, in pixels.
    width: Of the original frame, in pixels.

  Returns:
    [height, width] uint8 class ids.
  """
  return resize_logits(logits, height, width).argmax(axis=-1).astype(np.uint8)
