"""Faces that nobody annotated, as teachers see them: neither faces nor background in training.

  python -m fmx.finding.unannotated --photographs=photos --videos=300vw --to=others.json

writes {key: [[x0, y0, x1, y1], …]}, boxes in shares of width and height. A key is that of the frame
in the dataset: its id and its number, helen_100032540_1_000001 or 001_000006. Faces near annotated
ones are left out. Needs the extra `peers`.
"""

from __future__ import annotations

import argparse
import json
import pathlib
from collections.abc import Iterator

import cv2
import numpy as np

from fmx.finding.peers import PEERS, joined
from tfds_300vw import placing, video
from tfds_300vw.annotations import read_pts

SIDES = {'libfacedetection': 640, 'CenterFace': 448}  # Pixels of the longer side at most.
SUFFIXES = ('.jpg', '.jpeg', '.png')


def photographs(folder: pathlib.Path) -> Iterator[tuple[str, np.ndarray, list[pathlib.Path]]]:
  """Yields the key, the picture uint8 [H, W, 3] and the annotations of each image file."""
  for path in sorted(path for path in folder.rglob('*') if path.suffix.lower() in SUFFIXES):
    name = path.relative_to(folder).with_suffix('')
    shared = sorted(path.parent.glob(f'{path.stem.rpartition("_")[0]}_*.pts'))
    image = cv2.imread(str(path))
    if image is None:
      raise ValueError(f'{path} is no image: take it away, or restore it.')
    yield (
      f'{name.as_posix().replace("/", "_")}_{1:06d}',
      image[..., ::-1],
      shared or [path.with_suffix('.pts')],
    )


def frames(
  folder: pathlib.Path, every: int
) -> Iterator[tuple[str, np.ndarray, list[pathlib.Path]]]:
  """Yields the same of every so manieth frame of each video in 300VW's layout."""
  for path in sorted(folder.glob('*/vid.*')):
    for frame in video.read_frames(path):
      if frame.index % every == 0:
        points = path.parent / 'annot' / f'{frame.index + 1:06d}.pts'
        yield f'{path.parent.name}_{points.stem}', frame.image, [points]


def faces(image: np.ndarray, detectors: dict) -> np.ndarray:
  """The boxes [M, 4] that any detector sees in a picture, each at the size that suits it."""
  found = []
  for name, detect in detectors.items():
    scale = min(SIDES[name] / max(image.shape[:2]), 1.0)
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    boxes = detect(np.ascontiguousarray(small))
    boxes[:, :4] /= scale
    found.append(boxes)
  return joined(found)[:, :4]


def unannotated(boxes: np.ndarray, landmarks: list[np.ndarray]) -> np.ndarray:
  """Those boxes [M, 4] whose middle lies in no annotated face, and that hold the middle of none."""
  keep = np.ones(len(boxes), bool)
  for points in landmarks:
    low, high = points.min(axis=0), points.max(axis=0)
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    inside = np.all((middle > low) & (middle < high), axis=1)
    centre = (low + high) / 2
    around = np.all((boxes[:, :2] < centre) & (boxes[:, 2:] > centre), axis=1)
    keep &= ~(inside | around)
  return boxes[keep]


def main(arguments: list[str] | None = None) -> None:
  """The command."""
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--photographs', type=pathlib.Path, help='Folder of images with .pts files.')
  parser.add_argument('--videos', type=pathlib.Path, help="Videos in 300VW's layout.")
  parser.add_argument('--every', type=int, default=5, help='Frames from one to the next.')
  parser.add_argument('--teachers', nargs='+', default=list(PEERS), choices=list(PEERS))
  parser.add_argument('--to', type=pathlib.Path, required=True, help='The JSON file.')
  options = parser.parse_args(arguments)
  detectors = {name: PEERS[name]() for name in options.teachers}
  sources = []
  if options.photographs:
    sources.append(photographs(options.photographs))
  if options.videos:
    sources.append(frames(options.videos, options.every))
  others: dict[str, list] = {}
  for source in sources:
    for name, image, files in source:
      landmarks = [read_pts(path) for path in files]
      boxes = unannotated(faces(image, detectors), landmarks)
      height, width = image.shape[:2]
      others[name] = (boxes / (width, height, width, height)).round(4).tolist()
  placing.write(options.to, json.dumps(others, indent=0) + '\n')
  print(f'{sum(map(len, others.values()))} faces in {len(others)} pictures: {options.to}.')


if __name__ == '__main__':
  main()
