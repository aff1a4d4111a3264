"""The authors' released 300VW-Mask zip, unpacked: cropped faces, their labels and split files."""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Iterator, Sequence

import numpy as np

from tfds_300vw import boxes, clips, face_mask
from tfds_300vw.encoding import Example, encode_frame, encode_labels, open_image, read_image
from tfds_300vw.options import ClipOptions

FOLDER = '300VW-Mask-Dataset'
SPLIT_FILES = {
  split: f'data_splits/split_1/{name}_per10.txt'
  for split, name in {'train': 'train', 'validation': 'val', 'test': 'test'}.items()
}
EXPECTED_TREE = f"""\
{FOLDER}/        (or the folder inside it that holds these three)
  images_orig/001_000001.jpg, …
  labels_orig/001_000001.png, …
  {SPLIT_FILES['train']}, val_per10.txt, test_per10.txt"""
FRAME_RATE = 30.0  # Frames per second of 300VW; the release does not say.
FRAME_NAME = re.compile(r'(?P<video_id>[^/_]+)_(?P<number>\d+)\.\w+')


@dataclasses.dataclass(frozen=True)
class Frame:
  """One line of a split file."""

  video_id: str
  number: int
  image: pathlib.Path
  labels: pathlib.Path


@dataclasses.dataclass(frozen=True)
class ReleasedVideo:
  """The frames of one video in one split. Cheap to send to a worker."""

  video_id: str
  path: pathlib.Path
  split: str
  frames: tuple[Frame, ...]
  options: ClipOptions

  @property
  def files(self) -> tuple[pathlib.Path, ...]:
    """What the dataset's fingerprint looks at."""
    return (self.path,)

  def check_files(self) -> None:
    """Raises FileNotFoundError where a listed file is missing; reads nothing."""
    for path in (path for frame in self.frames for path in (frame.image, frame.labels)):
      if not path.is_file():
        raise FileNotFoundError(f'{path} is listed in {self.path} but does not exist.')

  def examples(self) -> Iterator[tuple[str, Example]]:
    """Yields each clip with its key: consecutive frames, at most `clip_length` of them.

    A clip of the eyes or the mouth without a single pixel of that region is left out.

    Raises:
      ValueError: an image or a label file is unusable; the message names it.
      FileNotFoundError: a file that the split lists is missing.
    """
    rng = clips.video_rng(self.options.seed, self.video_id, 'boxes')
    for clip in consecutive_frames(self.frames, self.options.clip_length):
      example = cut_clip(clip, self.options, rng if self.split == 'train' else None)
      if example is not None:
        yield f'{self.video_id}_{clip[0].number:06d}', example


def cut_clip(
  clip: Sequence[Frame], options: ClipOptions, rng: np.random.Generator | None
) -> Example | None:
  """Reads one clip and cuts its region out.

  The release holds no landmarks, so eyes and mouth are found in the labels. They are held in memory
  as one clip; the images are read one by one.

  Args:
    clip: Its frames.
    options: Of the dataset.
    rng: Draws the noise on region boxes; None for none.

  Returns:
    The example, or None where the clip shows nothing of the region.
  """
  labels = [read_labels(frame.labels) for frame in clip]
  clip_boxes = _region_boxes(labels, options, rng)
  if clip_boxes is None:
    return None
  jpegs, pngs = [], []
  for frame, frame_labels, box in zip(clip, labels, clip_boxes):
    image = read_image(frame.image)
    if image.shape[:2] != frame_labels.shape:
      raise ValueError(
        f'{frame.labels} is {_size(frame_labels)} but {frame.image} is {_size(image)}: '
        'an image and its labels must be of one size.'
      )
    if options.region == 'primary':
      jpegs.append(frame.image.read_bytes())  # As released: coded once, not twice.
    else:
      jpegs.append(encode_frame(boxes.crop(image, box), options.jpeg_quality))
    cropped = boxes.crop(frame_labels, box)
    pngs.append(encode_labels(face_mask.region_labels(cropped, options.region)))
  return {
    'images': jpegs,
    'labels': pngs,
    'landmarks': np.zeros((0, 68, 2), np.float32),
    'boxes': np.stack(clip_boxes).astype(np.int32),
    'video_id': clip[0].video_id,
    'frame_numbers': np.array([frame.number for frame in clip], np.int32),
    'frame_rate': np.float32(FRAME_RATE),
  }


def find(manual_dir: pathlib.Path, options: ClipOptions) -> list[ReleasedVideo]:
  """Reads the split files.

  Args:
    manual_dir: Holds `300VW-Mask-Dataset`, or what is in it.
    options: Of the dataset.

  Returns:
    The videos of all splits in the order of their ids.

  Raises:
    FileNotFoundError: the tree or a split file is not there.
    ValueError: a split file cannot be read; the message names file and line.
  """
  if options.splits is not None:
    raise ValueError('The released dataset has its own split files: edit those instead.')
  if options.region in ('eye', 'frames'):
    raise ValueError(
      f'The release holds cut-out faces without landmarks: there is no {options.region!r} of it.'
    )
  root = manual_dir / FOLDER if (manual_dir / FOLDER).is_dir() else manual_dir
  if not (root / 'images_orig').is_dir():
    raise FileNotFoundError(f'No folder images_orig in {root}. Expected:\n{EXPECTED_TREE}')
  found: list[ReleasedVideo] = []
  split_of: dict[str, str] = {}
  for split, name in SPLIT_FILES.items():
    frames = read_split(root, root / name)
    for video_id in sorted({frame.video_id for frame in frames}):
      if split_of.setdefault(video_id, split) != split:
        raise ValueError(f'{root / name} lists the video {video_id}, as does {split_of[video_id]}.')
      of_video = tuple(frame for frame in frames if frame.video_id == video_id)
      found.append(ReleasedVideo(video_id, root / name, split, of_video, options))
  return sorted(found, key=lambda released: released.video_id)


def read_split(root: pathlib.Path, path: pathlib.Path) -> list[Frame]:
  """Reads one split file: `/images_orig/001_000001.jpg /labels_orig/001_000001.png` a line.

  Args:
    root: The folder that the paths in the file start from, leading slash or not.
    path: The split file.

  Returns:
    The frames, sorted by video and number.

  Raises:
    FileNotFoundError: there is no such file.
    ValueError: a line is not a pair of paths of one frame, a frame stands twice, or there is none.
  """
  frames = {}
  for line_number, line in enumerate(path.read_text().splitlines(), start=1):
    if not line.strip():
      continue
    names = [name.strip('/') for name in line.split()]
    found = [FRAME_NAME.fullmatch(name.rsplit('/', 1)[-1]) for name in names]
    matches = [match for match in found if match]
    if not len(names) == len(matches) == 2 or matches[0].groups() != matches[1].groups():
      raise ValueError(
        f'{path}, line {line_number}: {line!r} is not the image and the labels of one frame, as in '
        '/images_orig/001_000001.jpg /labels_orig/001_000001.png.'
      )
    key = matches[0]['video_id'], int(matches[0]['number'])
    if key in frames:
      raise ValueError(f'{path}, line {line_number}: frame {key[1]} of {key[0]} is there twice.')
    frames[key] = Frame(*key, root / names[0], root / names[1])
  if not frames:
    raise ValueError(f'{path} lists no frame.')
  return [frames[key] for key in sorted(frames)]


def consecutive_frames(frames: Sequence[Frame], clip_length: int) -> list[list[Frame]]:
  """Groups a video's frames into clips: consecutive numbers, at most `clip_length` of them."""
  grouped: list[list[Frame]] = []
  for frame in frames:
    last = grouped[-1] if grouped else []
    if last and frame.number == last[-1].number + 1 and len(last) < clip_length:
      last.append(frame)
    else:
      grouped.append([frame])
  return grouped


def read_labels(path: pathlib.Path) -> np.ndarray:
  """Reads a label file: class ids, uint8 [H, W].

  The release does not document its encoding, so both are taken: ids (modes L, P and 1) and the
  colours of `face_mask.COLORS`.

  Raises:
    FileNotFoundError: there is no such file.
    ValueError: it is not an image, or has values that are no class.
  """
  image = open_image(path)
  if image.mode in ('L', 'P', '1', 'I', 'I;16'):
    labels = np.asarray(image)
    if labels.max() >= len(face_mask.CLASS_NAMES):
      raise ValueError(
        f'{path} holds the value {labels.max()}; class ids go from 0 to '
        f'{len(face_mask.CLASS_NAMES) - 1}.'
      )
    return labels.astype(np.uint8)
  try:
    return face_mask.from_color(np.asarray(image.convert('RGB')))
  except ValueError as error:
    raise ValueError(f'{path}: {error}') from error


def _region_boxes(
  labels: Sequence[np.ndarray], options: ClipOptions, rng: np.random.Generator | None
) -> list[np.ndarray] | None:
  """Boxes [4] of each frame; a stretch without the region takes the box of the nearest before it.

  The first ones, with none before them, take the first box that is found.
  """
  if options.region == 'primary':
    return [np.array((0, 0, mask.shape[1], mask.shape[0])) for mask in labels]
  class_ids = face_mask.REGIONS[options.region].class_ids[1:]
  found: list[np.ndarray | None] = []
  for first in range(0, len(labels), options.box_window):
    window = labels[first : first + options.box_window]
    tight = [boxes.mask_box(np.isin(mask, class_ids)) for mask in window]
    present = [box for box in tight if box is not None]
    box: np.ndarray | None
    if present:
      low, high = np.min(present, axis=0)[:2], np.max(present, axis=0)[2:]
      box = boxes.enlarge(
        np.concatenate([low, high]),
        options.region_margin,
        rng=rng,
        shift=options.box_shift,
        scale=options.box_scale,
      )
    else:
      box = next((box for box in reversed(found) if box is not None), None)
    found.extend([box] * len(window))
  first_box = next((box for box in found if box is not None), None)
  if first_box is None:
    return None
  return [
    boxes.clamp(first_box if box is None else box, *mask.shape) for box, mask in zip(found, labels)
  ]


def _size(image: np.ndarray) -> str:
  return f'{image.shape[1]} × {image.shape[0]}'
