"""A virtual camera that films a still image of a face: clips whose landmarks are known exactly.

The camera pans, zooms, rolls and leans a little; the face turns and nods, opens and closes its
mouth, smiles, raises its brows and narrows its eyes by soft pushes on the image. Amounts, speeds
and the shape of the pushes are ours: the paper trains on real video alone.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

PAN = 0.06  # Share of the face's size, in x and in y.
ZOOM = 0.08  # Of the scale's logarithm.
ROLL = 0.08  # Radians.
LEAN = 0.04  # Shear: sideways shift over height.
EXPOSURE = 0.08  # Of the gain's logarithm.
CAMERA_HERTZ = (0.2, 1.0)
FACE_HERTZ = (0.5, 2.5)
ITERATIONS, TOLERANCE = 100, 1e-4  # Pixels. Pushes contract, so a few iterations do.


@dataclasses.dataclass(frozen=True)
class Push:
  """A soft shift of a part of the face, strongest at its centre and falling off as a Gaussian.

  Attributes:
    landmarks: Indices of those whose mean is the centre.
    reach: Standard deviation, as a share of the face's size.
    right: Largest shift along the line from eye to eye, as a share of the face's size.
    down: Largest shift at a right angle to it.
  """

  landmarks: tuple[int, ...]
  reach: float
  right: float = 0.0
  down: float = 0.0


# Pushes of one motion move together. Steeper pushes (shift over reach) would fold the image.
MOTIONS = {
  'turn': (Push((30,), 0.4, right=0.05),),
  'nod': (Push((30,), 0.4, down=0.04),),
  'mouth': (
    Push((7, 8, 9), 0.2, down=0.03),
    Push((57, 66), 0.08, down=0.025),
    Push((51, 62), 0.08, down=-0.006),
  ),
  'smile': (Push((48,), 0.09, right=-0.02, down=-0.012), Push((54,), 0.09, 0.02, -0.012)),
  'brows': (Push((19,), 0.1, down=-0.02), Push((24,), 0.1, down=-0.02)),
  'lids': (
    Push((37, 38), 0.05, down=0.016),
    Push((43, 44), 0.05, down=0.016),
    Push((40, 41), 0.05, down=-0.004),
    Push((46, 47), 0.05, down=-0.004),
  ),
}


@dataclasses.dataclass(frozen=True, eq=False)
class View:
  """One frame of the camera: where it looks, and how the face is pushed.

  Attributes:
    affine: [2, 3], from the image's pixels to the frame's.
    centers: Of the pushes, [P, 2], x then y, pixels of the frame.
    reaches: [P], pixels.
    shifts: [P, 2], x then y, pixels.
    gain: Of the brightness.
  """

  affine: np.ndarray
  centers: np.ndarray
  reaches: np.ndarray
  shifts: np.ndarray
  gain: float

  def move(self, points: np.ndarray) -> np.ndarray:
    """Tells where points of the image are in the frame.

    Args:
      points: [..., 2], x then y, 0-based pixels.

    Returns:
      float64 [..., 2], to within 1e-3 pixel of where `render` puts them.
    """
    start = moved = points @ self.affine[:, :2].T + self.affine[:, 2]
    for _ in range(ITERATIONS):  # `render` knows the way back, moved - pushes; so solve for moved.
      distances = ((moved[..., None, :] - self.centers) / self.reaches[:, None]) ** 2
      last, moved = moved, start + np.exp(-distances.sum(axis=-1) / 2) @ self.shifts
      if np.abs(moved - last).max() < TOLERANCE:
        break
    return moved

  def render(self, image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Films a part of the frame; what lies beyond the image's border is its mirror image.

    Args:
      image: uint8 [H, W, 3].
      box: [4], the part, in pixels of the frame, which is as large as the image.

    Returns:
      uint8 [height of the box, width of the box, 3].
    """
    x0, y0, x1, y1 = (int(edge) for edge in box)
    columns, rows = np.arange(x0, x1), np.arange(y0, y1)
    in_x = np.exp(-(((columns - self.centers[:, :1]) / self.reaches[:, None]) ** 2) / 2)
    in_y = np.exp(-(((rows - self.centers[:, 1:]) / self.reaches[:, None]) ** 2) / 2)
    x = columns - (in_y * self.shifts[:, :1]).T @ in_x  # [H, W] of the box.
    y = rows[:, None] - (in_y * self.shifts[:, 1:]).T @ in_x
    back = cv2.invertAffineTransform(self.affine)
    part = cv2.remap(
      image,
      (back[0, 0] * x + back[0, 1] * y + back[0, 2]).astype(np.float32),
      (back[1, 0] * x + back[1, 1] * y + back[1, 2]).astype(np.float32),
      cv2.INTER_CUBIC,
      borderMode=cv2.BORDER_REFLECT_101,
    )
    return cv2.convertScaleAbs(part, alpha=self.gain)


def film(
  landmarks: np.ndarray,
  num_frames: int,
  *,
  frame_rate: float,
  rng: np.random.Generator,
  strength: float = 1.0,
) -> list[View]:
  """Draws a smooth motion of the camera and of the face.

  Args:
    landmarks: [68, 2] in the image, x then y, 0-based pixels.
    num_frames: At least 1.
    frame_rate: Frames per second; motion has its own speed.
    rng: Draws the motion.
    strength: Scales all motion; 0 stands still, 1 is the most that never folds the image.

  Returns:
    A view for each frame.
  """
  seconds = np.arange(num_frames) / frame_rate
  camera = strength * np.stack([wander(rng, seconds, CAMERA_HERTZ) for _ in range(6)], axis=1)
  face = {name: strength * wander(rng, seconds, FACE_HERTZ) for name in MOTIONS}
  return [
    _view(landmarks, camera[t], {name: float(way[t]) for name, way in face.items()})
    for t in range(num_frames)
  ]


def wander(rng: np.random.Generator, seconds: np.ndarray, hertz: tuple[float, float]) -> np.ndarray:
  """A smooth random way to and fro: [T] in [-1, 1].

  Args:
    rng: Draws two swings, their speeds and where in them the clip begins.
    seconds: [T].
    hertz: The least and the greatest frequency of a swing.
  """
  speeds, starts = rng.uniform(*hertz, 2), rng.uniform(0, 1, 2)
  return np.cos(2 * np.pi * (np.outer(seconds, speeds) + starts)) @ np.array([0.7, 0.3])


def face_size(landmarks: np.ndarray) -> float:
  """The mean side of the landmarks' bounding box, pixels, at least 1."""
  return max(float(np.ptp(landmarks, axis=0).mean()), 1.0)


def _view(landmarks: np.ndarray, camera: np.ndarray, face: dict[str, float]) -> View:
  """One view; `camera` holds pan x and y, zoom, roll, lean, exposure, and all are in [-1, 1]."""
  size = face_size(landmarks)
  affine = _affine((landmarks.min(axis=0) + landmarks.max(axis=0)) / 2, size, camera)
  moved = landmarks @ affine[:, :2].T + affine[:, 2]
  size *= float(np.exp(ZOOM * camera[2]))
  axes = _axes(moved, size)
  pushes = [(push, face[name]) for name, pushes in MOTIONS.items() for push in pushes]
  return View(
    affine=affine,
    centers=np.stack([moved[list(push.landmarks)].mean(axis=0) for push, _ in pushes]),
    reaches=size * np.array([push.reach for push, _ in pushes]),
    shifts=size * np.array([(push.right * way, push.down * way) for push, way in pushes]) @ axes,
    gain=float(np.exp(EXPOSURE * camera[5])),
  )


def _affine(center: np.ndarray, size: float, camera: np.ndarray) -> np.ndarray:
  """Pan, zoom, roll and lean about the middle of the face, [2, 3]."""
  angle, scale = ROLL * camera[3], np.exp(ZOOM * camera[2])
  roll = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
  matrix = scale * roll @ np.array([[1, LEAN * camera[4]], [0, 1]])
  offset = center + PAN * size * camera[:2] - matrix @ center
  return np.concatenate([matrix, offset[:, None]], axis=1)


def _axes(landmarks: np.ndarray, size: float) -> np.ndarray:
  """Unit vectors to the face's right in the image and down, [2, 2]; a profile takes the image's."""
  right = landmarks[42:48].mean(axis=0) - landmarks[36:42].mean(axis=0)
  length = float(np.hypot(*right))
  right = right / length if length > 0.1 * size else np.array([1.0, 0.0])
  return np.array([right, [-right[1], right[0]]])
