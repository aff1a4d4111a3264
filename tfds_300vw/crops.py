"""Clips that are cut out around a face or a part of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

import numpy as np

from tfds_300vw import boxes, face_mask
from tfds_300vw.encoding import Example, encode_frame, encode_labels
from tfds_300vw.options import ClipOptions


def region_boxes(
  landmarks: np.ndarray,
  height: int,
  width: int,
  options: ClipOptions,
  rng: np.random.Generator | None,
) -> dict[str, np.ndarray]:
  """Boxes the parts of a region other than the whole face.

  Args:
    landmarks: [T, 68, 2] in the frames of one clip.
    height: Of the frames, pixels.
    width: Of the frames, pixels.
    options: Of the dataset.
    rng: Draws the noise; None for none.

  Returns:
    Boxes [T, 4] by part. Of two eyes, one that the frame does not show is left out.

  Raises:
    ValueError: the region lies wholly outside the frame.
  """
  parts = {
    part: landmarks[:, indices] for part, indices in face_mask.REGIONS[options.region].parts.items()
  }
  seen = {
    part: points
    for part, points in parts.items()
    if boxes.all_seen(points, height, width, window=options.box_window)
  }
  return {
    part: boxes.window_boxes(
      points,
      height,
      width,
      window=options.box_window,
      margin=options.region_margin,
      rng=rng,
      shift=options.box_shift,
      scale=options.box_scale,
    )
    for part, points in (seen if len(parts) > 1 else parts).items()
  }


def cut_clips(
  frames: Iterator[np.ndarray],
  landmarks: np.ndarray,
  part_boxes: Mapping[str, np.ndarray],
  options: ClipOptions,
) -> dict[str, Example]:
  """Cuts the boxes of one clip out of its frames and draws their labels.

  Args:
    frames: Gives the clip's frames, uint8 [H, W, 3].
    landmarks: [T, 68, 2] in the pixels of the whole frame.
    part_boxes: [T, 4] in the same pixels, by part of the region.
    options: Of the dataset.

  Returns:
    By part: the encoded frames and labels, the boxes, and the landmarks in the pixels of the crop.
  """
  found: dict[str, Example] = {}
  for part, clip_boxes in part_boxes.items():
    inside = landmarks - clip_boxes[:, None, :2]
    found[part] = {
      'images': [],
      'labels': [],
      'landmarks': inside.astype(np.float32),
      'boxes': clip_boxes.astype(np.int32),
    }
    if part:
      found[part]['part'] = part
  for t, frame in enumerate(itertools.islice(frames, len(landmarks))):
    for part, example in found.items():
      box = part_boxes[part][t]
      crop = boxes.crop(frame, box)
      labels = face_mask.landmarks_to_mask(landmarks[t] - box[:2], *crop.shape[:2])
      example['images'].append(encode_frame(crop, options.jpeg_quality))
      example['labels'].append(encode_labels(face_mask.region_labels(labels, options.region)))
  return found
