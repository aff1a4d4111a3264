"""Whole frames with all their faces, for finding faces: of videos, and of photographs.

Frames are stored at a reduced size; landmarks and boxes shrink with them.
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
from collections.abc import Iterator

import cv2
import numpy as np
from PIL import Image

from tfds_300vw import annotations, boxes, photographs, released
from tfds_300vw.encoding import Example, encode_frame
from tfds_300vw.options import ClipOptions

CLIP_LENGTH = 10  # Frames: whoever wants one frame reads its clip.
FRAME_RATE = 25.0  # Frames per second of a photograph: nominal.
_ORIENTATION = 0x0112  # EXIF.


@dataclasses.dataclass(frozen=True)
class Photograph:
  """One picture with the landmarks of each annotated face. Cheap to send to a worker.

  Attributes:
    video_id: The id of the first file.
    files: One for each face; all hold the same picture.
    split: 'train', 'validation' or 'test'.
    options: Of the dataset.
  """

  video_id: str
  files: tuple[pathlib.Path, ...]
  split: str
  options: ClipOptions

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
    image = released.read_image(self.path)
    faces = []
    for path in map(photographs.annotation_file, self.files):
      faces.append(annotations.read_pts(path))
      try:
        boxes.face_box(faces[-1], *image.shape[:2])  # Only to see that the face is inside.
      except ValueError as error:
        raise ValueError(f'{path}: {error}') from error
    example = cut_clip(iter([image]), np.stack(faces)[None], self.options)
    if max(image.shape) <= self.options.frame_side and _is_plain_jpeg(self.path):
      example['images'] = [self.path.read_bytes()]  # Coded once, not twice.
    example |= {
      'video_id': self.video_id,
      'frame_numbers': np.array([1], np.int32),
      'frame_rate': np.float32(FRAME_RATE),
    }
    yield f'{self.video_id}_{1:06d}', example


def find(
  paths: dict[str, pathlib.Path], split_of: dict[str, str], options: ClipOptions
) -> list[Photograph]:
  """Makes one example of each picture.

  Args:
    paths: By image id, as `photographs.image_files` gives them.
    split_of: The split of each image; a picture without a split is left out.
    options: Of the dataset.

  Returns:
    The pictures of all splits in the order of their first files, with the faces of all files.
  """
  image_of = {path: image_id for image_id, path in paths.items()}
  found = []
  for video_id, files in photographs.pictures(paths).items():
    splits = [split_of[image_of[path]] for path in files if image_of[path] in split_of]
    if splits:
      found.append(Photograph(video_id, files, splits[0], options))
  return found


def cut_clip(frames: Iterator[np.ndarray], landmarks: np.ndarray, options: ClipOptions) -> Example:
  """Shrinks the frames of one clip, and what is known of them.

  Args:
    frames: Gives the clip's frames, uint8 [H, W, 3].
    landmarks: [T, F, 68, 2] in pixels of those frames; NaN where a face is absent.
    options: Of the dataset.

  Returns:
    The encoded frames, the landmarks in their pixels, and no other faces.
  """
  jpegs, moved = [], []
  for points in landmarks:
    frame = next(frames)
    small = shrink(frame, options.frame_side)
    jpegs.append(encode_frame(small, options.jpeg_quality))
    scales = np.array(small.shape[1::-1]) / frame.shape[1::-1]
    moved.append((points + 0.5) * scales - 0.5)
  return {
    'images': jpegs,
    'landmarks': np.stack(moved).astype(np.float32),
    'others': np.zeros((len(landmarks), 0, 4), np.float32),
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


def _is_plain_jpeg(path: pathlib.Path) -> bool:
  """Whether a file's bytes give the pixels that `read_image` does, whoever decodes them."""
  with Image.open(path) as image:
    upright = image.getexif().get(_ORIENTATION, 1) == 1
    return image.format == 'JPEG' and image.mode == 'RGB' and upright
