"""The second look at what the finder doubts: upright, at a size that suits, and mirrored too.

It costs a quarter of a look at a frame for each face and view, and tells small and turned faces
from what only looks like them: a small one shows the frame's own detail, a turned one is upright.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np

from fmx.data.cutting import cut
from fmx.data.levels import stretched
from fmx.finding.found import Found, decoded
from tfds_300vw.pose import MIRRORED, Pose, move, roll_of

DOUBTED = (0.2, 0.52)  # Confidence, at the first look, of what is looked at again.
MOST = 12  # Faces of a frame that are.
SIDE = 128  # Pixels of the upright view,
MARGIN = 2.0  # and what that shows, over the size of the face.
_LEAST_RANGE = 30.0  # Grey levels of each channel: spreading more makes faces of bare walls.
_LEAST = 0.05  # Confidence of what the second look takes for the face,
_NEAR = 0.35  # which may be so far from the middle, over the size,
_ALIKE = 0.6  # and so much smaller, or larger by as much.


def doubted(faces: Sequence[Found]) -> list[Found]:
  """Those of one frame that deserve a second look."""
  doubts = [face for face in faces if DOUBTED[0] <= face.confidence < DOUBTED[1]]
  return sorted(doubts, key=lambda face: -face.confidence)[:MOST]


def in_fair_light(picture: np.ndarray) -> np.ndarray:
  """A picture as the finder's network wants to see it, uint8 [H, W, 3]."""
  return stretched(picture[None], _LEAST_RANGE)[0]


def views(frame: np.ndarray, face: Found) -> list[np.ndarray]:
  """The upright view of a face, black around the frame, and its mirror image: uint8 [S, S, 3]."""
  view = in_fair_light(cut(frame, _matrix(face), SIDE))
  return [view, view[:, ::-1]]


def reviewed(face: Found, said: np.ndarray, said_mirrored: np.ndarray) -> Found:
  """A face after the second look.

  Args:
    face: As it was seen in the frame.
    said: What the network says of its view, [h, w, 14].
    said_mirrored: Likewise of the mirror image.

  Returns:
    It in pixels of the frame: its confidence is the mean of the three looks, 0 for one that shows
    nothing; its place the mean of those of the second.
  """
  again = seen_again(face, said, said_mirrored)
  if again is None:
    return dataclasses.replace(face, confidence=face.confidence / 3)
  return dataclasses.replace(again, confidence=(face.confidence + 2 * again.confidence) / 3)


def seen_again(face: Found, said: np.ndarray, said_mirrored: np.ndarray) -> Found | None:
  """What the second look alone shows of a face, if anything; the arguments are those of `reviewed`.

  Returns:
    The mean of both views, in pixels of the frame; the confidence is 0 for one without it.
  """
  seen = [_nearest(said), _nearest(said_mirrored)]
  if seen[1] is not None:
    seen[1] = _mirrored(seen[1])
  looks = [look for look in seen if look is not None]
  confidence = sum(look.confidence for look in looks) / 2
  if not looks:
    return None
  back = cv2.invertAffineTransform(_matrix(face))
  points = move(np.mean([look.points for look in looks], axis=0), back)
  middle = np.mean([(look.pose.x, look.pose.y) for look in looks], axis=0)
  x, y = move(middle, back)
  size = np.mean([look.pose.size for look in looks]) * face.pose.size * MARGIN / SIDE
  return Found(Pose(float(x), float(y), float(size), roll_of(points)), points, confidence)


def _matrix(face: Found) -> np.ndarray:
  return face.pose.matrix(SIDE, margin=MARGIN)


def _nearest(said: np.ndarray) -> Found | None:
  """The surest face about the middle of a view, of about the size that it should have."""
  middle, size = (SIDE - 1) / 2, SIDE / MARGIN
  near = [
    face
    for face in decoded(said, confidence=_LEAST, scale=np.ones(2))
    if np.hypot(face.pose.x - middle, face.pose.y - middle) < _NEAR * size
    and _ALIKE * size < face.pose.size < size / _ALIKE
  ]
  return max(near, key=lambda face: face.confidence, default=None)


def _mirrored(face: Found) -> Found:
  """A face of the mirrored view in the view."""
  points = face.points[list(MIRRORED)] * (-1, 1) + (SIDE - 1, 0)
  pose = Pose(SIDE - 1 - face.pose.x, face.pose.y, face.pose.size, -face.pose.roll)
  return Found(pose, points, face.confidence)
