"""The frames that training pictures for a finder are drawn from."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import pathlib
from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from fmx.data.prepared import FrameExample, FrameExamples

EVERY = 5  # Frames of a video from one that is used to the next.
# Packages that ship pictures, where in them, and pictures that show people.
PICTURES = {
  'skimage': ('data', {'astronaut', 'camera', 'logo', 'multipage', 'multipage_rgb'}),
  'sklearn': ('datasets/images', set()),
}


class Chosen(Sequence[FrameExample]):
  """Some frames of a dataset, with what is known of faces that nobody annotated."""

  def __init__(
    self,
    examples: FrameExamples,
    indices: np.ndarray,
    others: Mapping[str, Sequence[Sequence[float]]],
  ):
    """Keeps what it is given.

    Args:
      examples: All frames of a split.
      indices: int [N], of those to choose.
      others: Boxes as `read_others` gives them; they join those of the dataset.
    """
    self._examples, self._indices, self._others = examples, indices, others

  def __len__(self) -> int:
    return len(self._indices)

  def __getitem__(self, index: int) -> FrameExample:  # type: ignore[override]  # No slices.
    example = self._examples[int(self._indices[index])]
    height, width = example.image.shape[:2]
    shares = self._others.get(f'{example.video_id}_{example.frame_number:06d}', [])
    boxes = np.array(shares, np.float32).reshape(-1, 4) * (width, height, width, height)
    return dataclasses.replace(example, others=np.concatenate([example.others, boxes]))


def choose(
  examples: FrameExamples, others: Mapping[str, Sequence[Sequence[float]]]
) -> tuple[Chosen, Chosen]:
  """The photographs of a split, and every fifth frame of its videos."""
  stills = np.flatnonzero(examples.from_people)
  videos = np.flatnonzero(~examples.from_people & ((examples.frame_numbers - 1) % EVERY == 0))
  return Chosen(examples, stills, others), Chosen(examples, videos, others)


def read_others(path: str) -> dict[str, list[list[float]]]:
  """Reads what `python -m fmx.finding.unannotated` wrote; '' is nothing.

  Raises:
    FileNotFoundError: there is no such file.
    ValueError: it holds something else.
  """
  if not path:
    return {}
  try:
    others = json.loads(pathlib.Path(path).expanduser().read_bytes())
    for boxes in others.values():
      np.array(boxes, np.float32).reshape(-1, 4)
  except (ValueError, AttributeError) as error:
    raise ValueError(f'{path} holds no boxes by frame ({error}): make it again.') from error
  return others


def backgrounds() -> tuple[np.ndarray, ...]:
  """The pictures without people that installed packages ship: uint8 [H, W, 3], perhaps none."""
  images = []
  for package, (folder, without) in PICTURES.items():
    spec = importlib.util.find_spec(package)
    for root in (spec.submodule_search_locations or []) if spec else []:
      for path in sorted((pathlib.Path(root) / folder).iterdir()):
        if path.suffix in ('.png', '.jpg') and path.stem not in without:
          image = cv2.imread(str(path), cv2.IMREAD_COLOR)
          if image is not None and min(image.shape[:2]) >= 64:
            images.append(np.ascontiguousarray(image[..., ::-1]))
  return tuple(images)
