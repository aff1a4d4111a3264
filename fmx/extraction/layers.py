"""The outputs that one can choose, and what each needs."""

import importlib.util
import operator
import pathlib
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from fmx.extraction.cutout import Cutout
from fmx.extraction.measurements import Measurements
from fmx.extraction.outputs import (
  Labelled,
  Layer,
  Overlay,
  PartLayer,
  Pick,
  PngMasks,
  VideoMasks,
  id_colors,
)
from fmx.extraction.sources import Source
from tfds_300vw import face_mask


class Place(NamedTuple):
  """Where outputs go, and how.

  Attributes:
    workdir: The folder.
    source: Of the frames.
    frame_rate: At which parts are encoded.
    masks: A key of MASKS.
  """

  workdir: pathlib.Path
  source: Source
  frame_rate: float
  masks: str


def overlay(place: Place) -> PartLayer:
  """The video under the class colours."""
  return Overlay(place.frame_rate, place.source.properties.pixel_aspect)


def masks(place: Place) -> Layer:
  """The class of each pixel."""
  return MASKS[place.masks](place, 'masks', operator.attrgetter('labels'), face_mask.COLORS)


def faces(place: Place) -> Layer:
  """The face that each pixel belongs to."""
  return MASKS[place.masks](place, 'faces', operator.attrgetter('ids'), id_colors())


def measurements(place: Place) -> Layer:
  """A table of numbers."""
  return Measurements(place.workdir)


def cutout(place: Place) -> Layer:
  """The faces alone."""
  return Cutout(place.workdir, place.frame_rate, place.source.properties.pixel_aspect)


def coco(place: Place) -> Layer:
  """The masks as run lengths."""
  from fmx.extraction.coco import Coco  # It needs pycocotools.

  source = place.source

  def file_name(labelled: Labelled) -> str:
    is_file = source.properties.kind == 'pictures'
    return source.files[labelled.frame.index].name if is_file else f'{labelled.name}.png'

  return Coco(place.workdir, file_name)


MASKS: dict[str, Callable[[Place, str, Pick, np.ndarray], Layer]] = {
  'png': lambda place, name, pick, colors: PngMasks(place.workdir, name, pick, colors),
  'video': lambda place, name, pick, _: VideoMasks(place.workdir, name, pick, place.frame_rate),
}
OUTPUTS: dict[str, Callable[[Place], PartLayer]] = {
  'overlay': overlay,
  'masks': masks,
  'measurements': measurements,
  'cutout': cutout,
  'coco': coco,
}


def layers_of(place: Place, outputs: Iterable[str], *, has_ids: bool) -> dict[str, PartLayer]:
  """The layers of outputs by name; masks that are of several faces have one more."""
  layers = {name: OUTPUTS[name](place) for name in outputs}
  if 'masks' in layers and has_ids:
    layers['faces'] = faces(place)
  return layers


def check_outputs(outputs: Iterable[str], *, contact_sheet: bool, plot: bool) -> None:
  """Looks at what is to be written.

  Args:
    outputs: By name.
    contact_sheet: Whether one is to be drawn.
    plot: Likewise.

  Raises:
    ValueError: an output is none of those that exist, lacks its library, or is missing though
      something is drawn from it.
  """
  outputs = tuple(outputs)
  for name in outputs:
    if name not in OUTPUTS:
      raise ValueError(
        f'extraction.outputs has {name!r}; it may have {", ".join(map(repr, OUTPUTS))}.'
      )
  for name, is_asked, needed in (
    ('contact_sheet', contact_sheet, 'overlay'),
    ('plot', plot, 'measurements'),
  ):
    if is_asked and needed not in outputs:
      raise ValueError(f'{name} is drawn from {needed!r}: add that to extraction.outputs.')
  for name, is_asked, extra, library in (
    ('plot', plot, 'plots', 'matplotlib'),
    ("extraction.outputs with 'coco'", 'coco' in outputs, 'coco', 'pycocotools'),
  ):
    if is_asked and importlib.util.find_spec(library) is None:
      raise ValueError(f'{name} needs {library}: pip install {library} (the extra {extra!r}).')
