"""Whole frames with all their faces, for finding faces: of videos, and of photographs.

Frames are stored at a reduced size; landmarks and boxes shrink with them.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import pathlib
from collections.abc import Iterator

import cv2
import numpy as np

from tfds_300vw import boxes, clips, others, photographs
from tfds_300vw.annotations import read_pts
from tfds_300vw.encoding import Example, encode_frame, is_plain_jpeg, open_image
from tfds_300vw.options import ClipOptions
from tfds_300vw.others import Boxes

CLIP_LENGTH = 10  # Frames: whoever wants one frame reads its clip.
FRAME_RATE = 25.0  # Frames per second of a photograph: nominal.


@dataclasses.dataclass(frozen=True)
class Photograph:
  """One picture with the landmarks of each annotated face. Cheap to send to a worker.

  Attributes:
    video_id: The id of the first file.
    files: One for each face; all hold the same picture.
    split: 'train', 'validation' or 'test'.
    options: Of the dataset.
    others: Boxes of faces that nobody annotated, in the picture's pixels.
  """

  video_id: str
  files: tuple[pathlib.Path, ...]
  split: str
  options: ClipOptions
  others: Boxes = ()

  @property
  def path(self) -> pathlib.Path:
    """The file that the picture is read from."""
    return self.files[0]

  def check_files(self) -> None:
    """Raises FileNotFoundError where an annotation is missing; reads nothing."""
    for path in self.files:
      photographs.annotation_file(path)

  def examples(self) -> Iterator[tuple[str, Example]]:
    """Yields the one frame of the photograph with its key.

    Raises:
      ValueError: the image or an annotation is unusable; the message names the file.
      FileNotFoundError: one of them is missing.
    """
    self.check_files()
    picture = open_image(self.path)
    image = np.asarray(picture.convert('RGB'))
    faces = []
    for path in map(photographs.annotation_file, self.files):
      faces.append(read_pts(path))
      try:
        boxes.face_box(faces[-1], *image.shape[:2])  # Only to see that the face is inside.
      except ValueError as error:
        raise ValueError(f'{path}: {error}') from error
    try:
      other_boxes = others.stack([self.others], [image.shape[:2]])
    except ValueError as error:
      raise ValueError(f'{self.path}: {error}') from error
    example = cut_clip(iter([image]), np.stack(faces)[None], other_boxes, self.options)
    if max(image.shape) <= self.options.frame_side and is_plain_jpeg(picture):
      example['images'] = [self.path.read_bytes()]  # Coded once, not twice.
    example |= {
      'video_id': self.video_id,
      'frame_numbers': np.array([1], np.int32),
      'frame_rate': np.float32(FRAME_RATE),
    }
    yield clips.clip_name(self.video_id, '', 1), example


def find(
  manual_dir: pathlib.Path,
  paths: dict[str, pathlib.Path],
  split_of: dict[str, str],
  options: ClipOptions,
) -> list[Photograph]:
  """Makes one example of each picture.

  Args:
    manual_dir: Holds the images.
    paths: By image id, as `photographs.image_files` gives them.
    split_of: The split of each image; a picture without a split is left out.
    options: Of the dataset.

  Returns:
    The pictures of all splits in the order of their first files, with the faces of all files.

  Raises:
    ValueError: the boxes of unannotated faces are of other images.
  """
  image_of = {path: image_id for image_id, path in paths.items()}
  name_of = {path: path.relative_to(manual_dir).with_suffix('').as_posix() for path in image_of}
  others.check_names(options.others, name_of.values())
  own = dataclasses.replace(options, others={})  # Each worker gets the boxes of its picture alone.
  found = []
  for video_id, files in photographs.pictures(paths).items():
    splits = [split_of[image_of[path]] for path in files if image_of[path] in split_of]
    of_files = (options.others[name_of[path]] for path in files if name_of[path] in options.others)
    if splits:
      found.append(Photograph(video_id, files, splits[0], own, next(of_files, ())))
  return found


def cut_clip(
  frames: Iterator[np.ndarray], landmarks: np.ndarray, other_boxes: np.ndarray, options: ClipOptions
) -> Example:
  """Shrinks the frames of one clip, and what is known of them.

  Args:
    frames: Gives the clip's frames, uint8 [H, W, 3].
    landmarks: [T, F, 68, 2] in pixels of those frames; NaN where a face is absent.
    other_boxes: Of faces that nobody annotated, [T, G, 4] in the same pixels; NaN where there are
      fewer.
    options: Of the dataset.

  Returns:
    The encoded frames, and the landmarks and boxes in their pixels.
  """
  jpegs, scales = [], []
  for frame in itertools.islice(frames, len(landmarks)):
    small = shrink(frame, options.frame_side)
    jpegs.append(encode_frame(small, options.jpeg_quality))
    scales.append(np.array(small.shape[1::-1]) / frame.shape[1::-1])
  by = np.stack(scales)[:, None]  # [T, 1, 2], x then y.
  return {
    'images': jpegs,
    'landmarks': ((landmarks + 0.5) * by[:, None] - 0.5).astype(np.float32),
    'others': (other_boxes * np.tile(by, 2)).astype(np.float32),
  }


def shrink(frame: np.ndarray, side: int) -> np.ndarray:
  """Scales a frame so that its longer side has at most `side` pixels; never enlarges.

  Args:
    frame: uint8 [H, W, 3].
    side: Pixels.
  """
  scale = side / max(frame.shape[:2])
  if scale >= 1:
    return frame
  height, width = (max(math.floor(edge * scale + 0.5), 1) for edge in frame.shape[:2])
  return cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
