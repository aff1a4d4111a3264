"""The masks as COCO has them: run lengths in one JSON file, which pycocotools reads."""

import contextlib
import json
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from pycocotools import mask as run_lengths

from fmx.extraction.joining import Clock
from fmx.extraction.outputs import Labelled, Part, Write
from fmx.labelling.frame_masks import own_labels
from fmx.workdir import COCO, COCO_LINES, finishing
from tfds_300vw.face_mask import CLASS_NAMES

CATEGORIES = [
  {'id': i, 'name': name, 'supercategory': 'face'} for i, name in enumerate(CLASS_NAMES) if i
]


class Coco:
  """Images are the frames, categories the classes, annotations a class of a face in a frame."""

  def __init__(self, workdir: pathlib.Path, file_name: Callable[[Labelled], str]):
    """Says where, and what the picture of a frame is called."""
    self._workdir, self._file_name = workdir, file_name

  @contextlib.contextmanager
  def open_part(self, folder: pathlib.Path) -> Iterator[Write]:
    """As `Layer.open_part`."""
    with open(folder / COCO_LINES, 'w') as file:
      yield lambda labelled: print(json.dumps(self._described(labelled)), file=file)

  def finish(self, parts: Sequence[Part], clock: Clock) -> None:
    """As `Layer.finish`; the lines are read twice, so that memory need not hold them."""
    del clock
    with finishing(self._workdir, COCO) as path, open(path, 'w') as file:
      categories = json.dumps(CATEGORIES)
      file.write(f'{{"info": {{"description": "fmx"}},\n"categories": {categories},\n"images": [')
      _write_list(file, (line['image'] for line in _lines(parts)))
      file.write('],\n"annotations": [')
      found = (annotation for line in _lines(parts) for annotation in line['annotations'])
      # From 1: where COCO is evaluated, 0 stands for none.
      _write_list(file, ({'id': i, **annotation} for i, annotation in enumerate(found, 1)))
      file.write(']}\n')

  def _described(self, labelled: Labelled) -> dict[str, Any]:
    masks = labelled.masks
    height, width = masks.labels.shape
    image = {
      'id': masks.index + 1,
      'file_name': self._file_name(labelled),
      'width': width,
      'height': height,
      'frame': masks.index,
      'time': round(labelled.frame.time, 6),
    }
    annotations = []
    for face in masks.faces:
      labels = own_labels(masks, face)
      for category in CATEGORIES:
        of_class = labels == category['id']
        if of_class.any():
          place = {'image_id': image['id'], 'category_id': category['id'], 'track_id': face.id}
          annotations.append({**place, **annotated(of_class)})
    return {'image': image, 'annotations': annotations}


def annotated(mask: np.ndarray) -> dict[str, Any]:
  """What COCO says of a mask, bool [H, W], with at least one pixel."""
  runs = run_lengths.encode(np.asfortranarray(mask, np.uint8))
  return {
    'segmentation': {'size': list(mask.shape), 'counts': runs['counts'].decode('ascii')},
    'area': int(run_lengths.area(runs)),
    'bbox': run_lengths.toBbox(runs).tolist(),
    'iscrowd': 0,
  }


def _lines(parts: Sequence[Part]) -> Iterator[dict[str, Any]]:
  for part in parts:
    with open(part.folder / COCO_LINES) as file:
      yield from map(json.loads, file)


def _write_list(file: Any, entries: Iterable[dict[str, Any]]) -> None:
  for i, entry in enumerate(entries):
    file.write(f'{"," if i else ""}\n{json.dumps(entry)}')
