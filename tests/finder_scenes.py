"""Frames with faces that tests of the finder share: drawn plainly, without jax."""

import cv2
import numpy as np

from fmx.data.prepared import FrameExample

# 68 landmarks of an upright face whose bounding box has its middle at 0 and sides of 1.
_JAW = np.stack([np.linspace(-0.5, 0.5, 17), 0.5 * np.sin(np.linspace(0, np.pi, 17))], axis=1)
_BROWS = np.stack([np.linspace(-0.4, 0.4, 10), np.full(10, -0.5)], axis=1)
_NOSE = np.array([[0, -0.2 + 0.05 * i] for i in range(9)])
_EYE = 0.08 * np.array([[-1, 0], [-0.5, -0.4], [0.5, -0.4], [1, 0], [0.5, 0.4], [-0.5, 0.4]])
_MOUTH = np.array(
  [[-0.2 + 0.4 * min(i, 6) / 6 - (0.4 / 6) * max(i - 6, 0), 0.3] for i in range(20)]
)
FACE = np.concatenate([_JAW, _BROWS, _NOSE, _EYE + (-0.2, -0.3), _EYE + (0.2, -0.3), _MOUTH])
FACE[54] = (0.2, 0.3)


def landmarks(x, y, size, roll=0.0):
  """Of a face with that pose."""
  low, high = FACE.min(axis=0), FACE.max(axis=0)
  upright = (FACE - (low + high) / 2) * size / (high - low).mean()
  cos, sin = np.cos(roll), np.sin(roll)
  return upright @ np.array([[cos, sin], [-sin, cos]]) + (x, y)


def frame(*faces, height=96, width=128, others=(), name='a', number=1, from_people=True):
  """A frame with these faces (x, y, size[, roll]): light discs with dark eyes and a mouth."""
  points = [landmarks(*face) for face in faces]
  image = np.full((height, width, 3), 60, np.uint8)
  for face, each in zip(faces, points, strict=True):
    cv2.circle(image, (round(face[0]), round(face[1])), round(face[2] / 2), (220, 180, 150), -1)
    for part in (each[36:42], each[42:48], each[48:55]):
      cv2.circle(image, tuple(part.mean(axis=0).round().astype(int).tolist()), 2, (20, 20, 20), -1)
  return FrameExample(
    image=image,
    landmarks=np.array(points, np.float32).reshape(-1, 68, 2),
    others=np.array(others, np.float32).reshape(-1, 4),
    video_id=name,
    frame_number=number,
    from_people=from_people,
  )
