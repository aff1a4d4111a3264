"""Still images of faces with 68 landmarks, in the layout of iBUG's 300-W: `NAME.jpg`, `NAME.pts`.

A virtual camera makes a clip of every image that trains or validates; an image that tests is a clip
of one frame, as it is.
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
from collections.abc import Iterator

import cv2
import numpy as np

from tfds_300vw import boxes, camera, clips, crops, photographs, whole_frames
from tfds_300vw.annotations import read_pts
from tfds_300vw.encoding import Example, read_image
from tfds_300vw.options import ClipOptions

EXPECTED_TREE = photographs.EXPECTED_TREE
CLIP_LENGTH = 5  # Frames: a window of the paper.
FRAME_RATE = 25.0  # Frames per second of the virtual camera: nominal, of no source.
SURROUNDINGS = 1.5  # What the camera may see: this many face sizes from the middle to each side.
MAX_FACE = 400.0  # Pixels: the camera takes a larger face at this size.


@dataclasses.dataclass(frozen=True)
class StillImage:
  """One image with its landmarks. Cheap to send to a worker."""

  video_id: str
  path: pathlib.Path
  split: str
  options: ClipOptions

  @property
  def files(self) -> tuple[pathlib.Path, ...]:
    """What the dataset's fingerprint looks at."""
    return (self.path,)

  def check_files(self) -> None:
    """Raises FileNotFoundError where the annotation is missing; reads nothing."""
    photographs.annotation_file(self.path)

  def examples(self) -> Iterator[tuple[str, Example]]:
    """Yields the one clip of the image with its key; of single eyes, one of each.

    Raises:
      ValueError: the image or its annotation is unusable; the message names the file.
      FileNotFoundError: one of them is missing.
    """
    annotation = photographs.annotation_file(self.path)
    landmarks = read_pts(annotation)
    image = read_image(self.path)
    try:
      if self.split == 'test':
        views = None
        moved = landmarks[None]
      else:
        image, landmarks = surroundings(image, landmarks)
        views = self._views(landmarks)
        moved = np.stack([view.move(landmarks) for view in views])
      part_boxes = self._boxes(moved, *image.shape[:2])
    except ValueError as error:
      raise ValueError(f'{annotation}: {error}') from error
    for part, clip_boxes in part_boxes.items():
      if views is None:
        seen = iter([boxes.crop(image, clip_boxes[0])])
      else:
        seen = (view.render(image, box) for view, box in zip(views, clip_boxes))
      corners = clip_boxes[:, [0, 1, 0, 1]]  # Only what is inside the boxes is filmed.
      found = crops.cut_clips(
        seen, moved - corners[:, None, :2], {part: clip_boxes - corners}, self.options
      )
      yield (
        clips.clip_name(self.video_id, part, 1),
        found[part]
        | {
          'boxes': clip_boxes.astype(np.int32),
          'video_id': self.video_id,
          'frame_numbers': np.arange(1, len(moved) + 1, dtype=np.int32),
          'frame_rate': np.float32(FRAME_RATE),
        },
      )

  def _views(self, landmarks: np.ndarray) -> list[camera.View]:
    """What the virtual camera does."""
    return camera.film(
      landmarks,
      self.options.clip_length,
      frame_rate=FRAME_RATE,
      rng=clips.video_rng(self.options.seed, self.video_id, 'camera'),
      strength=self.options.camera_motion,
    )

  def _boxes(self, landmarks: np.ndarray, height: int, width: int) -> dict[str, np.ndarray]:
    """Boxes [T, 4]: each frame's face, or a region's parts for a few frames."""
    options = self.options
    if options.region == 'primary':
      faces = [
        boxes.face_box(points, height, width, margin=options.face_margin) for points in landmarks
      ]
      return {'': np.stack(faces)}
    rng = clips.video_rng(options.seed, self.video_id, 'boxes') if self.split == 'train' else None
    return crops.region_boxes(landmarks, height, width, options, rng)


def surroundings(image: np.ndarray, landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Cuts out what a camera near the face can see, no larger than it needs to be.

  Args:
    image: uint8 [H, W, 3].
    landmarks: [68, 2], x then y, 0-based pixels.

  Returns:
    The part of the image, its face at most MAX_FACE large, and the landmarks in its pixels.

  Raises:
    ValueError: the landmarks lie wholly outside the image.
  """
  box = boxes.face_box(landmarks, *image.shape[:2], margin=2 * SURROUNDINGS)
  part, landmarks = boxes.crop(image, box), landmarks - box[:2]
  scale = MAX_FACE / camera.face_size(landmarks)
  if scale >= 1:
    return part, landmarks
  height, width = (max(math.ceil(side * scale), 1) for side in part.shape[:2])
  scales = np.array([width / part.shape[1], height / part.shape[0]])
  small = cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA)
  return small, (landmarks + 0.5) * scales - 0.5


def find(
  manual_dir: pathlib.Path, options: ClipOptions
) -> list[StillImage] | list[whole_frames.Photograph]:
  """Finds the images below a folder and gives each its split.

  Args:
    manual_dir: Holds images, each with its annotation beside it, in any folders.
    options: Of the dataset.

  Returns:
    The images of all splits, sorted by their paths inside the folder; for whole frames the files of
    one picture are one example.

  Raises:
    FileNotFoundError: there is no image, or an annotation has none.
    ValueError: two images would have one id, the user's lists name an image that is not there, or
      divide a photograph.
  """
  if options.bad_frames:
    raise ValueError('Stills have no bad frames: leave an image out by lists of splits instead.')
  paths = photographs.image_files(manual_dir)
  split_of = photographs.split_images(paths, seed=options.seed, lists=options.splits)
  if options.region == 'frames':
    return whole_frames.find(manual_dir, paths, split_of, options)
  return [
    StillImage(video_id, path, split_of[video_id], options)
    for video_id, path in paths.items()
    if video_id in split_of
  ]
