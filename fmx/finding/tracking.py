"""Following faces from window to window by their own masks."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from fmx.finding import mask_shape
from fmx.finding.detection import Detection, area, overlap
from fmx.finding.mask_shape import FaceShape
from tfds_300vw import boxes

SECOND = 6  # Windows of 5 frames, at 30 frames a second.

_CENTRE_GAIN = 0.8  # Share of the measured change that a box takes over at once.
_SIDE_GAIN = 0.4
_VELOCITY_GAIN = 0.5
_MAX_LEAD = 0.2  # Of the side: how far a box may run ahead of the mask.
_GROWTH = 1.15  # Of the side, where the mask is cut off by its box.
_SAME = 0.5  # Overlap from which two boxes are on the same face.
_NEAR = 0.3  # Overlap with a followed face from which a detection is no other face.


class Track(NamedTuple):
  """A face to segment.

  Attributes:
    id: Counted from 1.
    box: Its crop, fixed for the window, int64 [4], inside the frame.
    is_new: Whether the window before did not show it, so that nothing goes on from there.
  """

  id: int
  box: np.ndarray
  is_new: bool


@dataclasses.dataclass
class _Face:
  """What is known of one face; pixels and frames."""

  id: int
  centre: np.ndarray  # float64 [2], where it is expected in the next window.
  side: float
  velocity: np.ndarray  # float64 [2], a frame.
  is_trusted: bool  # Shown to be a face by its mask, or by the user.
  is_new: bool = True
  windows_lost: int = 0

  def box(self, height: int, width: int) -> np.ndarray:
    """Its crop; the centre is kept inside the frame."""
    centre = np.clip(self.centre, 0, (width - 1, height - 1))
    low, high = centre - self.side / 2, centre + self.side / 2
    return boxes.clamp(boxes.enlarge((*low, *high), 1.0), height, width)

  def put(self, box: np.ndarray) -> None:
    """Places it anew."""
    self.centre, self.side = (box[:2] + box[2:]) / 2, float(max(box[2:] - box[:2]))
    self.velocity = np.zeros(2)

  def follow(self, shape: FaceShape) -> None:
    """Moves it to where its mask says that it will be."""
    side = boxes.FACE_MARGIN * shape.side
    if shape.is_cut_off:
      side = max(side, self.side * _GROWTH)
    change = shape.velocity - self.velocity
    self.velocity = self.velocity + (1.0 if self.is_new else _VELOCITY_GAIN) * change
    limit = _MAX_LEAD * side
    measured = shape.centre + np.clip(self.velocity * shape.lead, -limit, limit)
    expected = self.centre + self.velocity * shape.frames
    self.centre = expected + (1.0 if self.is_new else _CENTRE_GAIN) * (measured - expected)
    self.side += (1.0 if self.is_new else _SIDE_GAIN) * (side - self.side)
    self.is_trusted, self.is_new, self.windows_lost = True, False, 0


class FaceTracker:
  """Says where the faces are, window by window.

  A face is followed by its mask for as long as that looks like a face's. A lost one is looked for
  by the detector and, for a second, by its mask at its last place; found there it keeps its id. The
  detector looks while fewer faces than asked for are followed: at once after a loss or a cut, then
  at pauses that grow to a second. Where it saw a face and the mask shows none, its detections are
  passed over for a second.
  """

  def __init__(
    self,
    detector: Callable[[np.ndarray], list[Detection]],
    *,
    max_faces: int = 1,
    box: Sequence[int] | None = None,
  ):
    """Starts before the first frame.

    Args:
      detector: Finds the faces of a frame, see `fmx.finding.detection.FaceDetector`.
      max_faces: Faces that are followed at a time; the largest that the detector finds.
      box: x0, y0, x1, y1 of one face in the first frame, pixels, half-open; None to detect it.

    Raises:
      ValueError: `max_faces` is less than 1, or the box is empty.
    """
    if max_faces < 1:
      raise ValueError(f'max_faces is {max_faces}; it must be at least 1.')
    if box is not None and (len(box) != 4 or box[0] >= box[2] or box[1] >= box[3]):
      raise ValueError(f'box is {tuple(box)}; give x0, y0, x1, y1 with x0 < x1 and y0 < y1.')
    self._detector, self._max_faces = detector, max_faces
    self._given = None if box is None else np.array(box, np.int64)
    self._size = (0, 0)  # Height and width of the frames.
    self._faces: list[_Face] = []
    self._refused: list[tuple[np.ndarray, int]] = []  # Boxes of no face, windows still to refuse.
    self._next_id = 1
    self._forget_pauses()

  def start_window(self, frame: np.ndarray) -> list[Track]:
    """Says which faces to segment in a window.

    Args:
      frame: The window's first, uint8 [H, W, 3].

    Returns:
      At most `max_faces` faces, the largest first.

    Raises:
      ValueError: the user's box lies outside the first frame.
    """
    self._size = frame.shape[:2]
    if self._given is not None:
      self._faces.append(self._new_face(boxes.clamp(self._given, *self._size), is_trusted=True))
      self._given = None
    if sum(not face.windows_lost for face in self._faces) < self._max_faces:
      self._look(frame)
    return self._tracks()

  def settle(self, labels: Mapping[int, np.ndarray]) -> list[Track]:
    """Moves the boxes of new faces to where their masks show the face.

    A detector's box is rougher than a mask, and may cut the face off.

    Args:
      labels: By id of the new tracks: class ids, uint8 [1, h, w], of the window's first frame
        inside the track's box.

    Returns:
      As `start_window`.
    """
    for face in self._faces:
      if face.id in labels:
        shape = self._measure(face, labels[face.id])
        if shape is not None:
          face.centre = shape.centre
          grown = face.side * _GROWTH if shape.is_cut_off else 0.0
          face.side = max(boxes.FACE_MARGIN * shape.side, grown)
    return self._tracks()

  def finish_window(self, labels: Mapping[int, np.ndarray]) -> set[int]:
    """Takes the masks of a window and decides where its faces are next.

    Args:
      labels: By id of the track: class ids, uint8 [t, h, w], of all frames inside the track's box.

    Returns:
      The ids whose masks show no face, or a face that an older track shows already.
    """
    for face in self._faces:
      if face.id in labels:
        self._judge(face, face.box(*self._size), self._measure(face, labels[face.id]))
      elif face.windows_lost:
        face.windows_lost += 1
    kept: list[_Face] = []
    for face in sorted(self._faces, key=lambda face: (face.windows_lost, face.id)):
      if self._is_worth(face) and not any(self._are_one(face, other) for other in kept):
        kept.append(face)
    self._faces = sorted(kept, key=lambda face: face.id)
    self._refused = [(box, left - 1) for box, left in self._refused if left > 1]
    return set(labels) - {face.id for face in kept if not face.windows_lost}

  def cut(self) -> None:
    """Forgets where faces were, for a new shot; ids go on counting."""
    self._faces, self._refused, self._given = [], [], None
    self._forget_pauses()

  def _tracks(self) -> list[Track]:
    # What is left of the room goes to lost faces: their masks may come back at their last place.
    tried = sorted(self._faces, key=lambda face: face.windows_lost)[: self._max_faces]
    tracks = [Track(face.id, face.box(*self._size), face.is_new) for face in tried]
    return sorted(tracks, key=lambda track: (-area(track.box), track.id))

  def _measure(self, face: _Face, labels: np.ndarray) -> FaceShape | None:
    return mask_shape.measure(
      labels,
      face.box(*self._size),
      self._size,
      expected_side=face.side / boxes.FACE_MARGIN,
      needs_features=not face.is_trusted,
    )

  def _forget_pauses(self) -> None:
    self._wait, self._pause = 0, 0  # Windows until the detector looks, and after it has.

  def _judge(self, face: _Face, box: np.ndarray, shape: FaceShape | None) -> None:
    """Follows a face by its mask, or calls it lost."""
    if shape is not None:
      if face.is_new:
        self._forget_pauses()
      face.follow(shape)
      return
    if not face.windows_lost and face.is_trusted:
      self._forget_pauses()
    if not face.is_trusted:
      self._refused.append((box, SECOND))
    face.windows_lost += 1
    face.is_new, face.velocity = True, np.zeros(2)

  def _look(self, frame: np.ndarray) -> None:
    """Lets the detector look if it is time to."""
    if self._wait:
      self._wait -= 1
      return
    self._wait = self._pause
    self._pause = min(2 * self._pause + 1, SECOND - 1)
    for found in self._detector(frame):
      followed = [face for face in self._faces if not face.windows_lost]
      near = any(overlap(found.box, face.box(*self._size)) > _NEAR for face in followed)
      refused = any(overlap(found.box, box) > _SAME for box, _ in self._refused)
      if len(followed) >= self._max_faces or near or refused:
        continue
      lost = [face for face in self._faces if face.windows_lost]
      same = max(lost, key=lambda face: overlap(found.box, face.box(*self._size)), default=None)
      if same is not None and overlap(found.box, same.box(*self._size)) > _SAME:
        same.put(found.box)
        same.windows_lost = 0
      else:
        self._faces.append(self._new_face(found.box, is_trusted=False))

  def _new_face(self, box: np.ndarray, *, is_trusted: bool) -> _Face:
    face = _Face(self._next_id, np.zeros(2), 0.0, np.zeros(2), is_trusted)
    face.put(box)
    self._next_id += 1
    return face

  def _is_worth(self, face: _Face) -> bool:
    """Whether to keep a face in mind."""
    return face.windows_lost <= (SECOND if face.is_trusted else 0)

  def _are_one(self, face: _Face, other: _Face) -> bool:
    return overlap(face.box(*self._size), other.box(*self._size)) > _SAME
