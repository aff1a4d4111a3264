"""300VW's own tree: `<vid>/vid.avi` with `<vid>/annot/000001.pts …`, one annotation per frame."""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Iterator, Sequence

import numpy as np

from tfds_300vw import annotations, boxes, clips, face_mask, video, whole_frames
from tfds_300vw.encoding import Example, encode_frame, encode_labels
from tfds_300vw.options import ClipOptions

FOLDER = '300VW_Dataset_2015_12_14'
EXPECTED_TREE = f"""\
{FOLDER}/        (or the folder inside it that holds the videos)
  001/
    vid.avi
    annot/000001.pts, 000002.pts, …   one per frame, 68 points
  002/
  …"""
VIDEO_NAME = re.compile(r'vid\.(avi|mp4|mkv|mov|webm)')


@dataclasses.dataclass(frozen=True)
class AnnotatedVideo:
  """One video, its annotations, and the clips to take from it. Cheap to send to a worker."""

  video_id: str
  path: pathlib.Path
  split: str
  options: ClipOptions

  @property
  def files(self) -> tuple[pathlib.Path, ...]:
    """What the dataset's fingerprint looks at."""
    return (self.path,)

  def check_files(self) -> None:
    """Raises FileNotFoundError or ValueError where annotations are missing; reads nothing."""
    annotation_files(self.path)

  def examples(self) -> Iterator[tuple[str, Example]]:
    """Yields each clip of the video with its key, holding no more than one clip in memory.

    Raises:
      ValueError: the video or its annotations are unusable; the message names the file.
      FileNotFoundError: the video has no annotations.
    """
    frame_files = annotation_files(self.path)
    info = matching_info(self.path, len(frame_files))
    usable = usable_frames(len(frame_files), self.options.bad_frames.get(self.video_id, ()))
    if not usable.any():
      return
    ranges = clips.sample_clips(
      usable,
      clip_length=self.options.clip_length,
      fraction=self.options.fraction,
      rng=clips.video_rng(self.options.seed, self.video_id, 'clips'),
    )
    frames = (frame.image for frame in video.read_frames(self.path, ranges))
    rng = clips.video_rng(self.options.seed, self.video_id, 'boxes')
    for start, stop in ranges:
      landmarks = np.stack([annotations.read_pts(path) for path in frame_files[start:stop]])
      try:
        clip_boxes = self._boxes(landmarks, info, rng)
      except ValueError as error:
        raise ValueError(
          f'{frame_files[start]} to {frame_files[stop - 1].name}: {error}'
        ) from error
      if self.options.region == 'frames':
        example = whole_frames.cut_clip(frames, landmarks[:, None], self.options)
      else:
        example = cut_clip(frames, landmarks, clip_boxes, self.options)
      example |= {
        'video_id': self.video_id,
        'frame_numbers': np.arange(start + 1, stop + 1, dtype=np.int32),
        'frame_rate': np.float32(info.frame_rate),
      }
      yield f'{self.video_id}_{start + 1:06d}', example

  def _boxes(
    self, landmarks: np.ndarray, info: video.VideoInfo, rng: np.random.Generator
  ) -> np.ndarray:
    """Boxes [T, 4] in the video's frame: each frame's face, or the region for a few frames."""
    options, size = self.options, (info.height, info.width)
    if options.region == 'frames':  # Only to see that each face is inside.
      return np.stack([boxes.face_box(points, *size) for points in landmarks])
    if options.region == 'primary' and (options.face_window > 1 or options.face_shift):
      return boxes.window_boxes(
        landmarks,
        *size,
        window=options.face_window,
        margin=options.face_margin,
        rng=rng,
        shift=options.face_shift,
        scale=0.0,
      )
    if options.region == 'primary':
      return np.stack(
        [boxes.face_box(points, *size, margin=options.face_margin) for points in landmarks]
      )
    return boxes.window_boxes(
      landmarks[:, face_mask.REGIONS[options.region].landmarks],
      *size,
      window=options.box_window,
      margin=options.region_margin,
      rng=rng if self.split == 'train' else None,
      shift=options.box_shift,
      scale=options.box_scale,
    )


def cut_clip(
  frames: Iterator[np.ndarray], landmarks: np.ndarray, clip_boxes: np.ndarray, options: ClipOptions
) -> Example:
  """Cuts one clip's boxes out of its frames and draws their labels.

  Args:
    frames: Gives the clip's frames, uint8 [H, W, 3].
    landmarks: [T, 68, 2] in the pixels of the whole frame.
    clip_boxes: [T, 4] in the same pixels.
    options: Of the dataset.

  Returns:
    The encoded frames and labels, the boxes, and the landmarks in the pixels of the crop.
  """
  jpegs, pngs = [], []
  inside = landmarks - clip_boxes[:, None, :2]
  for points, box in zip(inside, clip_boxes):
    frame = boxes.crop(next(frames), box)
    labels = face_mask.landmarks_to_mask(points, *frame.shape[:2])
    jpegs.append(encode_frame(frame, options.jpeg_quality))
    pngs.append(encode_labels(face_mask.region_labels(labels, options.region)))
  return {
    'images': jpegs,
    'labels': pngs,
    'landmarks': inside.astype(np.float32),
    'boxes': clip_boxes.astype(np.int32),
  }


def find(manual_dir: pathlib.Path, options: ClipOptions) -> list[AnnotatedVideo]:
  """Finds the videos below a folder and gives each its split.

  Args:
    manual_dir: Holds `300VW_Dataset_2015_12_14`, or the videos' folders themselves.
    options: Of the dataset.

  Returns:
    The videos of all splits in the order of their ids.

  Raises:
    FileNotFoundError: there is no video.
    ValueError: the user's lists or bad frames name a video that is not there.
  """
  root = manual_dir / FOLDER if (manual_dir / FOLDER).is_dir() else manual_dir
  paths = {}
  for path in sorted(root.glob('*/vid.*')):
    if VIDEO_NAME.fullmatch(path.name):
      if path.parent.name in paths:
        raise ValueError(f'{path.parent} holds more than one video: keep one vid.* file there.')
      paths[path.parent.name] = path
  if not paths:
    raise FileNotFoundError(f'No video in {root}. Expected:\n{EXPECTED_TREE}')
  for video_id in options.bad_frames:
    if video_id not in paths:
      raise ValueError(f'The bad frames name the video {video_id}, which is not in {root}.')
  split_of = {
    video_id: split
    for split, video_ids in clips.split_videos(
      list(paths), seed=options.seed, lists=options.splits
    ).items()
    for video_id in video_ids
  }
  return [
    AnnotatedVideo(video_id, path, split_of[video_id], options)
    for video_id, path in paths.items()
    if video_id in split_of
  ]


def annotation_files(video_path: pathlib.Path) -> list[pathlib.Path]:
  """Lists a video's annotations, frame by frame.

  Raises:
    FileNotFoundError: there are none.
    ValueError: one is missing in between; the message names it.
  """
  folder = video_path.parent / 'annot'
  files = sorted(folder.glob('*.pts'))
  if not files:
    raise FileNotFoundError(f'{video_path} has no annotations: {folder} holds no .pts file.')
  numbers = {}
  for path in files:
    if not path.stem.isdigit():
      raise ValueError(f'{path} is not named after a frame number, as in 000001.pts.')
    numbers[int(path.stem)] = path
  for number in range(1, len(files) + 1):
    if number not in numbers:
      raise ValueError(
        f'{folder / f"{number:06d}.pts"} is missing, though {files[-1].name} is there: '
        'every frame needs its annotation, counted from 000001.'
      )
  return [numbers[number] for number in range(1, len(files) + 1)]


def matching_info(path: pathlib.Path, num_annotations: int) -> video.VideoInfo:
  """Probes a video and checks that it has one annotation for each frame.

  Raises:
    ValueError: it has more or fewer.
  """
  info = video.probe(path)
  num_frames = info.num_frames
  if num_frames != num_annotations:
    num_frames = video.count_frames(path)  # Containers may miscount; only decoding is certain.
  if num_frames != num_annotations:
    raise ValueError(
      f'{path} has {num_frames} frames but {num_annotations} annotations in '
      f'{path.parent / "annot"}: give every frame one, or leave the video out.'
    )
  return info


def usable_frames(num_frames: int, bad_ranges: Sequence[tuple[int, int]]) -> np.ndarray:
  """Marks the frames that are not badly annotated: bool [num_frames].

  Args:
    num_frames: Of the video.
    bad_ranges: (first, last) frame numbers from 1, last included.
  """
  usable = np.ones(num_frames, bool)
  for first, last in bad_ranges:
    usable[first - 1 : last] = False
  return usable
