"""What covers a drawn head: skin, brows, beard, wrinkles and hair, in one texture."""

import dataclasses

import cv2
import numpy as np

from fmx.drawing import anatomy, canvas, hair
from fmx.drawing.head import Head
from fmx.drawing.look import Look
from fmx.drawing.texture import Texture, ramp, smooth_line


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


def paint(head: Head, look: Look, rng: np.random.Generator) -> Cover:
  """Paints skin and hair of a person."""
  painter = _Skin(head, look, rng)
  painter.complexion()
  painter.features()
  painter.wrinkles()
  painter.brows()
  if look.beard or look.moustache:
    painter.beard()
  painter.shade_neck()
  thickness, hairy = hair.paint_scalp(painter)
  gloss = look.shine * (1 - 0.75 * hairy)
  return Cover(np.clip(painter.color, 0, 255), gloss.astype(np.float32), thickness)


class _Skin(Texture):
  """Paints skin, feature by feature."""

  def complexion(self) -> None:
    look = self.look
    self.color *= (1 + 0.02 * self.noise(12, 14) + 0.012 * self.noise(60, 60))[..., None]
    pores = self.rng.standard_normal((self.size[1], self.size[0]), dtype=np.float32)
    self.color *= (1 + (0.012 + 0.016 * look.age) * cv2.GaussianBlur(pores, (0, 0), 0.8))[..., None]
    red = self.spot(0.36, 0.3, 0.13, 0.11) + 0.8 * self.spot(0, 0.34, 0.09, 0.07)
    red += 0.4 * self.spot(0, 0.85, 0.13, 0.07)
    self.tint(np.minimum(red, 1) * look.redness * (1 + look.makeup * 0.5), (1.03, 0.88, 0.88))
    if look.freckles:
      shown = self.rng.random((self.size[1] // 2, self.size[0] // 2)) > 1 - 0.03 * look.freckles
      dots = cv2.resize(shown.astype(np.float32), self.size, interpolation=cv2.INTER_LINEAR)
      where = self.spot(0.22, 0.22, 0.2, 0.12) + 0.25 * self.front[self.face]
      self.tint(np.minimum(dots[self.face] * where * 1.3, 1), (0.82, 0.72, 0.64))
    for _ in range(self.rng.integers(0, 5)):
      u, v = self.rng.uniform([-0.5, -0.5], [0.5, 0.9])
      middle = tuple(np.round(self.pixels(np.array([[u, v]]))[0]).astype(int).tolist())
      mole = np.zeros(self.color.shape[:2], np.uint8)
      cv2.circle(mole, middle, int(self.rng.integers(1, 3)), 255, -1, cv2.LINE_AA)
      self.tint(mole[self.face] * np.float32(1 / 255), (0.55, 0.45, 0.4))

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
    self.tint(
      np.minimum(self.spot(0.06 * wide, 0.425 * length, 0.03 * wide, 0.013) * 1.3, 1),
      (0.25, 0.17, 0.15),
    )
    self.tint(self.spot(0, 0.45 * length, 0.1 * wide, 0.025), (0.8, 0.72, 0.7))
    wing = [
      [(0.135 * wide, 0.33 * length), (0.15 * wide, 0.385 * length), (0.125 * wide, 0.43 * length)]
    ]
    self.tint(self.curves(wing, 3, 2.6), (0.76, 0.67, 0.65))
    self.tint(self.spot(0, 0.785 + shape.mouth_height, 0.14, 0.03), (0.82, 0.77, 0.76))
    mouth = np.round(self.pixels(self.head.landmarks[48:60, :2])).astype(np.int32)
    layer = np.zeros((self.size[1], self.size[0]), np.uint8)
    cv2.fillPoly(layer, [mouth], 255)
    soft = cv2.GaussianBlur(layer[self.face], (0, 0), 2.5)
    self.mix(soft * np.float32(0.8 / 255), look.lips)
    # Both lids' folds.
    fold = self.head.landmarks[42:46, :2] + [
      [0.0, -0.035],
      [0, -0.042],
      [0.01, -0.042],
      [0.025, -0.012],
    ]
    self.tint(self.curves([fold], 2, 1.2), (0.6, 0.52, 0.52))

  def wrinkles(self) -> None:
    age = self.look.age
    folds = [[(0.165, 0.37), (0.22, 0.47), (0.285, 0.6)]]
    self.tint(self.curves(folds, 4, 3.5) * (0.35 + 0.75 * age), (0.72, 0.66, 0.64))
    if age < 0.4:
      return
    strength = (age - 0.35) * 1.5
    lines = [[(0.0, y), (0.15, y - 0.02), (0.33, y + 0.015)] for y in (-0.36, -0.45, -0.54)]
    lines += [
      [(0.44, 0.0), (0.5, -0.03)],
      [(0.45, 0.02), (0.52, 0.02)],
      [(0.44, 0.04), (0.5, 0.07)],
    ]
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
      path = smooth_line(points)
      base = path[(t * (len(path) - 1)).astype(int)]
      side = np.sign(points[0, 0])
      thick = 0.06 * look.brow_thickness * np.clip(0.3 + t * 1.3, 0, 1)
      root = base + np.stack([0 * t, thick * rng.uniform(-0.05, 0.95, count)], 1)
      lean = np.stack([side * (0.05 - 0.035 * t), 0.012 * (1 - t) - 0.028 * t**3], 1)
      tip = root + lean * rng.uniform(0.5, 1.0, (count, 1))
      strokes = np.stack([self.pixels(root), self.pixels(tip)], 1)
      faint = np.zeros_like(layer)
      for part, strength in ((strokes[::3], 120), (strokes[1::3], 170), (strokes[2::3], 225)):
        cv2.polylines(faint, list(canvas.fixed(part)), False, strength, 1, cv2.LINE_AA, 4)
      layer = cv2.max(layer, faint)
    layer = layer[self.face]
    soft = cv2.GaussianBlur(layer, (0, 0), 0.7).astype(np.float32) / 255
    shadow = cv2.GaussianBlur(layer, (0, 0), 3.0).astype(np.float32) / 255
    cover = np.clip(np.maximum(0.95 * soft, 1.15 * shadow), 0, 0.9)
    self.mix(cover, look.hair * 0.72 + look.skin * [0.1, 0.07, 0.05])

  def beard(self) -> None:
    look = self.look
    line = np.interp(np.abs(self.x), [0, 0.15, 0.3, 0.5, 0.57], [0.79, 0.75, 0.6, 0.38, 0.1])
    jaw = ramp(self.y - line.astype(np.float32), -0.03, 0.06) * (self.z > -0.05)
    jaw *= 1 - ramp(self.row, anatomy.JAW_ROW + 3, anatomy.JAW_ROW + 7)
    lip = 0.625 + self.head.shape.mouth_height
    upper = self.spot(0.1, 0.505 + self.head.shape.mouth_height, 0.085, 0.028)
    sides = self.spot(0.25, lip + 0.04, 0.025, 0.1)
    mask = jaw * np.float32(look.beard)
    lip_hair = np.minimum((upper * 1.4 + sides) * np.float32(look.moustache), 1)
    mask[self.face] = np.maximum(mask[self.face], lip_hair)
    mouth = self.pixels(self.head.landmarks[48:60, :2])
    lips = np.zeros((self.size[1], self.size[0]), np.uint8)
    cv2.fillPoly(lips, [np.round(mouth).astype(np.int32)], 255)
    mask *= 1 - cv2.GaussianBlur(lips, (0, 0), 1.5).astype(np.float32) / 255
    grain: np.ndarray = self.rng.standard_normal((self.size[1], self.size[0]), dtype=np.float32)
    grain = cv2.GaussianBlur(grain, (0, 0), sigmaX=0.6, sigmaY=1.8)
    cover = np.clip(mask * (0.9 + 0.9 * grain), 0, 1) * (
      0.55 + 0.4 * max(look.beard, look.moustache)
    )
    self.mix(cover, look.hair * 0.85 + 6 + 28 * np.clip(grain, -1, 1)[..., None] * 0.4)

  def shade_neck(self) -> None:
    """The chin's shadow."""
    below = self.row - anatomy.JAW_ROW
    shade = ramp(below, -0.5, 2.5) * (1 - 0.8 * ramp(below, 6, 15))
    self.tint(shade * (0.5 + 0.5 * ramp(self.z, -0.4, 0.2)), (0.6, 0.52, 0.5))
