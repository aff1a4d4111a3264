"""The masks of faces at the frames' resolution: what all networks say of them, put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fmx.labelling import merging, parts
from fmx.labelling.bridging import bridged, bridged_view, bridges, kept, sight
from fmx.labelling.faces import FaceState, Reading
from fmx.labelling.frame_masks import Piece
from fmx.labelling.predictor import Predictor
from tfds_300vw import boxes
from tfds_300vw.pose import Pose


def draw_faces(
  frames: Sequence[np.ndarray],
  readings: Sequence[Reading],
  verdicts: Sequence[Sequence[str | None]],
  ids: Sequence[int],
  known: Mapping[int, FaceState],
  predictors: Mapping[str, Predictor],
  bridge: int,
) -> tuple[list[list[Piece]], dict[int, FaceState]]:
  """Makes the masks of faces at the frames' resolution.

  Args:
    frames: uint8 [H, W, 3], t of one size.
    readings: Of the faces.
    verdicts: Of each face in each frame; None leaves the mask empty, but where it is bridged.
    ids: Of the faces.
    known: As for `read_faces`.
    predictors: By name.
    bridge: Frames in a row of which a face's masks are made out of those around them.

  Returns:
    The faces of each frame, and what the next window needs, by key of the track. A face whose last
    frame is empty starts anew.
  """
  size = frames[0].shape[:2]
  before = [known.get(reading.course.key) for reading in readings]
  across = [bridges(*of_face, bridge) for of_face in zip(readings, verdicts, before)]
  told = [
    bridged(*of_face, predictors['primary'].model, size)
    for of_face in zip(readings, verdicts, across, before)
  ]
  views, states = parts.look_closer(
    [reading.labels for reading, _ in told],
    [reading.crops for reading, _ in told],
    [reading.points for reading, _ in told],
    frames,
    predictors,
    [{} if state is None else state.parts for state in before],
  )
  pieces: list[list[Piece]] = [[] for _ in frames]
  after = {}
  for place, (reading, of_face) in enumerate(told):
    its_views = [bridged_view(view, across[place], before[place]) for view in views[place]]
    if of_face[-1] is not None:
      last = kept(sight(reading, -1, its_views))
      after[reading.course.key] = FaceState(reading.carry, states[place], last)
    for time, verdict in enumerate(of_face):
      if verdict is not None:
        piece = _piece(reading, time, ids[place], verdict, its_views, size)
        if piece is not None:
          pieces[time].append(piece)
  return pieces, after


def face_box(pose: Pose, height: int, width: int) -> np.ndarray | None:
  """The upright box around a face as datasets crop it, inside the frame; None if outside."""
  half = boxes.FACE_MARGIN * pose.size / 2
  x, y = pose.x + 0.5, pose.y + 0.5
  edges = np.round([x - half, y - half, x + half, y + half]).astype(np.int64)
  try:
    return boxes.clamp(edges, height, width)
  except ValueError:
    return None


def _piece(
  reading: Reading,
  time: int,
  face_id: int,
  verdict: str,
  views: Sequence[parts.PartView],
  size: tuple[int, int],
) -> Piece | None:
  crop = reading.crops[time]
  found = merging.face_labels(
    reading.probs[time], crop, reading.labels[time] > 0, views, time, size
  )
  box = face_box(crop.pose, *size)
  if found is None or box is None:
    return None
  return Piece(
    face_id, box, *found, float(reading.confidence[time]), roll=crop.pose.roll, verdict=verdict
  )
