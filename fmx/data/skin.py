"""What a drawn head is covered with: skin, brows, beard, wrinkles and scalp hair, as one texture over its mesh."""

import dataclasses

import cv2
import numpy as np
from scipy import ndimage

from fmx.data import head as head_lib

DETAIL = 6  # Texture pixels to one cell of the mesh.

# sRGB from very light to very dark.
_SKIN_TONES = np.array(
  [[238, 205, 184], [229, 186, 158], [216, 168, 136], [196, 145, 112], [164, 113, 82], [134, 90, 66], [104, 70, 54], [82, 56, 46]],
  np.float32,
)  # fmt: skip
_HAIR_TONES = np.array(
  [[22, 18, 17], [38, 27, 22], [62, 42, 30], [94, 64, 42], [136, 98, 62], [184, 148, 100], [124, 62, 34], [120, 118, 116], [205, 202, 198]],
  np.float32,
)  # fmt: skip
_EYE_TONES = np.array([[62, 40, 26], [88, 58, 34], [108, 92, 52], [84, 108, 84], [88, 118, 146], [110, 124, 136]], np.float32)  # fmt: skip
HAIR_STYLES = ('bald', 'buzz', 'short', 'fringe', 'parted', 'curly', 'bob', 'long', 'cap')


@dataclasses.dataclass(frozen=True)
class Look:
  """Colours (RGB, 0 to 255) and everything on a head that is no geometry."""

  skin: np.ndarray
  hair: np.ndarray
  eyes: np.ndarray
  lips: np.ndarray
  cloth: np.ndarray
  cap: np.ndarray
  hair_style: str
  hairline: float  # Head units; larger is a higher forehead.
  age: float  # [0, 1].
  redness: float
  freckles: float
  shine: float
  beard: float  # Density, 0 is shaved.
  moustache: float
  brow_density: float
  brow_thickness: float
  makeup: float
  glasses: float  # Thickness of the rims in head units, 0 is none.
  glasses_color: np.ndarray
  sunglasses: float  # Opacity of the lenses.
  earrings: bool

  @classmethod
  def sample(cls, rng: np.random.Generator) -> 'Look':
    """Draws a person."""
    darkness = 6.9 * rng.beta(0.9, 1.25)
    skin = _between(_SKIN_TONES, darkness) * rng.uniform(0.95, 1.05, 3)
    age = rng.beta(1.1, 1.7)
    masculine = rng.random() < 0.52
    light = darkness < 3
    hair = _HAIR_TONES[rng.integers(0, 7 if light else 3)]
    if rng.random() < age**2.5:
      hair = _HAIR_TONES[rng.integers(7, 9)]
    if masculine:
      style = rng.choice(HAIR_STYLES, p=[0.14, 0.17, 0.28, 0.1, 0.1, 0.09, 0.0, 0.05, 0.07])
    else:
      style = rng.choice(HAIR_STYLES, p=[0.01, 0.02, 0.1, 0.14, 0.12, 0.12, 0.2, 0.27, 0.02])
    bearded = masculine and age > 0.15
    makeup = 0.0 if masculine else float(rng.choice([0, rng.uniform(0.3, 1)]))
    lips = skin * rng.uniform([0.8, 0.6, 0.6], [0.9, 0.72, 0.72]) + [10, 0, 2]
    if makeup:
      lips = lips * (1 - 0.6 * makeup) + 0.6 * makeup * rng.uniform([120, 15, 30], [200, 70, 90])
    return cls(
      skin=skin.astype(np.float32),
      hair=(hair * rng.uniform(0.85, 1.15)).astype(np.float32),
      eyes=_EYE_TONES[rng.integers(0, 6 if light else 2)] * rng.uniform(0.85, 1.15),
      lips=lips.astype(np.float32),
      cloth=rng.uniform(20, 215, 3).astype(np.float32),
      cap=rng.uniform(15, 190, 3).astype(np.float32),
      hair_style=str(style),
      hairline=rng.uniform(-0.06, 0.05) + 0.1 * age * masculine,
      age=float(age),
      redness=rng.uniform(0.3, 1.1),
      freckles=float(rng.random() < 0.3 and light) * rng.uniform(0.3, 1),
      shine=rng.uniform(0.4, 1.2),
      beard=float(bearded) * float(rng.choice([0, 0.35, 0.6, 1.0], p=[0.4, 0.25, 0.15, 0.2])),
      moustache=float(bearded) * float(rng.choice([0, 0.5, 1.0], p=[0.55, 0.2, 0.25])),
      brow_density=rng.uniform(0.5, 1),
      brow_thickness=rng.uniform(0.75, 1.0) * (1.2 if masculine else 0.8),
      makeup=makeup,
      glasses=float(rng.choice([0, 0.012, 0.022, 0.034], p=[0.72, 0.1, 0.1, 0.08])),
      glasses_color=rng.choice(
        np.array([[20, 20, 22], [60, 40, 28], [150, 130, 90], [40, 50, 90]], np.float32)
      ),
      sunglasses=float(rng.random() < 0.12) * rng.uniform(0.6, 0.92),
      earrings=bool(rng.random() < (0.08 if masculine else 0.4)),
    )


@dataclasses.dataclass(frozen=True)
class Cover:
  """The painted mesh.

  Attributes:
    color: [h, w, 3] float32, 0 to 255, unlit.
    gloss: [rows, columns] float32, how much the surface shines.
    thickness: [rows, columns] float32, hair above the skin, head units.
  """

  color: np.ndarray
  gloss: np.ndarray
  thickness: np.ndarray


def paint(head: head_lib.Head, look: Look, rng: np.random.Generator) -> Cover:
  """Paints skin and hair of a person."""
  painter = _Skin(head, look, rng)
  painter.complexion()
  painter.features()
  painter.wrinkles()
  painter.brows()
  if look.beard or look.moustache:
    painter.beard()
  painter.shade_neck()
  thickness, hairy = painter.scalp()
  gloss = look.shine * (1 - 0.75 * hairy)
  return Cover(np.clip(painter.color, 0, 255), gloss.astype(np.float32), thickness)


class _Skin:
  """The texture while it is painted; `x`, `y`, `z` are the head coordinates of its pixels."""

  def __init__(self, head: head_lib.Head, look: Look, rng: np.random.Generator):
    self.head, self.look, self.rng = head, look, rng
    rows, columns = head.vertices.shape[:2]
    self.size = (columns * DETAIL, rows * DETAIL)
    where = cv2.resize(head.vertices, self.size, interpolation=cv2.INTER_LINEAR)
    self.x, self.y, self.z = cv2.split(where)
    azimuth = np.asarray(head.azimuth, np.float32)[None]
    self.azimuth = cv2.resize(azimuth, (self.size[0], 1), interpolation=cv2.INTER_LINEAR)
    self.front = self.z > 0.1
    self.comb = rng.uniform(-1.6, 1.6) if look.hair_style != 'long' else rng.uniform(-0.4, 0.4)
    self.row = (np.arange(self.size[1], dtype=np.float32)[:, None] + 0.5) / DETAIL - 0.5
    self.color = np.tile(look.skin, (self.size[1], self.size[0], 1)).astype(np.float32)

  def spot(self, x: float, y: float, sx: float, sy: float) -> np.ndarray:
    """A soft spot on both halves of the face, [h, w]."""
    u, v = (np.abs(self.x) - np.float32(x)) / np.float32(sx), (self.y - np.float32(y)) / np.float32(sy)
    return cv2.exp((u * u + v * v) * np.float32(-0.5)) * self.front

  def tint(self, weight: np.ndarray, factor) -> None:
    """Multiplies the colour by `factor` (RGB) where `weight` is 1."""
    for channel, value in enumerate(factor):
      self.color[..., channel] *= 1 + weight * np.float32(value - 1)

  def mix(self, weight: np.ndarray, color) -> None:
    """Paints `color` (RGB, or [h, w, 3]) over with opacity `weight`."""
    self.color += (np.asarray(color, np.float32) - self.color) * weight[..., None]

  def noise(self, rows: int, columns: int) -> np.ndarray:
    """Smooth noise of unit variance with that many cells, [h, w]."""
    cells = self.rng.standard_normal((rows, columns)).astype(np.float32)
    return cv2.resize(cells, self.size, interpolation=cv2.INTER_CUBIC)

  def curves(self, lines, width: float, blur: float) -> np.ndarray:
    """Soft lines through points of the front view (right half), on both halves: [h, w] in [0, 1]."""
    layer = np.zeros((self.size[1], self.size[0]), np.uint8)
    for line in lines:
      line = np.array(line, float)
      for sign in (-1, 1):
        places = self.pixels(line * [sign, 1])
        smooth = _smooth_line(places)
        cv2.polylines(layer, [_fixed(smooth)], False, 255, max(round(width), 1), cv2.LINE_AA, 4)
    return cv2.GaussianBlur(layer, (0, 0), blur).astype(np.float32) / 255

  def pixels(self, points: np.ndarray) -> np.ndarray:
    """Texture pixels (x, y) of points of the front view [P, 2]."""
    return (self.head.anchor(points)[:, ::-1] + 0.5) * DETAIL - 0.5

  def complexion(self) -> None:
    look = self.look
    self.color *= (1 + 0.02 * self.noise(12, 14) + 0.012 * self.noise(60, 60))[..., None]
    pores = self.rng.standard_normal((self.size[1], self.size[0]), dtype=np.float32)
    self.color *= (1 + (0.012 + 0.016 * look.age) * cv2.GaussianBlur(pores, (0, 0), 0.8))[..., None]
    red = self.spot(0.36, 0.3, 0.13, 0.11) + 0.8 * self.spot(0, 0.34, 0.09, 0.07)
    red += 0.4 * self.spot(0, 0.85, 0.13, 0.07)
    self.tint(np.minimum(red, 1) * look.redness * (1 + look.makeup * 0.5), (1.03, 0.88, 0.88))
    if look.freckles:
      dots = self.rng.random((self.size[1] // 2, self.size[0] // 2)) > 1 - 0.03 * look.freckles
      dots = cv2.resize(dots.astype(np.float32), self.size, interpolation=cv2.INTER_LINEAR)
      where = self.spot(0.22, 0.22, 0.2, 0.12) + 0.25 * self.front
      self.tint(np.minimum(dots * where * 1.3, 1), (0.82, 0.72, 0.64))
    for _ in range(self.rng.integers(0, 5)):
      u, v = self.rng.uniform([-0.5, -0.5], [0.5, 0.9])
      mole = cv2.exp(-(((self.x - u) / 0.009) ** 2 + ((self.y - v) / 0.009) ** 2)) * self.front
      self.tint(mole, (0.55, 0.45, 0.4))

  def features(self) -> None:
    shape, look = self.head.shape, self.look
    eye = 0.28 + shape.eye_distance
    self.tint(self.spot(eye, -0.02, 0.13, 0.075), (0.86, 0.8, 0.8))
    self.tint(self.spot(0.17, -0.03, 0.045, 0.07), (0.84, 0.78, 0.76))
    self.tint(self.spot(eye - 0.03, 0.1, 0.1, 0.028) * (0.3 + 0.7 * look.age), (0.86, 0.8, 0.82))
    if look.makeup > 0.4:
      shadow = self.rng.uniform([0.5, 0.4, 0.5], [0.9, 0.7, 0.9])
      self.tint(self.spot(eye, -0.075, 0.1, 0.04) * look.makeup, shadow)
    length, wide = shape.nose_length, shape.nose_width
    self.tint(np.minimum(self.spot(0.06 * wide, 0.425 * length, 0.03 * wide, 0.013) * 1.3, 1), (0.25, 0.17, 0.15))
    self.tint(self.spot(0, 0.45 * length, 0.1 * wide, 0.025), (0.8, 0.72, 0.7))
    wing = [[(0.135 * wide, 0.33 * length), (0.15 * wide, 0.385 * length), (0.125 * wide, 0.43 * length)]]  # fmt: skip
    self.tint(self.curves(wing, 3, 2.6), (0.76, 0.67, 0.65))
    self.tint(self.spot(0, 0.785 + shape.mouth_height, 0.14, 0.03), (0.82, 0.77, 0.76))
    mouth = np.round(self.pixels(self.head.landmarks[48:60, :2])).astype(np.int32)
    layer = np.zeros((self.size[1], self.size[0]), np.uint8)
    cv2.fillPoly(layer, [mouth], 255)
    self.mix(cv2.GaussianBlur(layer, (0, 0), 2.5).astype(np.float32) / 255 * 0.8, look.lips)
    # Both lids' folds.
    fold = self.head.landmarks[42:46, :2] + [[0.0, -0.035], [0, -0.042], [0.01, -0.042], [0.025, -0.012]]  # fmt: skip
    self.tint(self.curves([fold], 2, 1.2), (0.6, 0.52, 0.52))

  def wrinkles(self) -> None:
    age = self.look.age
    folds = [[(0.165, 0.37), (0.22, 0.47), (0.285, 0.6)]]
    self.tint(self.curves(folds, 4, 3.5) * (0.35 + 0.75 * age), (0.72, 0.66, 0.64))
    if age < 0.4:
      return
    strength = (age - 0.35) * 1.5
    lines = [[(0.0, y), (0.15, y - 0.02), (0.33, y + 0.015)] for y in (-0.36, -0.45, -0.54)]
    lines += [[(0.44, 0.0), (0.5, -0.03)], [(0.45, 0.02), (0.52, 0.02)], [(0.44, 0.04), (0.5, 0.07)]]  # fmt: skip
    lines += [[(0.2, 0.085), (0.28, 0.115), (0.36, 0.095)], [(0.05, -0.22), (0.045, -0.13)]]
    self.tint(self.curves(lines, 2, 2.0) * strength, (0.72, 0.65, 0.62))

  def brows(self) -> None:
    """Hair by hair, about the landmarks' line and below it."""
    look, rng = self.look, self.rng
    layer = np.zeros((self.size[1], self.size[0]), np.uint8)
    count = int(260 * look.brow_density)
    for points in (self.head.landmarks[17:22, :2], self.head.landmarks[26:21:-1, :2]):
      # From the temple to the nose.
      t = rng.beta(1.1, 1.05, count)
      path = _smooth_line(points)
      base = path[(t * (len(path) - 1)).astype(int)]
      side = np.sign(points[0, 0])
      thick = 0.06 * look.brow_thickness * np.clip(0.3 + t * 1.3, 0, 1)
      root = base + np.stack([0 * t, thick * rng.uniform(-0.05, 0.95, count)], 1)
      lean = np.stack([side * (0.05 - 0.035 * t), 0.012 * (1 - t) - 0.028 * t**3], 1)
      tip = root + lean * rng.uniform(0.5, 1.0, (count, 1))
      strokes = np.stack([self.pixels(root), self.pixels(tip)], 1)
      faint = np.zeros_like(layer)
      for part, strength in ((strokes[::3], 120), (strokes[1::3], 170), (strokes[2::3], 225)):
        cv2.polylines(faint, list(_fixed(part)), False, strength, 1, cv2.LINE_AA, 4)
      layer = cv2.max(layer, faint)
    soft = cv2.GaussianBlur(layer, (0, 0), 0.7).astype(np.float32) / 255
    shadow = cv2.GaussianBlur(layer, (0, 0), 3.0).astype(np.float32) / 255
    cover = np.clip(np.maximum(0.95 * soft, 1.15 * shadow), 0, 0.9)
    self.mix(cover, look.hair * 0.72 + look.skin * [0.1, 0.07, 0.05])

  def beard(self) -> None:
    look = self.look
    line = np.interp(np.abs(self.x), [0, 0.15, 0.3, 0.5, 0.57], [0.79, 0.75, 0.6, 0.38, 0.1])
    jaw = _ramp(self.y - line.astype(np.float32), -0.03, 0.06) * (self.z > -0.05)
    jaw *= 1 - _ramp(self.row, head_lib.NUM_JAW_ROW + 3, head_lib.NUM_JAW_ROW + 7)
    lip = 0.625 + self.head.shape.mouth_height
    upper = self.spot(0.1, 0.505 + self.head.shape.mouth_height, 0.085, 0.028)
    sides = self.spot(0.25, lip + 0.04, 0.025, 0.1)
    mask = np.maximum(jaw * look.beard, np.minimum((upper * 1.4 + sides) * look.moustache, 1))
    mouth = self.pixels(self.head.landmarks[48:60, :2])
    lips = np.zeros((self.size[1], self.size[0]), np.uint8)
    cv2.fillPoly(lips, [np.round(mouth).astype(np.int32)], 255)
    mask *= 1 - cv2.GaussianBlur(lips, (0, 0), 1.5).astype(np.float32) / 255
    grain = self.rng.standard_normal((self.size[1], self.size[0]), dtype=np.float32)
    grain = cv2.GaussianBlur(grain, (0, 0), sigmaX=0.6, sigmaY=1.8)
    cover = np.clip(mask * (0.9 + 0.9 * grain), 0, 1) * (0.55 + 0.4 * max(look.beard, look.moustache))
    self.mix(cover, look.hair * 0.85 + 6 + 28 * np.clip(grain, -1, 1)[..., None] * 0.4)

  def shade_neck(self) -> None:
    """The chin's shadow."""
    below = self.row - head_lib.NUM_JAW_ROW
    shade = _ramp(below, -0.5, 2.5) * (1 - 0.8 * _ramp(below, 6, 15))
    self.tint(shade * (0.5 + 0.5 * _ramp(self.z, -0.4, 0.2)), (0.6, 0.52, 0.5))

  def scalp(self) -> tuple[np.ndarray, np.ndarray]:
    """Paints scalp hair (or a cap); its thickness and how far it covers, [rows, columns]."""
    look, style = self.look, self.look.hair_style
    edge = self._hairline()
    if style == 'cap':
      edge = np.interp(np.abs(self.azimuth), [0, 60, 100, 150], [-0.42, -0.36, -0.2, 0.0]).astype(np.float32)  # fmt: skip
    wild = 0.0 if style == 'cap' else self.rng.uniform(0.008, 0.03)
    ragged = wild * (self.noise(4, 110) + self.noise(6, 36) + self.noise(2, 12))
    softness = {'cap': 0.012, 'bald': 0.3, 'buzz': 0.07}.get(style, 0.045)
    cover = _ramp(edge + ragged - self.y, -softness, softness)
    cover *= self.row < head_lib.NUM_JAW_ROW
    if style == 'bald':
      cover *= 0.3 * _ramp(np.abs(self.azimuth), 50, 90) + 0.02
    color, opacity = self._hair_color(cover)
    if style not in ('cap', 'bald'):
      self.tint(cv2.GaussianBlur(cover, (0, 0), 5) * 0.5 * self.front, (0.6, 0.55, 0.5))
    self.mix(cover * opacity, color)
    depth = {'bald': 0, 'buzz': 0.012, 'short': 0.06, 'fringe': 0.09, 'parted': 0.09, 'curly': 0.2, 'bob': 0.1, 'long': 0.09, 'cap': 0.07}  # fmt: skip
    small = head_lib.NUM_COLUMNS, head_lib.NUM_ROWS
    hairy = cv2.resize(cover, small, interpolation=cv2.INTER_AREA)
    bumpy = self.rng.standard_normal((head_lib.NUM_ROWS, head_lib.NUM_COLUMNS))
    bumpy = ndimage.gaussian_filter(bumpy, 1.6 if style == 'curly' else 3.0)
    bumpy /= bumpy.std()
    uneven = {'curly': 0.13, 'cap': 0.0}.get(style, 0.08)
    thickness = depth[style] * cv2.GaussianBlur(hairy, (0, 0), 1.2) * (1 + uneven * bumpy)
    return thickness.astype(np.float32), hairy

  def _hairline(self) -> np.ndarray:
    """The y above which hair grows, for each texture column: [1, w]."""
    style, up = self.look.hair_style, self.look.hairline
    front = -0.6 - up
    fringe = {'fringe': 0.3 + 0.02 * self.rng.standard_normal(), 'bob': 0.1 * self.rng.integers(0, 4)}  # fmt: skip
    front += fringe.get(style, 0.0)
    if style == 'parted':
      # Falls over one side of the forehead.
      side = self.rng.choice([-1, 1])
      shift = np.interp(self.azimuth * side, [-50, -25, -18, 20, 60], [0.22, 0.1, -0.03, 0.02, 0.2])
    else:
      shift = 0.0
    low = 0.34 if style in ('bob', 'long', 'curly') else 0.12
    across = np.abs(self.azimuth)
    recede = -0.09 * self.rng.random() if style in ('short', 'buzz', 'bald') else 0.02
    rest = np.interp(
      across, [0, 25, 42, 58, 70, 86, 100, 118, 150],
      [front, front + 0.0, front + recede, min(front + 0.22, -0.3), -0.22, low, low, 0.4, 0.5],
    )  # fmt: skip
    return (rest + shift).astype(np.float32)

  def _hair_color(self, cover: np.ndarray) -> tuple[np.ndarray, float]:
    look, style = self.look, self.look.hair_style
    if style == 'cap':
      weave = 1 + 0.03 * self.noise(self.size[1] // 3, self.size[0] // 3)
      panels = 1 - 0.25 * (np.abs(((self.azimuth + 150) % 60) - 30) < 0.8)
      return look.cap * (weave * panels)[..., None], 1.0
    if style in ('curly', 'buzz'):
      strands = self.noise(120, 130) * 0.6 + self.noise(40, 44) * 0.5
    else:
      strands = self.noise(10, 240) * 0.55 + self.noise(6, 80) * 0.5 + self.noise(90, 320) * 0.25
      # Combed to one side, more or less.
      comb = np.array([[1, self.comb, 0], [0, 1, 0]], np.float32)
      strands = cv2.warpAffine(strands, comb, self.size, borderMode=cv2.BORDER_REFLECT)
    ring = np.exp(-(((self.y + 0.72) / 0.09) ** 2)) * (0.7 + 0.5 * strands) * 0.35
    tone = np.clip(1 + 0.26 * strands + ring * (style not in ('curly', 'buzz')), 0.35, 2.2)
    # Darker roots at the edge, where skin shows between the hairs.
    tone *= 0.75 + 0.25 * cover
    return (look.hair + 5) * tone[..., None], 0.62 if style == 'buzz' else 0.97


def _between(table: np.ndarray, position: float) -> np.ndarray:
  low = int(position)
  return table[low] * (1 - position + low) + table[low + 1] * (position - low)


def _ramp(value, low: float, high: float) -> np.ndarray:
  """0 below `low`, 1 above `high`, smooth between."""
  t = np.clip((value - np.float32(low)) / np.float32(high - low), 0, 1)
  return t * t * (3 - 2 * t)


def _smooth_line(points: np.ndarray) -> np.ndarray:
  """A quadratic or cubic through a few points: [33, 2]."""
  knots = np.linspace(0, 1, len(points))
  degree = min(3, len(points) - 1)
  t = np.linspace(0, 1, 33)
  return np.stack([np.polyval(np.polyfit(knots, c, degree), t) for c in np.asarray(points).T], 1)


def _fixed(points: np.ndarray) -> np.ndarray:
  """To OpenCV's fixed-point pixels with four fractional bits."""
  return np.round(np.asarray(points) * 16).astype(np.int32)
