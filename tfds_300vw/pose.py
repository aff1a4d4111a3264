"""Where a face is, how large and how far it is rolled: what an upright crop of it needs.

A pose is fixed by a centre, a size and a roll, whether they come from 68 landmarks, or from what a
finder sees of a face. Pixels count from the middle of the first one, as landmarks do.
"""

from __future__ import annotations

import dataclasses

import numpy as np

# Eye centres, tip of the nose and mouth corners, each the mean of these landmarks.
POINTS = (range(36, 42), range(42, 48), (30,), (48,), (54,))
NUM_POINTS = len(POINTS)
MIRRORED = (1, 0, 2, 4, 3)  # The point that takes the place of each in a mirror image.


@dataclasses.dataclass(frozen=True)
class Pose:
  """A face in a frame.

  Attributes:
    x: Of the middle of the upright landmarks' bounding box, pixels.
    y: Likewise.
    size: Mean side of that box, pixels, above 0.
    roll: Radians, clockwise as one sees it; 0 for a face whose eyes are level above its mouth.
  """

  x: float
  y: float
  size: float
  roll: float

  def matrix(self, side: int, *, margin: float, mirror: bool = False) -> np.ndarray:
    """The way from pixels of the frame to those of an upright square crop.

    Args:
      side: Of the crop, pixels.
      margin: Side of what the crop shows, over the size of the face.
      mirror: Whether left and right change places in the crop.

    Returns:
      float64 [2, 3], as `cv2.warpAffine` takes it.
    """
    scale = side / (margin * self.size)
    cos, sin = scale * np.cos(self.roll), scale * np.sin(self.roll)
    linear = np.array([[cos, sin], [-sin, cos]])
    if mirror:
      linear[0] = -linear[0]
    middle = (side - 1) / 2
    return np.concatenate([linear, (middle - linear @ (self.x, self.y))[:, None]], axis=1)

  def moved(self, offset: np.ndarray, size: float) -> Pose:
    """The pose of a part of the face.

    Args:
      offset: From the face's middle to the part's, to the face's right in the image and down, [2].
      size: Of the part, pixels.
    """
    cos, sin = np.cos(self.roll), np.sin(self.roll)
    right, down = (float(way) for way in offset)
    x, y = self.x + cos * right - sin * down, self.y + sin * right + cos * down
    return Pose(float(x), float(y), size, self.roll)

  def corners(self, *, margin: float) -> np.ndarray:
    """The corners of what such a crop shows, from its upper left clockwise: [4, 2], x then y."""
    cos, sin = np.cos(self.roll), np.sin(self.roll)
    half = margin * self.size / 2
    square = half * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    return square @ np.array([[cos, sin], [-sin, cos]]) + (self.x, self.y)


def five_points(landmarks: np.ndarray) -> np.ndarray:
  """Eye centres, nose and mouth corners [..., 5, 2] of landmarks [..., 68, 2], image-left first."""
  return np.stack([landmarks[..., list(part), :].mean(axis=-2) for part in POINTS], axis=-2)


def roll_of(points: np.ndarray) -> float:
  """The roll that five points show, radians.

  The line from eye to eye and the one from the eyes down to the mouth are at right angles in an
  upright face. Each counts by its length, so that in profile, where the eyes fall together, the
  second decides.

  Args:
    points: [5, 2], as `five_points` gives them.
  """
  across = points[1] - points[0]
  down = (points[3] + points[4] - points[0] - points[1]) / 2
  return float(np.arctan2(across[1] - down[0], across[0] + down[1]))


def face_pose(landmarks: np.ndarray) -> Pose:
  """The pose of a face.

  Args:
    landmarks: [68, 2], x then y, 0-based pixels.
  """
  landmarks = np.asarray(landmarks, np.float64)
  roll = roll_of(five_points(landmarks))
  cos, sin = np.cos(roll), np.sin(roll)
  to_frame = np.array([[cos, sin], [-sin, cos]])  # Rows: the face's right and down in the frame.
  upright = landmarks @ to_frame.T
  low, high = upright.min(axis=0), upright.max(axis=0)
  x, y = (low + high) / 2 @ to_frame
  return Pose(float(x), float(y), max(float((high - low).mean()), 1.0), roll)


def move(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
  """Points [..., 2] by an affine matrix [2, 3]."""
  return points @ matrix[:, :2].T + matrix[:, 2]


# What a zoomed-in model looks at: landmarks whose bounding box it is, and the least share of the
# face's size that it counts as, since a mouth or an eye seen from the side is narrow.
PARTS = {
  'primary': ((range(68), 0.0),),
  'mouth': ((range(48, 60), 0.25),),
  'eye': ((range(36, 42), 0.14), (range(42, 48), 0.14)),
}


def part_poses(landmarks: np.ndarray, region: str) -> list[Pose]:
  """The poses of a face, of its mouth or of each of its eyes, all with the roll of the face.

  Args:
    landmarks: [68, 2], x then y, 0-based pixels.
    region: A key of `PARTS`.

  Returns:
    One pose, or of eyes two, image-left first. The size of a part is its larger upright side.
  """
  face = face_pose(landmarks)
  if region == 'primary':
    return [face]
  to_face = Pose(face.x, face.y, 1.0, face.roll).matrix(1, margin=1.0)
  upright = move(np.asarray(landmarks, np.float64), to_face)
  poses = []
  for part, least in PARTS[region]:
    low, high = upright[list(part)].min(axis=0), upright[list(part)].max(axis=0)
    size = max(float((high - low).max()), least * face.size)
    poses.append(face.moved((low + high) / 2, size))
  return poses
