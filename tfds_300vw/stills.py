"""Still images of faces with 68 landmarks, in the layout of iBUG's 300-W: `NAME.jpg`, `NAME.pts`.

A virtual camera makes a clip of every image that trains or validates; an image that tests is a clip
of one frame, as it is.
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from tfds_300vw import annotations, boxes, camera, clips, face_mask, released, videos
from tfds_300vw.encoding import Example
from tfds_300vw.options import ClipOptions

EXPECTED_TREE = """\
helen/           any folders, at any depth
  100032540_1.jpg      or .png
  100032540_1.pts      68 points
  …
afw/
  …"""
SUFFIXES = ('.jpg', '.jpeg', '.png')
CLIP_LENGTH = 5  # Frames: a window of the paper.
FRAME_RATE = 25.0  # Frames per second of the virtual camera: nominal, of no source.
EVERY_FIFTH = 5  # Image tests.
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
  def annotation(self) -> pathlib.Path:
    """The landmarks' file."""
    return self.path.with_suffix('.pts')

  def check_files(self) -> None:
    """Raises FileNotFoundError where the annotation is missing; reads nothing."""
    if not self.annotation.is_file():
      raise FileNotFoundError(
        f'{self.path} has no landmarks: {self.annotation} does not exist; '
        'add it, or take the image away.'
      )

  def examples(self) -> Iterator[tuple[str, Example]]:
    """Yields the one clip of the image with its key.

    Raises:
      ValueError: the image or its annotation is unusable; the message names the file.
      FileNotFoundError: one of them is missing.
    """
    self.check_files()
    landmarks = annotations.read_pts(self.annotation)
    image = released.read_image(self.path)
    try:
      if self.split == 'test':
        moved = landmarks[None]
        clip_boxes = self._boxes(moved, *image.shape[:2])
        parts = iter([boxes.crop(image, clip_boxes[0])])
      else:
        image, landmarks = surroundings(image, landmarks)
        views = self._views(landmarks)
        moved = np.stack([view.move(landmarks) for view in views])
        clip_boxes = self._boxes(moved, *image.shape[:2])
        parts = (view.render(image, box) for view, box in zip(views, clip_boxes))
    except ValueError as error:
      raise ValueError(f'{self.annotation}: {error}') from error
    corners = clip_boxes[:, [0, 1, 0, 1]]  # Only what is inside the boxes is filmed.
    example = videos.cut_clip(
      parts, moved - corners[:, None, :2], clip_boxes - corners, self.options
    )
    example['boxes'] = clip_boxes.astype(np.int32)
    example |= {
      'video_id': self.video_id,
      'frame_numbers': np.arange(1, len(moved) + 1, dtype=np.int32),
      'frame_rate': np.float32(FRAME_RATE),
    }
    yield f'{self.video_id}_{1:06d}', example

  def _views(self, landmarks: np.ndarray) -> list[camera.View]:
    """What the virtual camera does."""
    return camera.film(
      landmarks,
      self.options.clip_length,
      frame_rate=FRAME_RATE,
      rng=clips.video_rng(self.options.seed, self.video_id, 'camera'),
      strength=self.options.camera_motion,
    )

  def _boxes(self, landmarks: np.ndarray, height: int, width: int) -> np.ndarray:
    """Boxes [T, 4]: each frame's face, or the region for a few frames."""
    options = self.options
    if options.region == 'primary':
      return np.stack(
        [boxes.face_box(points, height, width, margin=options.face_margin) for points in landmarks]
      )
    rng = clips.video_rng(options.seed, self.video_id, 'boxes') if self.split == 'train' else None
    return boxes.window_boxes(
      landmarks[:, face_mask.REGIONS[options.region].landmarks],
      height,
      width,
      window=options.box_window,
      margin=options.region_margin,
      rng=rng,
      shift=options.box_shift,
      scale=options.box_scale,
    )


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


def find(manual_dir: pathlib.Path, options: ClipOptions) -> list[StillImage]:
  """Finds the images below a folder and gives each its split.

  Args:
    manual_dir: Holds images, each with its annotation beside it, in any folders.
    options: Of the dataset.

  Returns:
    The images of all splits, sorted by their paths inside the folder. An image's id is that path
    without its suffix, with '_' for '/'.

  Raises:
    FileNotFoundError: there is no image, or an annotation has none.
    ValueError: two images would have one id, or the user's lists name an image that is not there.
  """
  if options.bad_frames:
    raise ValueError('Stills have no bad frames: leave an image out by lists of splits instead.')
  files = sorted(manual_dir.rglob('*'), key=lambda path: path.relative_to(manual_dir).as_posix())
  paths: dict[str, pathlib.Path] = {}
  for path in files:
    if path.suffix.lower() in SUFFIXES and path.is_file():
      name = path.relative_to(manual_dir).with_suffix('').as_posix().replace('/', '_')
      if name in paths:
        raise ValueError(f'{paths[name]} and {path} would both be called {name}: rename one.')
      paths[name] = path
  if not paths:
    raise FileNotFoundError(f'No image in {manual_dir}. Expected:\n{EXPECTED_TREE}')
  with_image = {path.with_suffix('') for path in paths.values()}
  for path in files:
    if path.suffix == '.pts' and path.with_suffix('') not in with_image:
      raise FileNotFoundError(
        f'{path} has no image: there is no {path.stem}.jpg or .png beside it; '
        'add it, or take the annotation away.'
      )
  split_of = split_images(list(paths), seed=options.seed, lists=options.splits)
  return [
    StillImage(video_id, path, split_of[video_id], options)
    for video_id, path in paths.items()
    if video_id in split_of
  ]


def split_images(
  image_ids: Sequence[str], *, seed: int, lists: dict[str, Sequence[str]] | None = None
) -> dict[str, str]:
  """Divides images into train, validation and test.

  Args:
    image_ids: In the order of their paths: the fifth, the tenth and so on test, whatever the seed.
    seed: Draws what validates out of the rest, in the paper's proportion to what trains.
    lists: The user's own split; images that it does not list are left out. None draws.

  Returns:
    The split of each image.

  Raises:
    ValueError: `lists` name an unknown split, an image that does not exist, or an image twice.
  """
  if lists is not None:
    by_split = clips.split_videos(image_ids, seed=seed, lists=lists)
    return {image_id: split for split, ids in by_split.items() for image_id in ids}
  splits = {
    image_id: 'test' if index % EVERY_FIFTH == EVERY_FIFTH - 1 else 'train'
    for index, image_id in enumerate(image_ids)
  }
  rest = sorted(image_id for image_id, split in splits.items() if split == 'train')
  num_validation = max(math.floor(9 * len(rest) / 102 + 0.5), 1) if len(rest) > 1 else 0
  order = clips.video_rng(seed, '', 'split').permutation(len(rest))
  return splits | {rest[index]: 'validation' for index in order[:num_validation].tolist()}
