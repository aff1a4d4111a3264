"""Small datasets in both layouts, made of a face whose 68 landmarks are known."""

import pathlib
import time

import numpy as np
from PIL import Image

from tfds_300vw import annotations, face_mask, video


def face(center_x, center_y, size):
  """68 landmarks of a plain frontal face about `size` pixels wide, [68, 2]."""
  jaw = [(np.cos(a), 0.9 * np.sin(a)) for a in np.linspace(np.pi, 0, 17)]
  brows = [
    (side * x, -0.35 - 0.1 * (x > 0.3)) for side in (-1, 1) for x in np.linspace(0.7, 0.2, 5)
  ]
  brows[5:] = brows[:4:-1]
  nose = [(0, y) for y in np.linspace(-0.1, 0.2, 4)] + [
    (x, 0.28) for x in np.linspace(-0.15, 0.15, 5)
  ]
  lids = [(-0.15, 0), (-0.05, -0.07), (0.05, -0.07), (0.15, 0), (0.05, 0.06), (-0.05, 0.06)]
  eyes = [(x + middle, y - 0.12) for middle in (-0.4, 0.4) for x, y in lids]
  lips = [
    (0.32 * np.cos(a), 0.5 + 0.16 * np.sin(a)) for a in np.linspace(np.pi, 3 * np.pi, 13)[:-1]
  ]
  inner = [
    (0.22 * np.cos(a), 0.5 + 0.07 * np.sin(a)) for a in np.linspace(np.pi, 3 * np.pi, 9)[:-1]
  ]
  points = np.array(jaw + brows + nose + eyes + lips + inner)
  return points * size / 2 + (center_x, center_y)


def moving_faces(num_frames, height, width, seed):
  """A noisy frame and landmarks that drift and breathe, for each frame."""
  rng = np.random.default_rng(seed)
  base = rng.integers(40, 200, (height, width, 3))
  for t in range(num_frames):
    landmarks = face(width / 2 + 4 * np.sin(t / 5), height / 2 - t / 20, width * (0.4 + t / 900))
    labels = face_mask.landmarks_to_mask(landmarks, height, width)
    frame = (base // 4 + face_mask.to_color(labels) // 2).astype(np.uint8)
    yield frame, landmarks


def write_video(folder, num_frames, height=96, width=112, seed=0):
  """One video in 300VW's layout."""
  (folder / 'annot').mkdir(parents=True)
  with video.VideoWriter(folder / 'vid.avi', 30) as writer:
    for number, (frame, landmarks) in enumerate(
      moving_faces(num_frames, height, width, seed), start=1
    ):
      writer.write(frame)
      annotations.write_pts(folder / 'annot' / f'{number:06d}.pts', landmarks)


def centered_labels(height, width):
  """The mask of a face in the middle, as `write_released` stores it."""
  return face_mask.landmarks_to_mask(face(width / 2, height / 2, width * 0.8), height, width)


def write_released(root, mode='L', videos=None, sizes=((90, 80), (100, 96), (84, 84))):
  """A tree in the layout of the authors' zip.

  Args:
    root: Where.
    mode: Of the label files: 'L', 'P' or 'RGB'.
    videos: Frame numbers by split and video id.
    sizes: (height, width) of the frames in turn.
  """
  videos = videos or {
    'train': {'001': range(31, 41), '002': [*range(1, 8), *range(20, 26)]},
    'val': {'003': range(1, 6)},
    'test': {'004': range(1, 7)},
  }
  for folder in ('images_orig', 'labels_orig', 'data_splits/split_1'):
    (root / folder).mkdir(parents=True)
  for split, of_split in videos.items():
    lines = []
    for video_id, numbers in of_split.items():
      for number in numbers:
        height, width = sizes[number % len(sizes)]
        labels = face_mask.landmarks_to_mask(
          face(width / 2, height / 2, width * 0.8), height, width
        )
        image = Image.fromarray(face_mask.to_color(labels) // 2 + np.uint8(number))
        image.save(root / f'images_orig/{video_id}_{number:06d}.jpg', quality=95)
        stored = Image.fromarray(face_mask.to_color(labels) if mode == 'RGB' else labels)
        if mode == 'P':
          stored = stored.convert('P')
          stored.putdata(labels.ravel().tolist())
        stored.save(root / f'labels_orig/{video_id}_{number:06d}.png')
        lines.append(
          f'/images_orig/{video_id}_{number:06d}.jpg /labels_orig/{video_id}_{number:06d}.png'
        )
    (root / f'data_splits/split_1/{split}_per10.txt').write_text('\n'.join(lines) + '\n')


class SleepingVideo:
  """A video that takes an hour, for tests of what happens meanwhile."""

  video_id, path = '001', pathlib.Path('nowhere')

  def examples(self):
    time.sleep(3600)
    yield from ()
