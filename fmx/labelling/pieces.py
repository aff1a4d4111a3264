"""The masks of faces at the frames' resolution: what all networks say of them, put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from fmx.labelling import merging, parts
from fmx.labelling.bridging import bridged, bridged_view, bridges, kept, sight
from fmx.labelling.faces import FaceState, Reading
from fmx.labelling.frame_masks import BRIDGED, Piece
from fmx.labelling.predictor import Predictor
from fmx.labelling.steadying import Trace, between, steadied
from tfds_300vw import boxes
from tfds_300vw.pose import Pose


def draw_faces(
  frames: Sequence[np.ndarray],
  readings: Sequence[Reading],
  verdicts: Sequence[Sequence[str | None]],
  ids: Sequence[int],
  known: Mapping[int, FaceState],
  predictors: Mapping[str, Predictor],
  *,
  bridge: int,
  steadiness: float,
) -> tuple[list[list[Piece]], dict[int, FaceState]]:
  """Makes the masks of faces at the frames' resolution.

  Args:
    frames: uint8 [H, W, 3], t of one size.
    readings: Of the faces, in all of which the networks look at the same frames. The others have
      what lies between those around them; there nothing may be bridged then.
    verdicts: Of each face in each frame; None leaves the mask empty, but where it is bridged.
    ids: Of the faces.
    known: As for `read_faces`.
    predictors: By name.
    bridge: Frames in a row of which a face's masks are made out of those around them.
    steadiness: Share of the mask before, see `steadying`; 0 for none.

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
  times = list(readings[0].times) if readings else []
  views, states = parts.look_closer(
    [reading.labels[times] for reading, _ in told],
    [[reading.crops[time] for time in times] for reading, _ in told],
    [reading.points[times] for reading, _ in told],
    [frames[time] for time in times],
    predictors,
    [{} if state is None else state.parts for state in before],
  )
  pieces: list[list[Piece]] = [[] for _ in frames]
  after = {}
  for place, (reading, of_face) in enumerate(told):
    state = before[place]
    its_views = [bridged_view(view, across[place], state) for view in views[place]]
    trace = None if state is None else state.trace
    marked, trace = _marked(reading, of_face, its_views, trace, steadiness, size)
    for time, (verdict, new) in enumerate(zip(of_face, marked)):
      piece = verdict and new and _piece(reading, time, ids[place], verdict, new, size)
      if piece:
        pieces[time].append(piece)
    if of_face[-1] is not None:
      last = kept(sight(reading, -1, its_views))
      after[reading.course.key] = FaceState(reading.carry, states[place], last, trace)
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


def _marked(
  reading: Reading,
  verdicts: Sequence[str | None],
  views: Sequence[parts.PartView],
  trace: Trace | None,
  steadiness: float,
  size: tuple[int, int],
) -> tuple[list[Trace | None], Trace | None]:
  """What is said of a face in each frame, and what steadies the window behind.

  Args:
    reading: Of the face.
    verdicts: On it.
    views: Of its parts, in the frames that the networks look at.
    trace: Of the window before.
    steadiness: As of `draw_faces`.
    size: Height and width of the frames.
  """
  traces = {
    time: _traced(reading, time, views, index, size)
    for index, time in enumerate(reading.times)
    if verdicts[time] is not None
  }
  marked = []
  for time, verdict in enumerate(verdicts):
    if verdict is None:
      new = trace = None
    elif time not in traces:
      new = trace = _skipped(reading, time, trace, traces, size)
    elif verdict == BRIDGED:  # Its picture is not the face's.
      new = traces[time]
    else:
      new = trace = steadied(traces[time], trace, steadiness)
    marked.append(new)
  return marked, trace


def _traced(
  reading: Reading, time: int, views: Sequence[parts.PartView], index: int, size: tuple[int, int]
) -> Trace | None:
  """What the networks say of a frame, which is the `index`-th that they looked at."""
  crop = reading.crops[time]
  found = merging.face_scores(
    reading.probs[time], crop, reading.labels[time] > 0, views, index, size
  )
  return found and Trace(crop, reading.gray[time].copy(), *found)


def _skipped(
  reading: Reading,
  time: int,
  before: Trace | None,
  traces: Mapping[int, Trace | None],
  size: tuple[int, int],
) -> Trace | None:
  """What there is in a frame that no network looked at, by the frame before and the next trace."""
  until = min(other for other in traces if other > time)
  behind, crop = traces[until], reading.crops[time]
  box = crop.box(cv2.dilate(reading.labels[time], np.ones((5, 5), np.uint8)) > 0, *size)
  if before is None or behind is None or box is None:
    return None
  return between(
    Trace.unmarked(crop, reading.gray[time], box), before, behind, 1 / (until - time + 1)
  )


def _piece(
  reading: Reading, time: int, face_id: int, verdict: str, trace: Trace, size: tuple[int, int]
) -> Piece | None:
  pose = reading.crops[time].pose
  box = face_box(pose, *size)
  if box is None:
    return None
  labels, sure = merging.labels_of(trace.scores), float(reading.confidence[time])
  return Piece(face_id, box, trace.box, labels, sure, roll=pose.roll, verdict=verdict)
