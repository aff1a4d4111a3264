"""What extraction gives for one frame: whichever method made it, a network or landmarks."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np

from tfds_300vw import boxes
from tfds_300vw.face_mask import CLASS_NAMES

MOST_BRIDGED = boxes.WINDOW - 1  # Frames: so many a window has beside the one behind a gap.
MOST_SKIPPED = 2  # Frames in a row that no network looks at.
MAX_ID = 255  # In the map of ids, which are counted anew after it.

# How sure a mask is. What is worse has none.
GOOD = 'good'  # The finder sees the face, and the mask agrees with it.
REFOUND = 'refound'  # So it does since the window was looked at once more.
DOUBTFUL = 'doubtful'  # The finder does not see the face, but the mask looks like one.
BRIDGED = 'bridged'  # It is lost or hardly seen: the mask is made of those just before and behind.
VERDICTS = (GOOD, REFOUND, BRIDGED, DOUBTFUL)


@dataclasses.dataclass(frozen=True)
class Face:
  """One face of one frame.

  Attributes:
    id: Counted from 1; the same person keeps it while the face is followed.
    box: Around it, as `--config.extraction.box` takes it, int64 [4]: x0, y0, x1, y1 in pixels of
      the frame, half-open.
    areas: Pixels of each class but the background, by name.
    confidence: Mean probability of the predicted class over the face's own pixels, in [0, 1]; None
      where the method gives none.
    roll: Of the head, radians, clockwise as one sees it.
    verdict: One of VERDICTS.
  """

  id: int
  box: np.ndarray
  areas: dict[str, int]
  confidence: float | None
  roll: float = 0.0
  verdict: str = GOOD


@dataclasses.dataclass(frozen=True)
class FrameMasks:
  """The masks of one frame.

  Attributes:
    index: Place of the frame in the video, from 0.
    labels: uint8 [H, W], class ids of `tfds_300vw.face_mask.CLASS_NAMES`; 0 where there is no face.
    ids: uint8 [H, W], the id of the face that a pixel belongs to; 0 for none.
    faces: The faces that were found, largest first; none leaves `labels` empty.
    is_cut: Whether a new shot begins here, so that nothing before it counts.
    lost: Ids of faces that had a mask within the last second, but have none here.
    window: Index of the first frame of those that were labelled together.
  """

  index: int
  labels: np.ndarray
  ids: np.ndarray
  faces: tuple[Face, ...]
  is_cut: bool
  lost: tuple[int, ...] = ()
  window: int = 0


class Piece(NamedTuple):
  """The labels of one face in one frame, before they meet those of others.

  Attributes:
    id: Of the face.
    box: As in `Face`.
    scope: What `labels` are of, [4], inside the frame.
    labels: Class ids, uint8 [height of the scope, width of the scope].
    confidence: As in `Face`.
    roll: As in `Face`.
    verdict: As in `Face`.
  """

  id: int
  box: np.ndarray
  scope: np.ndarray
  labels: np.ndarray
  confidence: float | None
  roll: float = 0.0
  verdict: str = GOOD


def compose(
  pieces: Sequence[Piece],
  index: int,
  height: int,
  width: int,
  *,
  is_cut: bool = False,
  lost: Sequence[int] = (),
  window: int = 0,
) -> FrameMasks:
  """Puts the faces of a frame together.

  Where two faces claim a pixel the larger one, most likely the nearer, has it. A face without a
  pixel in the frame is not in it.

  Args:
    pieces: The largest face first.
    index: Of the frame in the video, from 0.
    height: Of the frame, pixels.
    width: Of the frame, pixels.
    is_cut: Whether a new shot begins with the frame.
    lost: Ids of faces that are followed but have no mask here.
    window: Index of the first frame of those that were labelled together.
  """
  labels, ids = np.zeros((2, height, width), np.uint8)
  for piece in reversed(pieces):
    mine = piece.labels > 0
    np.copyto(boxes.crop(labels, piece.scope), piece.labels, where=mine)
    np.copyto(boxes.crop(ids, piece.scope), _stored_id(piece.id), where=mine)
  found = []
  for piece in pieces:
    mine = boxes.crop(ids, piece.scope) == _stored_id(piece.id)
    if mine.any():
      of_classes = areas(boxes.crop(labels, piece.scope)[mine])
      found.append(
        Face(piece.id, piece.box, of_classes, piece.confidence, piece.roll, piece.verdict)
      )
  return FrameMasks(index, labels, ids, tuple(found), is_cut, tuple(lost), window)


def resized(masks: FrameMasks, height: int, width: int) -> FrameMasks:
  """The masks of the same frame at another size, in whose pixels all numbers are.

  A face of which no pixel is left is not in it.

  Args:
    masks: Of the frame.
    height: Of it, pixels.
    width: Likewise; the two sides need not shrink or grow alike.
  """
  if masks.labels.shape == (height, width):
    return masks
  scale = np.array([width, height]) / masks.labels.shape[::-1]
  labels, ids = (
    cv2.resize(of_pixels, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    for of_pixels in (masks.labels, masks.ids)
  )
  made = dataclasses.replace(masks, labels=labels, ids=ids, faces=())
  faces = []
  for face in masks.faces:
    low, high = np.floor(face.box[:2] * scale), np.ceil(face.box[2:] * scale)
    box = np.minimum(np.concatenate([low, high]), [width, height] * 2).astype(np.int64)
    roll = float(np.arctan2(np.sin(face.roll) * scale[0], np.cos(face.roll) * scale[1]))
    of_classes = areas(own_labels(made, face))
    if any(of_classes.values()):
      faces.append(dataclasses.replace(face, box=box, areas=of_classes, roll=roll))
  return dataclasses.replace(made, faces=tuple(faces))


def own_labels(masks: FrameMasks, face: Face) -> np.ndarray:
  """The class ids of one face of a frame, and nothing of others: uint8 [H, W]."""
  return masks.labels * (masks.ids == _stored_id(face.id))


def check_choice(max_faces: int, box: Sequence[int] | None) -> None:
  """Raises ValueError if no faces can be chosen so.

  Args:
    max_faces: How many are to be labelled.
    box: Around the one in the first frame; None for whichever is found.
  """
  if max_faces < 1:
    raise ValueError(f'max_faces is {max_faces}; it must be at least 1.')
  if box is not None and not is_box(box):
    raise ValueError(f'box is {tuple(box)}; give x0, y0, x1, y1 with x0 < x1 and y0 < y1.')


def check_bridge(bridge: int, name: str = 'bridge') -> None:
  """Raises ValueError if so many frames in a row, an option of this name, cannot be bridged."""
  if not 0 <= bridge <= MOST_BRIDGED:
    raise ValueError(f'{name} is {bridge}; it must be 0 to {MOST_BRIDGED} frames.')


def check_skip(skip: int, name: str = 'skip') -> None:
  """Raises ValueError if so many frames in a row, an option of this name, cannot be skipped."""
  if not 0 <= skip <= MOST_SKIPPED:
    raise ValueError(f'{name} is {skip}; it must be 0 to {MOST_SKIPPED} frames.')


def check_steadiness(steadiness: float, name: str = 'steadiness') -> None:
  """Raises ValueError if this cannot be the share of the mask before."""
  if not 0 <= steadiness < 1:
    raise ValueError(f'{name} is {steadiness}; it must be 0 or more, and less than 1.')


def is_box(box: Sequence[int]) -> bool:
  """Whether these are x0, y0, x1 and y1 of a box with something in it."""
  return len(box) == 4 and box[0] < box[2] and box[1] < box[3]


def check_frame(frame: Any, index: int, size: tuple[int, int] | None) -> None:
  """Raises ValueError if a frame is no image of the size of those before.

  Args:
    frame: uint8 [H, W, 3], RGB, or something else.
    index: Of the frame in the video, from 0.
    size: Height and width of the frames before; None for the first.
  """
  image = isinstance(frame, np.ndarray) and frame.dtype == np.uint8
  if not image or frame.ndim != 3 or frame.shape[2] != 3 or not frame.size:
    found = f'{frame.dtype} {frame.shape}' if isinstance(frame, np.ndarray) else repr(type(frame))
    raise ValueError(f'Frame {index} is {found}; frames must be RGB images, uint8 [H, W, 3].')
  if size is not None and frame.shape[:2] != size:
    raise ValueError(
      f'Frame {index} has {frame.shape[1]} x {frame.shape[0]} pixels, those before it '
      f'{size[1]} x {size[0]}: give frames of one size.'
    )


def areas(labels: np.ndarray) -> dict[str, int]:
  """Counts the pixels of each class but the background.

  Args:
    labels: Class ids, uint8 [...].

  Returns:
    Pixels by class name.
  """
  return {
    name: int(np.count_nonzero(labels == class_id))
    for class_id, name in enumerate(CLASS_NAMES)
    if class_id
  }


def _stored_id(face_id: int) -> np.uint8:
  return np.uint8((face_id - 1) % MAX_ID + 1)
