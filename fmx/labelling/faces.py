"""The faces of a window: what the primary network sees of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from fmx.data.levels import stretched
from fmx.finding.tracks import Course
from fmx.finding.verification import Evidence, examine, face_piece
from fmx.labelling import parts
from fmx.labelling.crops import Crop, crop_of, images
from fmx.labelling.predictor import Predictor, stack, unstack
from fmx.labelling.skipping import times_to_look
from fmx.labelling.steadying import Trace
from fmx.models.heads import State
from tfds_300vw.pose import Pose, move

SETTLED_SHIFT, SETTLED_GROWTH = 0.12, np.log(1.18)  # Of a mask from the pose, in its size.
FARTHEST_SHIFT, FARTHEST_GROWTH = 0.5, np.log(2.0)
_SETTLING = 2  # Further looks at a face whose mask is not in the middle of its crop.


@dataclasses.dataclass(frozen=True)
class Sight:
  """What the networks saw of a face in one frame.

  Attributes:
    pose: Of the face.
    points: The finder's five points in the crop, [5, 2].
    probs: The primary network's in the crop, [S, S, 5].
    confidence: Of the mask.
    gray: The crop without its colours, uint8 [S, S].
    parts: Probabilities of the zoomed-in ones, [S, S, K], by region and number of the part.
  """

  pose: Pose
  points: np.ndarray
  probs: np.ndarray
  confidence: float
  gray: np.ndarray
  parts: Mapping[tuple[str, int], np.ndarray] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class FaceState:
  """What the next window needs to know of one face.

  Attributes:
    carry: State of the primary network; None to start anew.
    parts: Of the zoomed-in ones, by region and number.
    last: What was seen in the last frame.
    trace: Of the mask, to steady those that follow; None to start anew.
  """

  carry: State | None
  parts: parts.States
  last: Sight
  trace: Trace | None = None


@dataclasses.dataclass(frozen=True)
class Reading:
  """What the primary network sees of one face in a window.

  Attributes:
    course: Of the face.
    crops: Of the t frames.
    gray: The crops without their colours, uint8 [t, S, S].
    probs: float32 [t, S, S, 5].
    labels: Class ids of the face's own pixels, uint8 [t, S, S].
    confidence: Of each frame, see `confidence`.
    evidence: Of each frame.
    carry: The network's state after the window.
    times: Positions of the frames that the network looked at, ascending, the last one among them;
      all the others are as the nearest of these.
  """

  course: Course
  crops: tuple[Crop, ...]
  gray: np.ndarray
  probs: np.ndarray
  labels: np.ndarray
  confidence: np.ndarray
  evidence: tuple[Evidence, ...]
  carry: State | None
  times: tuple[int, ...]

  @property
  def skips(self) -> bool:
    """Whether there are frames that the network did not look at."""
    return len(self.times) < len(self.crops)

  @property
  def points(self) -> np.ndarray:
    """The finder's five points in the crops, [t, 5, 2]."""
    return np.stack(
      [move(points, crop.matrix) for points, crop in zip(self.course.points, self.crops)]
    )


def read_faces(
  frames: Sequence[np.ndarray],
  courses: Sequence[Course],
  known: Mapping[int, FaceState],
  predictor: Predictor,
  skip: int = 0,
) -> list[Reading]:
  """Lets the primary network label faces, all of them at once.

  Args:
    frames: uint8 [H, W, 3], t of one size.
    courses: Of the faces.
    known: What the window before left of a face, by key of its track.
    predictor: Of the primary network.
    skip: Frames in a row that it may skip where all faces hardly change; they must be known then.
  """
  if not courses:
    return []
  crops = [tuple(crop_of(pose, predictor.model) for pose in course.poses) for course in courses]
  video = np.stack([images(of_face, frames) for of_face in crops])
  grays = [np.stack([cv2.cvtColor(i, cv2.COLOR_RGB2GRAY) for i in of_face]) for of_face in video]
  times = list(range(len(frames)))
  if skip:
    last = [known[course.key].last.gray for course in courses]
    times = times_to_look([np.stack([a, *b]) for a, b in zip(last, grays)], skip)
  carry = stack([known[c.key].carry if c.key in known else None for c in courses])
  shown = np.stack([stretched(of_face) for of_face in video[:, times]])
  probs, carry = predictor.probabilities(shown, carry)
  states = unstack(carry, len(courses))
  size = frames[0].shape[:2]
  return [_read(*each, times, size) for each in zip(courses, crops, grays, probs, states)]


def read_settled_faces(
  frames: Sequence[np.ndarray],
  courses: Sequence[Course],
  known: Mapping[int, FaceState],
  predictor: Predictor,
  skip: int = 0,
) -> list[Reading]:
  """As `read_faces`; a face whose masks are not in the middle of its crops is read again there."""
  readings = read_faces(frames, courses, known, predictor, skip)
  if any(reading.skips and settled(reading) for reading in readings):
    readings = read_faces(frames, courses, known, predictor)
  for _ in range(_SETTLING):
    moved = {
      place: course for place, reading in enumerate(readings) if (course := settled(reading))
    }
    if not moved:
      break
    again = read_faces(frames, list(moved.values()), known, predictor)
    for place, reading in zip(moved, again):
      readings[place] = reading
  return readings


def settled(reading: Reading) -> Course | None:
  """The course of a face, moved to where its masks are.

  A finder is rougher than a mask: off by a fifth of the face, or by a third of its size, a crop
  still shows the face, though not as the networks know it.

  Returns:
    None where the masks are in the middle of their crops already, where none looks like a face in
    frames in which the finder sees it, or where they are so far off that they must be of something
    else.
  """
  offsets = [
    evidence.offset
    for evidence, is_seen in zip(reading.evidence, reading.course.is_seen, strict=True)
    if is_seen and evidence.has_shape
  ]
  if not offsets:
    return None
  offset = np.median(offsets, axis=0)
  shift, growth = float(np.hypot(*offset[:2])), abs(float(offset[2]))
  if max(shift / SETTLED_SHIFT, growth / SETTLED_GROWTH) < 1:
    return None
  if shift > FARTHEST_SHIFT or growth > FARTHEST_GROWTH:
    return None
  course, factor = reading.course, float(np.exp(offset[2]))
  poses = tuple(pose.moved(offset[:2] * pose.size, pose.size * factor) for pose in course.poses)
  points = [
    (new.x, new.y) + factor * (of_frame - (old.x, old.y))
    for of_frame, old, new in zip(course.points, course.poses, poses)
  ]
  return course._replace(poses=poses, points=np.stack(points))


def most_probable(probs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """The class of most probability in each pixel, the first of equal ones, and its probability.

  Argmax and maximum over few classes, in a third of numpy's time.

  Args:
    probs: float32 [..., K].

  Returns:
    Class ids, uint8 [...], and probabilities, float32 [...].
  """
  largest = probs[..., 0].copy()
  labels = np.zeros(largest.shape, np.uint8)
  for class_id in range(1, probs.shape[-1]):
    of_class = probs[..., class_id]
    np.copyto(labels, class_id, where=of_class > largest)
    np.maximum(largest, of_class, out=largest)
  return labels, largest


def own_labels(probs: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """As `most_probable`, with nothing but the face that the crops are of.

  Args:
    probs: float32 [t, S, S, K].
    inside: Which pixels of the crops lie inside of the frame, bool [t, S, S].
  """
  labels, largest = most_probable(probs)
  labels *= inside
  for of_frame in labels:
    of_frame *= face_piece(of_frame)
  return labels, largest


def confidence(largest: np.ndarray, labels: np.ndarray) -> np.ndarray:
  """The mean probability of the class of the pixels that are not background.

  It is the primary network's, at the size at which it works.

  Args:
    largest: Probability of each pixel's class, [t, S, S].
    labels: [t, S, S]; pixels that are none of the face's are background.

  Returns:
    [t] in [0, 1]; 0 for a frame that is all background.
  """
  face = labels > 0
  total = np.where(face, largest, 0).sum(axis=(1, 2))
  return total / np.maximum(face.sum(axis=(1, 2)), 1)


def _read(
  course: Course,
  crops: tuple[Crop, ...],
  gray: np.ndarray,
  probs: np.ndarray,
  carry: State | None,
  times: Sequence[int],
  size: tuple[int, int],
) -> Reading:
  insides = [crops[time].inside(*size) for time in times]
  labels, largest = own_labels(probs, np.stack(insides))
  sure = confidence(largest, labels)
  evidence = [
    examine(
      labels[place],
      move(course.points[time], crops[time].matrix),
      insides[place],
      margin=crops[time].margin,
      confidence=float(sure[place]),
    )
    for place, time in enumerate(times)
  ]
  if len(times) < len(crops):
    nearest = [int(np.abs(np.subtract(times, time)).argmin()) for time in range(len(crops))]
    probs, labels, sure = probs[nearest], labels[nearest], sure[nearest]
    evidence = [evidence[place] for place in nearest]
  return Reading(course, crops, gray, probs, labels, sure, tuple(evidence), carry, tuple(times))
