"""300VW's own tree: `<vid>/vid.avi` with `<vid>/annot/000001.pts …`, one annotation per frame."""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tfds_300vw import boxes, clips, crops, others, video, whole_frames
from tfds_300vw.annotations import read_pts
from tfds_300vw.encoding import Example
from tfds_300vw.options import ClipOptions
from tfds_300vw.others import Boxes

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
  others: Mapping[int, Boxes] = dataclasses.field(default_factory=dict)  # By number of the frame.

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
    size = (info.height, info.width)
    for start, stop in ranges:
      frame_numbers = range(start + 1, stop + 1)
      landmarks = np.stack([read_pts(path) for path in frame_files[start:stop]])
      unannotated = others.at_frames(self.others, frame_numbers)
      try:
        part_boxes = self._boxes(landmarks, *size, rng)
        other_boxes = others.stack(unannotated, [size] * len(landmarks))
      except ValueError as error:
        raise ValueError(
          f'{frame_files[start]} to {frame_files[stop - 1].name}: {error}'
        ) from error
      if self.options.region == 'frames':
        found = {'': whole_frames.cut_clip(frames, landmarks[:, None], other_boxes, self.options)}
      else:
        found = crops.cut_clips(frames, landmarks, part_boxes, self.options)
      for part, example in found.items():
        example |= {
          'video_id': self.video_id,
          'frame_numbers': np.array(frame_numbers, np.int32),
          'frame_rate': np.float32(info.frame_rate),
        }
        yield clips.clip_name(self.video_id, part, start + 1), example

  def _boxes(
    self, landmarks: np.ndarray, height: int, width: int, rng: np.random.Generator
  ) -> dict[str, np.ndarray]:
    """Boxes [T, 4] in the video's frame, by part: of each frame, or fixed for a few frames."""
    options, size = self.options, (height, width)
    if options.region == 'frames':  # Only to see that each face is inside.
      return {'': np.stack([boxes.face_box(points, *size) for points in landmarks])}
    if options.region == 'primary' and (options.face_window > 1 or options.face_shift):
      found = boxes.window_boxes(
        landmarks,
        *size,
        window=options.face_window,
        margin=options.face_margin,
        rng=rng,
        shift=options.face_shift,
        scale=0.0,
      )
      return {'': found}
    if options.region == 'primary':
      faces = [boxes.face_box(points, *size, margin=options.face_margin) for points in landmarks]
      return {'': np.stack(faces)}
    return crops.region_boxes(landmarks, *size, options, rng if self.split == 'train' else None)


def find(manual_dir: pathlib.Path, options: ClipOptions) -> list[AnnotatedVideo]:
  """Finds the videos below a folder and gives each its split.

  Args:
    manual_dir: Holds `300VW_Dataset_2015_12_14`, or the videos' folders themselves.
    options: Of the dataset.

  Returns:
    The videos of all splits in the order of their ids.

  Raises:
    FileNotFoundError: there is no video.
    ValueError: the user's lists or bad frames name a video that is not there, or the boxes of
      unannotated faces are of other videos.
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
  others.check_names(options.others, paths)
  own = dataclasses.replace(options, others={})  # Each worker gets the boxes of its video alone.
  return [
    AnnotatedVideo(
      video_id, path, split_of[video_id], own, others.of_video(options.others, video_id)
    )
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
