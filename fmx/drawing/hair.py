"""Scalp hair and caps: where they begin, how thick they are and what they look like."""

import cv2
import numpy as np
from scipy import ndimage

from fmx.drawing import anatomy
from fmx.drawing.texture import Texture, ramp


def paint_scalp(texture: Texture) -> tuple[np.ndarray, np.ndarray]:
  """Paints scalp hair (or a cap); its thickness and how far it covers, [rows, columns]."""
  style = texture.look.hair_style
  edge = _hairline(texture)
  if style == 'cap':
    across = np.abs(texture.azimuth)
    edge = np.interp(across, [0, 60, 100, 150], [-0.42, -0.36, -0.2, 0.0]).astype(np.float32)
  wild = 0.0 if style == 'cap' else texture.rng.uniform(0.008, 0.03)
  ragged = wild * (texture.noise(4, 110) + texture.noise(6, 36) + texture.noise(2, 12))
  softness = {'cap': 0.012, 'bald': 0.3, 'buzz': 0.07}.get(style, 0.045)
  cover = ramp(edge + ragged - texture.y, -softness, softness)
  cover *= texture.row < anatomy.JAW_ROW
  if style == 'bald':
    cover *= 0.3 * ramp(np.abs(texture.azimuth), 50, 90) + 0.02
  color, opacity = _hair_color(texture, cover)
  if style not in ('cap', 'bald'):
    texture.tint(cv2.GaussianBlur(cover, (0, 0), 5) * 0.5 * texture.front, (0.6, 0.55, 0.5))
  texture.mix(cover * opacity, color)
  depth = {
    'bald': 0,
    'buzz': 0.012,
    'short': 0.06,
    'fringe': 0.09,
    'parted': 0.09,
    'curly': 0.2,
    'bob': 0.1,
    'long': 0.09,
    'cap': 0.07,
  }
  small = anatomy.NUM_COLUMNS, anatomy.NUM_ROWS
  hairy = cv2.resize(cover, small, interpolation=cv2.INTER_AREA)
  bumpy = texture.rng.standard_normal((anatomy.NUM_ROWS, anatomy.NUM_COLUMNS))
  bumpy = ndimage.gaussian_filter(bumpy, 1.6 if style == 'curly' else 3.0)
  bumpy /= bumpy.std()
  uneven = {'curly': 0.13, 'cap': 0.0}.get(style, 0.08)
  thickness = depth[style] * cv2.GaussianBlur(hairy, (0, 0), 1.2) * (1 + uneven * bumpy)
  return thickness.astype(np.float32), hairy


def _hairline(texture: Texture) -> np.ndarray:
  """The y above which hair grows, for each texture column: [1, w]."""
  style, up = texture.look.hair_style, texture.look.hairline
  front = -0.6 - up
  fringe = {
    'fringe': 0.3 + 0.02 * texture.rng.standard_normal(),
    'bob': 0.1 * texture.rng.integers(0, 4),
  }
  front += fringe.get(style, 0.0)
  if style == 'parted':
    # Falls over one side of the forehead.
    side = texture.rng.choice([-1, 1])
    shift = np.interp(
      texture.azimuth * side, [-50, -25, -18, 20, 60], [0.22, 0.1, -0.03, 0.02, 0.2]
    )
  else:
    shift = 0.0
  low = 0.34 if style in ('bob', 'long', 'curly') else 0.12
  across = np.abs(texture.azimuth)
  recede = -0.09 * texture.rng.random() if style in ('short', 'buzz', 'bald') else 0.02
  rest = np.interp(
    across,
    [0, 25, 42, 58, 70, 86, 100, 118, 150],
    [front, front + 0.0, front + recede, min(front + 0.22, -0.3), -0.22, low, low, 0.4, 0.5],
  )
  return (rest + shift).astype(np.float32)


def _hair_color(texture: Texture, cover: np.ndarray) -> tuple[np.ndarray, float]:
  look, style = texture.look, texture.look.hair_style
  if style == 'cap':
    weave = 1 + 0.03 * texture.noise(texture.size[1] // 3, texture.size[0] // 3)
    panels = 1 - 0.25 * (np.abs(((texture.azimuth + 150) % 60) - 30) < 0.8)
    return look.cap * (weave * panels)[..., None], 1.0
  if style in ('curly', 'buzz'):
    strands: np.ndarray = texture.noise(120, 130) * 0.6 + texture.noise(40, 44) * 0.5
  else:
    strands = (
      texture.noise(10, 240) * 0.55 + texture.noise(6, 80) * 0.5 + texture.noise(90, 320) * 0.25
    )
    # Combed to one side, more or less.
    comb = np.array([[1, texture.comb, 0], [0, 1, 0]], np.float32)
    strands = cv2.warpAffine(strands, comb, texture.size, borderMode=cv2.BORDER_REFLECT)
  ring = np.exp(-(((texture.y + 0.72) / 0.09) ** 2)) * (0.7 + 0.5 * strands) * 0.35
  tone = np.clip(1 + 0.26 * strands + ring * (style not in ('curly', 'buzz')), 0.35, 2.2)
  # Darker roots at the edge, where skin shows between the hairs.
  tone *= 0.75 + 0.25 * cover
  return (look.hair + 5) * tone[..., None], 0.62 if style == 'buzz' else 0.97
