"""Masks over frames, and sheets of small pictures with captions."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tfds_300vw import face_mask

CAPTION_HEIGHT = 18  # Pixels.
FONT_SIZE = 12
GAP = 4  # Pixels between pictures.
PAPER, INK = (255, 255, 255), (40, 40, 40)


@dataclasses.dataclass(frozen=True)
class Row:
  """Pictures side by side, each uint8 [H, W, 3] of any size, with a caption each."""

  pictures: Sequence[np.ndarray]
  captions: Sequence[str]


def overlay(
  frame: np.ndarray, labels: np.ndarray, region: str = 'primary', opacity: float = 0.45
) -> np.ndarray:
  """Paints the class colours over a frame; background stays as it is.

  Args:
    frame: uint8 [H, W, 3], RGB.
    labels: The region's own class ids, [H, W].
    region: A key of `face_mask.REGIONS`.
    opacity: Of the colours, 0 to 1.

  Returns:
    uint8 [H, W, 3], RGB.
  """
  colors = face_mask.to_color(labels, region).astype(np.float32)
  weight = np.where(labels[..., None] > 0, np.float32(opacity), np.float32(0))
  return np.round(frame * (1 - weight) + colors * weight).astype(np.uint8)


def sheet(rows: Sequence[Row], region: str = 'primary', *, size: int = 160) -> np.ndarray:
  """Lays rows of pictures under one another, with a legend of the region's classes at the end.

  Args:
    rows: At least one; they may differ in length.
    region: A key of `face_mask.REGIONS`.
    size: Height and width of the square that each picture is fitted into, pixels.

  Returns:
    uint8 [H, W, 3], RGB.
  """
  columns = max(len(row.pictures) for row in rows)
  cell, row_height = size + GAP, size + GAP + CAPTION_HEIGHT
  width = max(columns * cell + GAP, _legend_width(region))
  canvas = Image.new('RGB', (width, len(rows) * row_height + GAP + CAPTION_HEIGHT), PAPER)
  draw = ImageDraw.Draw(canvas)
  for row_index, row in enumerate(rows):
    for column, (picture, caption) in enumerate(zip(row.pictures, row.captions, strict=True)):
      left, top = GAP + column * cell, GAP + row_index * row_height
      fitted = _fit(picture, size)
      canvas.paste(fitted, (left + (size - fitted.width) // 2, top + (size - fitted.height) // 2))
      draw.text((left, top + size + 2), caption, INK, _font())
  _draw_legend(draw, region, canvas.height - CAPTION_HEIGHT)
  return np.asarray(canvas)


def _fit(picture: np.ndarray, size: int) -> Image.Image:
  """Scales a picture to fit a square, keeping its shape."""
  scale = size / max(picture.shape[:2])
  shape = [max(round(side * scale), 1) for side in picture.shape[1::-1]]
  return Image.fromarray(picture).resize(shape, Image.Resampling.LANCZOS)


def _font() -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
  return ImageFont.load_default(FONT_SIZE)


def _entries(region: str) -> list[tuple[str, tuple[int, ...]]]:
  names = [name.replace('_', ' ') for name in face_mask.class_names(region)]
  return [(name, tuple(color)) for name, color in zip(names, face_mask.colors(region).tolist())][1:]


def _legend_width(region: str) -> int:
  return GAP + sum(_entry_width(name) for name, _ in _entries(region))


def _entry_width(name: str) -> int:
  return FONT_SIZE + round(_font().getlength(name)) + 5 * GAP


def _draw_legend(draw: ImageDraw.ImageDraw, region: str, top: int) -> None:
  left = GAP
  for name, color in _entries(region):
    draw.rectangle((left, top, left + FONT_SIZE, top + FONT_SIZE), color)
    draw.text((left + FONT_SIZE + GAP, top - 1), name, INK, _font())
    left += _entry_width(name)
