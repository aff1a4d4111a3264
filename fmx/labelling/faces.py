"""The masks of all faces of a window: primary network, then zoomed-in models, in one batch each."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from fmx.finding.tracking import Track
from fmx.labelling.classes import predict
from fmx.labelling.frame_masks import Piece
from fmx.labelling.predictor import Predictor, stack, unstack
from fmx.labelling.zoom import RegionState, zoom_in
from fmx.models.conv_lstm import Carry
from tfds_300vw import boxes

SURROUNDINGS = 2.0  # Side of what a zoomed-in model may see, over the side of the face's box.


@dataclasses.dataclass(frozen=True)
class FaceState:
  """What the next window needs to know of one face.

  Attributes:
    carry: State of the primary network; None to start anew.
    regions: Of the zoomed-in models, by region.
  """

  carry: Carry | None
  regions: Mapping[str, RegionState]


@dataclasses.dataclass(frozen=True)
class LabelledFace:
  """One face in the frames of a window.

  Attributes:
    id: Of the face.
    box: What the primary network saw, [4].
    scope: What `labels` are of, [4]; the box is inside.
    labels: t maps of class ids, uint8 [h, w].
    confidence: Of each frame, see `confidence`.
    state: For the next window.
  """

  id: int
  box: np.ndarray
  scope: np.ndarray
  labels: list[np.ndarray]
  confidence: np.ndarray
  state: FaceState

  def inside(self) -> np.ndarray:
    """The labels inside the box, uint8 [t, h, w]."""
    box = self.box - np.tile(self.scope[:2], 2)
    return np.stack([boxes.crop(of_frame, box) for of_frame in self.labels])

  def piece(self, time: int) -> Piece:
    """The face in one of the frames."""
    confidence_there = float(self.confidence[time])
    return Piece(self.id, self.box, self.scope, self.labels[time], confidence_there)


def label_faces(
  frames: Sequence[np.ndarray],
  tracks: Sequence[Track],
  known: Mapping[int, FaceState],
  predictors: Mapping[str, Predictor],
  *,
  stream: bool,
) -> list[LabelledFace]:
  """Labels the tracked faces of one window.

  Args:
    frames: uint8 [H, W, 3], all of one size.
    tracks: At least one.
    known: What the window before left of each face, by id.
    predictors: By name: 'primary', and those of the zoomed-in models that are to be used.
    stream: Whether networks go on from their state after the window before.

  Returns:
    The faces, the largest first.
  """
  height, width = frames[0].shape[:2]
  tracks = sorted(tracks, key=lambda track: (-_area(track.box), track.id))
  new = FaceState(None, {})
  before = [new if track.is_new else known.get(track.id, new) for track in tracks]
  crops = [boxes.clamp(track.box, height, width) for track in tracks]
  primary = predictors['primary']
  video = np.stack([[primary.cut(frame, box) for frame in frames] for box in crops])
  carries = stack([face.carry if stream else None for face in before])
  logits, carry = primary(video, carries)
  scopes = [boxes.clamp(boxes.enlarge(box, SURROUNDINGS), height, width) for box in crops]
  labels = [
    [_place(of_frame, box, scope) for of_frame in of_face]
    for of_face, box, scope in zip(logits, crops, scopes)
  ]
  labels, regions = zoom_in(
    labels,
    [[boxes.crop(frame, scope) for frame in frames] for scope in scopes],
    [np.tile(scope[:2], (len(frames), 1)) for scope in scopes],
    predictors,
    [face.regions for face in before],
    stream=stream,
  )
  after = unstack(carry if stream else None, len(tracks))
  return [
    LabelledFace(track.id, box, scope, of_face, confidence(of_logits), FaceState(state, zoomed))
    for track, box, scope, of_face, of_logits, state, zoomed in zip(
      tracks, crops, scopes, labels, logits, after, regions
    )
  ]


def confidence(logits: np.ndarray) -> np.ndarray:
  """The mean probability of the predicted class over the pixels that are not background.

  It is the primary network's, at the size at which it works. With the paper's head, whose logits
  are in (-1, 1), five classes leave e / (e + 4 / e) = 0.65 at most.

  Args:
    logits: [t, S, S, K].

  Returns:
    [t] in [0, 1]; 0 for a frame that is all background.
  """
  best = logits.max(axis=-1)
  probs = 1 / np.exp(logits - best[..., None]).sum(axis=-1)
  face = logits.argmax(axis=-1) > 0
  total = np.where(face, probs, 0).sum(axis=(1, 2))
  return total / np.maximum(face.sum(axis=(1, 2)), 1)


def _place(logits: np.ndarray, box: np.ndarray, scope: np.ndarray) -> np.ndarray:
  """The classes of the pixels of a scope, background outside of the box."""
  x0, y0, x1, y1 = scope.tolist()
  labels = np.zeros((y1 - y0, x1 - x0), np.uint8)
  inside = boxes.crop(labels, box - (x0, y0, x0, y0))
  inside[...] = predict(logits, *inside.shape)
  return labels


def _area(box: np.ndarray) -> int:
  return int((box[2] - box[0]) * (box[3] - box[1]))
