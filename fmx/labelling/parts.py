"""The zoomed-in networks: mouth and eyes looked at once more, from nearby and upright.

The primary mask says where a part is; the part's own network looks at it in the original frame. All
crops of one network in a window go through it at once. One network knows the eye on the image's
left; the other eye is mirrored for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from fmx.data.levels import stretched
from fmx.labelling.crops import Crop, crop_of, images
from fmx.labelling.predictor import Predictor, stack, unstack
from fmx.models.heads import State
from tfds_300vw.face_mask import REGIONS
from tfds_300vw.pose import PARTS as PLACES
from tfds_300vw.pose import Pose

PARTS = ('mouth', 'eye')  # The regions that have networks of their own.
WEIGHT = 0.85  # Of a part's network, beside the primary one's.
BORDER = 0.12  # Share of the crop's side over which that weight falls to 0.

_REACH = {'mouth': 0.35, 'eye': 0.25}  # Of the face's size, from where the finder expects a part.
_LARGEST = {'mouth': 0.8, 'eye': 0.45}  # Of the face's size.

States = Mapping[tuple[str, int], State | None]  # By region and number of the part.


class PartView(NamedTuple):
  """What a part's network sees in a window.

  Attributes:
    region: Of the network.
    number: Of the part: of the eyes 0 is the one on the image's left.
    crops: One of each frame.
    probs: Of the region's classes in the crops, float32 [t, S, S, K].
  """

  region: str
  number: int
  crops: tuple[Crop, ...]
  probs: np.ndarray


def look_closer(
  labels: Sequence[np.ndarray],
  crops: Sequence[Sequence[Crop]],
  points: Sequence[np.ndarray],
  frames: Sequence[np.ndarray],
  predictors: Mapping[str, Predictor],
  previous: Sequence[States],
) -> tuple[list[list[PartView]], list[dict[tuple[str, int], State | None]]]:
  """Runs the parts' networks over some faces of a window.

  Args:
    labels: Of each face class ids in its crops, uint8 [t, S, S].
    crops: Of each face the crops of the t frames.
    points: Of each face five points in its crops, [t, 5, 2], pixels.
    frames: uint8 [H, W, 3].
    predictors: By name; those of PARTS are used, if they are there.
    previous: Of each face the states after the window before; empty to start anew.

  Returns:
    Of each face the parts that were found, and the states for the next window.
  """
  views: list[list[PartView]] = [[] for _ in labels]
  states: list[dict[tuple[str, int], State | None]] = [{} for _ in labels]
  for region in PARTS:
    if region not in predictors:
      continue
    predictor = predictors[region]
    found = [
      (face, number, tuple(crop_of(pose, predictor.model, mirror=number == 1) for pose in poses))
      for face in range(len(labels))
      for number, poses in part_poses(labels[face], crops[face], points[face], region)
    ]
    if not found:
      continue
    carry = stack([previous[face].get((region, number)) for face, number, _ in found])
    video = np.stack([stretched(images(of_part, frames)) for _, _, of_part in found])
    probs, after = predictor.probabilities(video, carry)
    for (face, number, of_part), its_probs, state in zip(found, probs, unstack(after, len(found))):
      views[face].append(PartView(region, number, of_part, its_probs))
      states[face][region, number] = state
  return views, states


def part_poses(
  labels: np.ndarray, crops: Sequence[Crop], points: np.ndarray, region: str
) -> Iterator[tuple[int, list[Pose]]]:
  """Says where the parts of a face are, by the pixels that its mask has of them.

  Args:
    labels: Class ids in the face's crops, uint8 [t, S, S].
    crops: Of the face, t of them.
    points: The face's five points in the crops, [t, 5, 2].
    region: A key of PARTS.

  Yields:
    The number of a part and its pose in each frame, sized alike in all of them. Where a frame does
    not show it, it is where it was in the nearest frame; what no frame shows is left out.
  """
  class_ids = np.array(REGIONS[region].class_ids[1:], np.uint8)
  expected = points[:, 3:].mean(axis=1, keepdims=True) if region == 'mouth' else points[:, :2]
  seen = [_pieces(np.isin(of_frame, class_ids), crop, at, region)
          for of_frame, crop, at in zip(labels, crops, expected)]  # fmt: skip
  for number, (_, least) in enumerate(PLACES[region]):
    times = [time for time, pieces in enumerate(seen) if number in pieces]
    if not times:
      continue
    # In units of the face's size: middle to the right and down, and size.
    size = float(np.median([seen[time][number][2] for time in times]))
    size = min(max(size, least), _LARGEST[region])
    nearest = [_nearest(times, time) for time in range(len(seen))]
    yield (
      number,
      [
        crop.pose.moved(seen[time][number][:2] * crop.pose.size, size * crop.pose.size)
        for crop, time in zip(crops, nearest)
      ],
    )


def _nearest(times: Sequence[int], time: int) -> int:
  return min(times, key=lambda other: abs(other - time))


def _pieces(
  mask: np.ndarray, crop: Crop, expected: np.ndarray, region: str
) -> dict[int, np.ndarray]:
  """The largest piece near each place where a part is expected.

  Args:
    mask: bool [S, S].
    crop: Of the face.
    expected: [number of parts, 2], pixels of the crop.
    region: Of the parts.

  Returns:
    By number of the part: middle from that of the crop, and larger side, in units of the face's
    size, [3].
  """
  unit = crop.side / crop.margin
  _, _, stats, centres = cv2.connectedComponentsWithStats(mask.view(np.uint8))
  found: dict[int, np.ndarray] = {}
  largest: dict[int, int] = {}
  for (left, top, width, height, area), centre in zip(stats[1:].tolist(), centres[1:]):
    distances = np.hypot(*(expected - centre).T) / unit
    number = int(distances.argmin())
    if distances[number] > _REACH[region] or area <= largest.get(number, 0):
      continue
    middle = np.array([left + (width - 1) / 2, top + (height - 1) / 2]) - (crop.side - 1) / 2
    largest[number] = area
    found[number] = np.append(middle, max(width, height)) / unit
  return found


def ramp(side: int) -> np.ndarray:
  """The weight of a part's network in its crop, float32 [side, side]."""
  edge = np.minimum(np.arange(side), np.arange(side)[::-1]) + 0.5
  along = np.minimum(edge / (BORDER * side), 1)
  return (WEIGHT * np.minimum(along, along[:, None])).astype(np.float32)
