"""The zoomed-in models: eyes and mouth labelled once more, from nearby (Sect. 3.3).

The primary mask says where a region is, the region's own model looks at it at the frame's original
resolution, and its answer takes the place of the primary one. What the paper leaves open is ours:
a region's box is that of its largest connected parts, so that a stray pixel does not blow it up.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from fmx.labelling.classes import predict
from fmx.labelling.predictor import Predictor, stack, stack_windows, unstack
from fmx.models.heads import State
from tfds_300vw import boxes
from tfds_300vw.face_mask import CLASS_NAMES, REGIONS

PARTS = {'eyes': 2, 'mouth': 1}  # The zoomed-in regions, and how many connected parts each has.
SMALLEST_PART = 0.1  # Share of the largest part's pixels; what is smaller is astray.
SKIN = CLASS_NAMES.index('facial_skin')


@dataclasses.dataclass(frozen=True)
class RegionState:
  """What the next window of the same face needs to know of one region.

  Attributes:
    box: [4] in pixels of the video; it may reach out of the frames.
    carry: The state of the region's model; None to start anew.
  """

  box: np.ndarray
  carry: State | None


Windows = Sequence[Sequence[np.ndarray]]
States = Mapping[str, RegionState]  # By region.


def zoom_in(
  labels: Windows,
  frames: Windows,
  origins: Sequence[np.ndarray],
  predictors: Mapping[str, Predictor],
  previous: Sequence[States],
  *,
  stream: bool = False,
) -> tuple[list[list[np.ndarray]], list[dict[str, RegionState]]]:
  """Refines the masks of windows by the models of the regions, one batch for each region.

  A region's box is the same in all frames of a window: 1.6 times the bounding box of its parts in
  all of them. Inside it pixels that the region's model calls its own get its class, whatever they
  were; pixels that only the primary model gave to the region become facial skin; everything else
  stays. Without the region in the mask, the box of the window before is used; without that one,
  the mask stands.

  Args:
    labels: Of each of B windows t maps of class ids, uint8 [h, w], by the primary model.
    frames: Of each window the t images, uint8 [h, w, 3], of the same sizes.
    origins: Of each window int [t, 2]: x and y of the images' corners in the video, where images
      are crops that follow a face.
    predictors: By name; those of 'eyes' and 'mouth' are used, if they are there.
    previous: Of each window what this function gave for the window before of the same face; empty
      for the first.
    stream: Whether a region's model goes on from its state after the window before.

  Returns:
    Maps as `labels`, and of each window what the next one needs.
  """
  refined = [[frame_labels.copy() for frame_labels in window] for window in labels]
  states: list[dict[str, RegionState]] = [{} for _ in labels]
  for region in PARTS:
    if region not in predictors:
      continue
    found = [
      (index, box)
      for index, (window, of_window) in enumerate(zip(labels, origins))
      if (box := _box_to_use(window, of_window, region, previous[index])) is not None
    ]
    if not found:
      continue
    places = [_places(labels[index], origins[index], box) for index, box in found]
    cuts = [
      _cut(frames[i], of_window, predictors[region]) for (i, _), of_window in zip(found, places)
    ]
    known = [previous[index].get(region) if stream else None for index, _ in found]
    carries = stack([None if state is None else state.carry for state in known])
    logits, carry = predictors[region](stack_windows(cuts), carries)
    after = unstack(carry if stream else None, len(found))
    for (index, box), of_window, window_logits, state in zip(found, places, logits, after):
      states[index][region] = RegionState(box, state)
      for frame_labels, frame_logits, place in zip(refined[index], window_logits, of_window):
        if place is not None:
          merge(frame_labels, frame_logits, place, region)
  return refined, states


def region_box(labels: Sequence[np.ndarray], origins: np.ndarray, region: str) -> np.ndarray | None:
  """The box of a region in all frames of a window.

  Args:
    labels: t maps of class ids, uint8 [h, w].
    origins: int [t, 2], x and y of the maps' corners in the video.
    region: 'eyes' or 'mouth'.

  Returns:
    int64 [4] in pixels of the video; it may reach out of the frames. None without the region.
  """
  class_ids = REGIONS[region].class_ids[1:]
  found = []
  for frame_labels, (x, y) in zip(labels, np.asarray(origins).tolist()):
    box = _largest_parts(np.isin(frame_labels, class_ids), PARTS[region])
    if box is not None:
      found.append(box + (x, y, x, y))
  if not found:
    return None
  tight = np.concatenate([np.min(found, axis=0)[:2], np.max(found, axis=0)[2:]])
  return boxes.enlarge(tight, boxes.REGION_MARGIN)


def merge(labels: np.ndarray, logits: np.ndarray, box: np.ndarray, region: str) -> None:
  """Puts a zoomed-in model's answer into the mask of a frame, in place.

  Args:
    labels: Class ids, uint8 [h, w].
    logits: [S, S, K] of the region's model.
    box: [4], inside the mask: what the model saw.
    region: 'eyes' or 'mouth'.
  """
  class_ids = np.array(REGIONS[region].class_ids, np.uint8)
  inside = boxes.crop(labels, box)
  zoomed = class_ids[predict(logits, *inside.shape)]
  inside[np.isin(inside, class_ids[1:])] = SKIN
  np.copyto(inside, zoomed, where=zoomed > 0)


def _box_to_use(
  labels: Sequence[np.ndarray], origins: np.ndarray, region: str, previous: States
) -> np.ndarray | None:
  """The box of a region in a window, or else in the one before, if there is one."""
  box = region_box(labels, origins, region)
  if box is None and region in previous:
    return previous[region].box
  return box


def _largest_parts(mask: np.ndarray, number: int) -> np.ndarray | None:
  """Boxes the largest connected parts of a mask [h, w], at most `number`; None if it is empty."""
  tight = boxes.mask_box(mask)
  if tight is None:
    return None
  inside = np.ascontiguousarray(boxes.crop(mask, tight)).view(np.uint8)
  _, _, stats, _ = cv2.connectedComponentsWithStats(inside, connectivity=8)
  parts = sorted(stats[1:].tolist(), key=lambda part: -part[cv2.CC_STAT_AREA])[:number]
  least = SMALLEST_PART * parts[0][cv2.CC_STAT_AREA]
  left, top, width, height = np.array(
    [part[:4] for part in parts if part[cv2.CC_STAT_AREA] >= least]
  ).T
  x, y = tight[:2]
  return np.array(
    [x + left.min(), y + top.min(), x + (left + width).max(), y + (top + height).max()], np.int64
  )


def _places(
  labels: Sequence[np.ndarray], origins: np.ndarray, box: np.ndarray
) -> list[np.ndarray | None]:
  """The part of a box of the video that lies in each frame, in pixels of the frame."""
  places: list[np.ndarray | None] = []
  for frame_labels, origin in zip(labels, np.asarray(origins)):
    try:
      places.append(boxes.clamp(box - np.tile(origin, 2), *frame_labels.shape))
    except ValueError:  # A crop that has moved away from where the region was.
      places.append(None)
  return places


def _cut(
  frames: Sequence[np.ndarray], places: Sequence[np.ndarray | None], predictor: Predictor
) -> np.ndarray:
  """What a region's model sees of a window, [t, S, S, 3]; black where the box lies outside."""
  video = np.zeros((len(frames), *(predictor.model.image_size,) * 2, 3), np.uint8)
  for time, (frame, place) in enumerate(zip(frames, places)):
    if place is not None:
      video[time] = predictor.cut(frame, place)
  return video
