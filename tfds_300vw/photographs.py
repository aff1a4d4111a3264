"""Image files with landmarks beside them: which exist, which show one photograph, which split.

iBUG's 300-W has a file for each annotated face. Those of one photograph differ in a number at the
end: `PHOTO_1.jpg`, `PHOTO_2.jpg`. Some of them hold the same picture, others show different parts
of the photograph; both share a split, so that nobody is trained on what tests.
"""

from __future__ import annotations

import math
import pathlib
import re
from collections.abc import Mapping, Sequence

import numpy as np

from tfds_300vw import clips
from tfds_300vw.encoding import read_image

EXPECTED_TREE = """\
helen/           any folders, at any depth
  100032540_1.jpg      or .png
  100032540_1.pts      68 points
  …
afw/
  …"""
SUFFIXES = ('.jpg', '.jpeg', '.png')
# The number of a face. Names such as image_0001 are those of photographs.
FACE_NUMBER = re.compile(r'(?P<photograph>.+)_[1-9][0-9]?')
EVERY_FIFTH = 5  # Photograph tests.
SAME_PICTURE = 2.0  # Grey levels: two codings of one picture differ by less on average.


def image_files(manual_dir: pathlib.Path) -> dict[str, pathlib.Path]:
  """Finds the images below a folder.

  Args:
    manual_dir: Holds images, each with its annotation beside it, in any folders.

  Returns:
    The files by their ids, sorted by their paths inside the folder. An id is that path without its
    suffix, with '_' for '/'.

  Raises:
    FileNotFoundError: there is no image, or an annotation has none.
    ValueError: two images would have one id.
  """
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
  return paths


def annotation_file(image: pathlib.Path) -> pathlib.Path:
  """The landmarks' file of an image.

  Raises:
    FileNotFoundError: it is missing.
  """
  path = image.with_suffix('.pts')
  if not path.is_file():
    raise FileNotFoundError(
      f'{image} has no landmarks: {path} does not exist; add it, or take the image away.'
    )
  return path


def photograph(image: pathlib.Path) -> pathlib.Path:
  """What the files of one photograph have in common: the path without suffix and face number."""
  match = FACE_NUMBER.fullmatch(image.stem)
  return image.with_name(match['photograph'] if match else image.stem)


def pictures(paths: Mapping[str, pathlib.Path]) -> dict[str, tuple[pathlib.Path, ...]]:
  """Groups the files that hold the same picture: those of several faces in one photograph.

  Args:
    paths: By image id, as `image_files` gives them.

  Returns:
    The files of each picture, by the id of the first, in the order of the first.
  """
  found: dict[str, list[pathlib.Path]] = {}
  of_photograph: dict[pathlib.Path, list[str]] = {}  # Ids of its different pictures.
  for image_id, path in paths.items():
    known = of_photograph.setdefault(photograph(path), [])
    first = next((other for other in known if same_picture(paths[other], path)), None)
    if first is None:
      known.append(image_id)
    found.setdefault(first or image_id, []).append(path)
  return {image_id: tuple(files) for image_id, files in found.items()}


def same_picture(one: pathlib.Path, other: pathlib.Path) -> bool:
  """Whether two files show the same, be it coded twice; files that are no image do not."""
  if one.stat().st_size == other.stat().st_size and one.read_bytes() == other.read_bytes():
    return True
  try:
    images = [read_image(path).astype(np.float32) for path in (one, other)]
  except ValueError:
    return False  # Whoever reads it to use it says what is wrong.
  if images[0].shape != images[1].shape:
    return False
  return bool(np.abs(images[0] - images[1]).mean() < SAME_PICTURE)


def split_images(
  paths: Mapping[str, pathlib.Path],
  *,
  seed: int,
  lists: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, str]:
  """Divides images into train, validation and test, and never a photograph's among two of them.

  Args:
    paths: By image id, in the order of the paths: the fifth photograph, the tenth and so on test,
      whatever the seed.
    seed: Draws what validates out of the rest, in the paper's proportion to what trains.
    lists: The user's own split; images that it does not list are left out. None draws.

  Returns:
    The split of each image.

  Raises:
    ValueError: `lists` name an unknown split, an image that does not exist, or an image twice, or
      put images of one photograph into different splits.
  """
  photograph_of = {image_id: photograph(path) for image_id, path in paths.items()}
  if lists is not None:
    by_split = clips.split_videos(list(paths), seed=seed, lists=lists)
    split_of = {image_id: split for split, ids in by_split.items() for image_id in ids}
    _refuse_divided({image_id: photograph_of[image_id] for image_id in split_of}, split_of)
    return split_of
  splits = {
    name: 'test' if index % EVERY_FIFTH == EVERY_FIFTH - 1 else 'train'
    for index, name in enumerate(dict.fromkeys(photograph_of.values()))
  }
  rest = sorted(name for name, split in splits.items() if split == 'train')
  num_validation = max(math.floor(9 * len(rest) / 102 + 0.5), 1) if len(rest) > 1 else 0
  order = clips.video_rng(seed, '', 'split').permutation(len(rest))
  splits |= {rest[index]: 'validation' for index in order[:num_validation].tolist()}
  return {image_id: splits[name] for image_id, name in photograph_of.items()}


def _refuse_divided(photograph_of: Mapping[str, pathlib.Path], split_of: Mapping[str, str]) -> None:
  """Raises ValueError where a photograph's images are in two splits."""
  first_of: dict[pathlib.Path, str] = {}
  for image_id, name in photograph_of.items():
    first = first_of.setdefault(name, image_id)
    if split_of[first] != split_of[image_id]:
      raise ValueError(
        f'{first} is listed in {split_of[first]!r} but {image_id} in {split_of[image_id]!r}, and '
        f'both show the photograph {name.name}: list them in one split (or rename them, if they '
        'are different photographs).'
      )
