"""Windows that a virtual camera cuts out of whole frames: a face, its mouth, or one of its eyes."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from fmx.data.cutting import cut
from fmx.data.prepared import Dataset, FrameExample, FrameExamples, Window
from fmx.data.spoiling import Spoiling, spoil
from tfds_300vw import face_mask, pose
from tfds_300vw.pose import Pose

EVALUATION_SIDE = 256  # Pixels of the crops on which networks are compared.


@dataclasses.dataclass(frozen=True, kw_only=True)
class View:
  """What a network is shown of a frame, and how much that varies in training.

  Attributes:
    region: A key of `pose.PARTS`.
    margin: Side of the crop over the size of the region.
    scale: Largest relative change of the side: 0.3 draws factors from 1/1.3 to 1.3.
    shift: Largest shift in x and in y, as a share of the side.
    roll: Standard deviation of the roll, degrees.
    flip: Probability of a mirror image, of a face or a mouth.
    people: Share of the windows whose landmarks people placed; the rest comes from videos.
    every: Of a video each frame of this number is used.
    empty: Share of the windows that look at no face at all.
    fineness: Labels' pixels to one of the window, along each axis. More than one makes edges soft:
      a pixel counts for each class by the share that it covers.
  """

  region: str
  margin: float
  scale: float = 0.0
  shift: float = 0.0
  roll: float = 0.0
  flip: float = 0.0
  people: float = 0.65
  every: int = 5
  empty: float = 0.0
  fineness: int = 1

  def __post_init__(self) -> None:
    """Refuses values out of range.

    Raises:
      ValueError: names the option.
    """
    if self.region not in pose.PARTS:
      raise ValueError(
        f'view.region is {self.region!r}; it must be one of {", ".join(pose.PARTS)}.'
      )
    for name in ('scale', 'shift', 'flip', 'people', 'empty'):
      if not 0 <= getattr(self, name) <= 1:
        raise ValueError(f'view.{name} is {getattr(self, name)}; it must be from 0 to 1.')
    if self.margin <= 0 or self.every < 1 or self.roll < 0 or self.fineness < 1:
      raise ValueError(
        f'view has the margin {self.margin}, every {self.every}, the roll {self.roll} and the '
        f'fineness {self.fineness}; they must be above 0, at least 1, at least 0 and at least 1.'
      )


class FrameWindows(Sequence[Window]):
  """Every part of every face of a split, cut as a trained network will see it: windows of a frame.

  Of stills each face is there, of videos that of each `view.every`-th frame.
  """

  def __init__(self, dataset: Dataset, split: str, view: View, side: int = EVALUATION_SIDE):
    """Lists the frames.

    Args:
      dataset: Of whole frames.
      split: 'train', 'validation' or 'test'.
      view: What to cut.
      side: Of the windows, pixels.

    Raises:
      ValueError: there is no such split, or the dataset does not hold whole frames.
    """
    self._frames, self._view, self._side = FrameExamples(dataset, split), view, side
    used = self._frames.from_people | (self._frames.frame_numbers % view.every == 1 % view.every)
    self.stills = np.flatnonzero(self._frames.from_people)
    self.videos = np.flatnonzero(used & ~self._frames.from_people)
    parts = len(pose.PARTS[view.region])
    self._places = [
      (frame, face, part)
      for frame in np.flatnonzero(used).tolist()
      for face in range(self._frames.num_faces(frame))
      for part in range(parts)
    ]
    if not self._places:
      raise ValueError(f'{dataset.name} has no face in the split {split!r}.')

  def __len__(self) -> int:
    return len(self._places)

  @property
  def clip_starts(self) -> np.ndarray:
    """The index of each clip's first window: each window is a clip."""
    return np.arange(len(self))

  def __getitem__(self, index: int) -> Window:  # type: ignore[override]  # No slices.
    frame, face, part = self._places[index]
    example = self._frames[frame]
    landmarks = example.landmarks[face]
    mirror = part == 1
    matrix = pose.part_poses(landmarks, self._view.region)[part].matrix(
      self._side, margin=self._view.margin, mirror=mirror
    )
    x0, y0, x1, y1 = 0, 0, *example.image.shape[1::-1]
    return Window(
      index=index,
      video_id=example.video_id,
      clip=f'{example.video_id}_{example.frame_number:06d}_{face}{part}',
      start=0,
      frame_numbers=np.array([example.frame_number], np.int32),
      boxes=np.array([[x0, y0, x1, y1]], np.int32),
      frames=[cut(example.image, matrix, self._side)],
      labels=[draw(landmarks, matrix, self._side, self._view.region)],
    )

  def describe(self, index: int) -> str:
    """Names a frame for people; unlike items, it goes by the number of the frame."""
    return f'{self._frames.video_ids[index]}, frame {self._frames.frame_numbers[index]}'

  def frame(self, index: int) -> FrameExample:
    """A whole frame by its number, as in `stills` and `videos`."""
    return self._frames[index]


@dataclasses.dataclass(frozen=True)
class TrainView:
  """Cuts random windows; can be sent to a worker.

  Attributes:
    windows: Of the training split.
    view: What to cut, and how it varies.
    spoiling: How frames are spoiled.
    side: Of the windows, pixels.
  """

  windows: FrameWindows
  view: View
  spoiling: Spoiling
  side: int

  def __call__(self, _: int, rng: np.random.Generator) -> dict[str, np.ndarray | np.int32]:
    """Draws one: 'video' uint8 [1, S, S, 3], 'labels' uint8 [1, nS, nS], 'window' int32.

    n is the view's fineness.
    """
    index = self._draw_frame(rng)
    example = self.windows.frame(index)
    if len(example.landmarks) == 0 or rng.random() < self.view.empty:
      frame, labels, eyes = self._nothing(example, rng)
    else:
      frame, labels, eyes = self._face(example, rng)
    frame = spoil(frame, self.spoiling, rng, eyes=eyes, donor=self._donor)
    return {'video': frame[None], 'labels': labels[None], 'window': np.int32(index)}

  def _draw_frame(self, rng: np.random.Generator) -> int:
    stills, videos = self.windows.stills, self.windows.videos
    from_people = len(videos) == 0 or (len(stills) > 0 and rng.random() < self.view.people)
    return int(rng.choice(stills if from_people else videos))

  def _face(
    self, example: FrameExample, rng: np.random.Generator
  ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A window on one of the faces, its labels, and the centres of its eyes."""
    landmarks = example.landmarks[rng.integers(len(example.landmarks))]
    poses = pose.part_poses(landmarks, self.view.region)
    part = int(rng.integers(len(poses)))
    # Of two eyes the right one in the image is mirrored, so that a network sees one kind.
    mirror = part == 1 if len(poses) > 1 else bool(rng.random() < self.view.flip)
    margin = self.view.margin * (1 + self.view.scale) ** rng.uniform(-1, 1)
    shift = self.view.shift * margin * poses[part].size * rng.uniform(-1, 1, 2)
    seen = poses[part].moved(shift, poses[part].size)
    roll = seen.roll + np.radians(self.view.roll) * float(rng.normal())
    matrix = dataclasses.replace(seen, roll=roll).matrix(self.side, margin=margin, mirror=mirror)
    eyes = pose.move(pose.five_points(landmarks)[:2], matrix)
    return (
      cut(example.image, matrix, self.side),
      draw(landmarks, matrix, self.side, self.view.region, self.view.fineness),
      eyes,
    )

  def _nothing(
    self, example: FrameExample, rng: np.random.Generator
  ) -> tuple[np.ndarray, np.ndarray, None]:
    """A window beside the faces; one on grey noise where they leave no room."""
    height, width = example.image.shape[:2]
    labels = np.zeros((self.side * self.view.fineness,) * 2, np.uint8)
    taken = np.concatenate([_around(example.landmarks), example.others])
    for _ in range(10):
      size = float(np.exp(rng.uniform(np.log(24), np.log(max(min(height, width), 25)))))
      x, y = rng.uniform(0, (width, height))
      seen = Pose(float(x), float(y), size, float(rng.uniform(-0.5, 0.5)))
      corners = seen.corners(margin=self.view.margin)
      if not _covers(taken, (*corners.min(axis=0), *corners.max(axis=0))):
        matrix = seen.matrix(self.side, margin=self.view.margin)
        return cut(example.image, matrix, self.side), labels, None
    noise = rng.integers(0, 256, (self.side, self.side, 3), np.uint8)
    return noise, labels, None

  def _donor(self, rng: np.random.Generator) -> np.ndarray:
    """A piece of another training picture, a face more often than not."""
    example = self.windows.frame(self._draw_frame(rng))
    height, width = example.image.shape[:2]
    x, y = rng.uniform(0, (width, height))
    seen = Pose(float(x), float(y), float(rng.uniform(0.2, 1.0) * min(height, width)), 0.0)
    if len(example.landmarks) and rng.random() < 0.7:
      seen = pose.face_pose(example.landmarks[0])
      seen = dataclasses.replace(seen, size=seen.size * float(rng.uniform(0.4, 1.5)))
    return cut(example.image, seen.matrix(self.side, margin=1.3), self.side)


def draw(
  landmarks: np.ndarray, matrix: np.ndarray, side: int, region: str, fineness: int = 1
) -> np.ndarray:
  """The labels of a window.

  Args:
    landmarks: Of the face, [68, 2], pixels of the frame.
    matrix: [2, 3], from the frame to the window.
    side: Of the window, pixels.
    region: Whose class ids.
    fineness: n, pixels of the labels to one of the window along each axis.

  Returns:
    uint8 [n * side, n * side], the region's own ids.
  """
  moved = pose.move(np.asarray(landmarks, np.float64), matrix)
  # Of n pixels to one, the middle ones lie around its centre.
  moved = fineness * moved + (fineness - 1) / 2
  size = fineness * side
  return face_mask.region_labels(face_mask.landmarks_to_mask(moved, size, size), region)


def _around(landmarks: np.ndarray) -> np.ndarray:
  """Boxes [F, 4] around landmarks [F, 68, 2], and a tenth of their sides more on each side."""
  low, high = landmarks.min(axis=1), landmarks.max(axis=1)
  more = 0.1 * (high - low)
  return np.concatenate([low - more, high + more], axis=1)


def _covers(others: np.ndarray, box: tuple[float, float, float, float]) -> bool:
  """Whether a box touches any of those [G, 4]."""
  x0, y0, x1, y1 = box
  return bool(
    ((others[:, 0] < x1) & (others[:, 2] > x0) & (others[:, 1] < y1) & (others[:, 3] > y0)).any()
  )
