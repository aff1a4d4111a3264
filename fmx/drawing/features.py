"""Draws eyes and mouth exactly inside the outlines that the landmarks' splines make."""

from typing import Any

import cv2
import numpy as np

from fmx.drawing import canvas
from fmx.drawing import head as head_lib
from fmx.drawing.raster import Surface
from fmx.drawing.scene import Light, Person, View

_EYEBALL = 0.118  # Radius, head units.
_IRIS = 0.058
_ZERO: Any = 0  # cv2's own types forget that `cv2.max` takes a number too.


def draw_eye(
  image: np.ndarray,
  person: Person,
  view: View,
  surface: Surface,
  light: Light,
  first: int,
) -> None:
  """Draws the eye whose landmarks start at `first` (36 or 42), in place."""
  polygon = view.outlines[1 if first == 36 else 2]
  patch = canvas.Patch(image, polygon, view.moment.scale, 0.09)
  if patch.empty:
    return
  side = -1 if first == 36 else 1
  tone = light.on(view.turn @ np.array([0.25 * side, 0.05, 0.95]))
  visible = patch.visible(surface, view.points[[first, first + 3]], 0.03)
  ball = _eyeball(patch, person, view, light, tone, side, polygon)
  patch.put(image, ball, patch.mask([polygon]), visible)
  _draw_lids(image, patch, person, view, tone, first, visible)


def _eyeball(
  patch: canvas.Patch,
  person: Person,
  view: View,
  light: Light,
  tone: np.ndarray,
  side: int,
  polygon: np.ndarray,
) -> np.ndarray:
  """White, iris and pupil without lids, zoomed: uint8 [h, w, 3]."""
  scale = view.moment.scale * patch.factor
  white = np.array([232, 226, 220]) * (0.3 + 0.62 * tone)
  ball = patch.blank(white)
  # The white is darker and redder at both corners.
  for corner in patch.zoom(polygon[[0, len(polygon) // 2]]):
    canvas.ellipse(ball, corner, (0.05 * scale,) * 2, 0, white * [0.82, 0.66, 0.62])
  iris = _draw_iris(ball, patch, person, view, tone, side)
  odd = 2 * int(0.02 * scale) + 1
  ball = cv2.blur(ball, (odd, odd))
  # The upper lid's shadow falls on the ball.
  top = patch.zoom(polygon[: len(polygon) // 2 + 1])
  shade = canvas.lines(patch.zoomed, [top], 140, 0.045 * scale)
  odd = 2 * int(0.025 * scale) + 1
  shade = cv2.cvtColor(255 - cv2.blur(shade, (odd, odd)), cv2.COLOR_GRAY2RGB)
  ball = cv2.multiply(ball, shade, scale=1 / 255)
  glint = iris + light.direction[:2] * _IRIS * 0.5 * scale
  canvas.ellipse(ball, glint, (0.013 * scale,) * 2, 0, (0.4 + 0.6 * tone) * 250)
  return ball


def _draw_iris(
  ball: np.ndarray,
  patch: canvas.Patch,
  person: Person,
  view: View,
  tone: np.ndarray,
  side: int,
) -> np.ndarray:
  """Draws iris and pupil where the eye looks; their centre in the zoomed patch."""
  scale = view.moment.scale * patch.factor
  first = 36 if side < 0 else 42
  socket = person.head.landmarks[first : first + 6].mean(0) - [0, 0, _EYEBALL * 0.92]
  right, down = view.moment.gaze
  axis = (view.turn @ head_lib.rotation(right, down, 0))[:, 2]
  center = view.turn @ (socket - head_lib.PIVOT) + axis * _EYEBALL
  center = head_lib.to_image(center[None], view.moment.scale, view.moment.origin)
  center = patch.zoom(center[0, :2])
  angle = np.degrees(np.arctan2(axis[1], axis[0]))
  color = person.look.eyes * (0.3 + 0.75 * tone)
  for size, strength in ((1.0, 0.3), (0.88, 0.85), (0.72, 1.1), (0.55, 1.3), (0.42, 0.0)):
    radius = _IRIS * size * scale
    canvas.ellipse(ball, center, (radius * max(axis[2], 0.25), radius), angle, color * strength + 4)
  return center


def _draw_lids(
  image: np.ndarray,
  patch: canvas.Patch,
  person: Person,
  view: View,
  tone: np.ndarray,
  first: int,
  visible: np.ndarray,
) -> None:
  """Lashes on the upper lid, a moist rim on the lower one."""
  look, scale = person.look, view.moment.scale * patch.factor
  upper = patch.zoom(canvas.cubic(view.landmarks[first : first + 4]))
  lower = patch.zoom(canvas.cubic(view.landmarks[[first + 3, first + 4, first + 5, first]]))
  layer = canvas.lines(patch.zoomed, [upper], 220, (0.015 + 0.012 * look.makeup) * scale)
  canvas.lines(layer, [lower], 80, 0.012 * scale)
  roots = upper[2:-2:2]
  # Lashes fan out, longer towards the temple.
  outwards = np.linspace(1, -0.3, len(roots)) if first == 36 else np.linspace(-0.3, 1, len(roots))
  lean = np.stack([(-1 if first == 36 else 1) * 0.7 * outwards, -0.9 + 0 * outwards], 1)
  length = (0.024 + 0.03 * look.makeup) * (0.6 + 0.4 * outwards) * scale
  canvas.lines(layer, np.stack([roots, roots + lean * length[:, None]], 1), 150, 1)
  patch.put(image, (look.hair * 0.25 + 10) * tone, layer, visible)


def draw_mouth(
  image: np.ndarray, person: Person, view: View, surface: Surface, lit: np.ndarray
) -> None:
  """Draws the lips, and teeth and tongue between them, in place."""
  outer, inner = view.outlines[3:]
  patch = canvas.Patch(image, outer, view.moment.scale, 0.06)
  if patch.empty:
    return
  scale = view.moment.scale * patch.factor
  visible = patch.visible(surface, view.points[[48, 54]], 0.13)
  light = patch.take(surface, lit)
  mean_light = light.mean((0, 1))
  hole, flesh = patch.mask([inner]), patch.mask([outer, inner])
  patch.put(image, _lips(person, flesh, light, scale), patch.mask([outer]), visible)
  seam = canvas.lines(patch.zoomed, [inner], 150, 0.01 * scale, closed=True)
  patch.put(image, person.look.lips * 0.3 * mean_light, cv2.min(seam, patch.mask([outer])), visible)
  gap = np.linalg.norm(view.landmarks[66] - view.landmarks[62]) / view.moment.scale
  if gap > 0.02:
    mean_light = mean_light * np.clip(gap / 0.08, 0.6, 1)  # Lips shade a narrow opening.
    patch.put(image, _inside(patch, person, view, mean_light), hole, visible)
  else:
    patch.put(image, np.array([60, 24, 24]) * mean_light, hole, visible)


def _lips(person: Person, flesh: np.ndarray, light: np.ndarray, scale: float) -> np.ndarray:
  """Lip colour, domed by the slope of the blurred flesh: uint8 [h, w, 3], zoomed."""
  odd = 2 * int(0.035 * scale) + 1
  height = cv2.blur(cv2.blur(flesh, (odd, odd)).astype(np.float32) / 255, (odd, odd))
  slope = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3) * np.float32(0.022 * scale / 8)
  tone = 0.84 + 1.3 * slope
  gleam = np.clip(slope - 0.05, 0, 1) * np.float32(170 * (0.5 + person.look.makeup))
  light = cv2.resize(light * person.look.lips, flesh.shape[::-1])
  shade = cv2.multiply(light, cv2.merge([tone] * 3))
  return cv2.convertScaleAbs(cv2.max(cv2.add(shade, cv2.merge([gleam] * 3)), _ZERO))


def _inside(patch: canvas.Patch, person: Person, view: View, tone: np.ndarray) -> np.ndarray:
  """Teeth, tongue and the dark behind them: uint8 [h, w, 3], zoomed."""
  cave = patch.blank(np.array([58, 22, 22]) * tone)
  rest = person.head.landmarks
  dropped = view.rest[66] - rest[66]
  x = np.linspace(-0.17, 0.17, 13) * person.head.shape.mouth_width
  arch = rest[62, 2] - 0.06 - 1.6 * x**2

  def teeth(top: float, bottom: float, color: np.ndarray, offset: np.ndarray) -> None:
    edges = [np.column_stack([x, y + 0 * x, arch]) + offset for y in (top, bottom)]
    low, high = (patch.zoom(view.project(edge)[:, :2]) for edge in edges)
    canvas.fill(cave, np.concatenate([low, high[::-1]]), color * tone)
    gaps = canvas.fixed(np.stack([low, high], 1))
    cv2.polylines(cave, list(gaps), False, canvas.scalar(color * tone * 0.8), 1, cv2.LINE_AA, 4)

  ivory = np.array([226, 218, 200])
  tongue = view.project((rest[66] + dropped + [0, 0.03, -0.12])[None])[0, :2]
  size = np.array([0.13, 0.055]) * view.moment.scale * patch.factor
  canvas.ellipse(cave, patch.zoom(tongue), size, 0, np.array([150, 72, 72]) * tone)
  teeth(rest[66, 1] + 0.005, rest[66, 1] + 0.06, ivory * 0.75, dropped)
  cave = cv2.blur(cave, (5, 5))
  teeth(rest[62, 1] - 0.08, rest[62, 1] + 0.05, ivory, np.zeros(3))
  shadow: np.ndarray = (140 + 115 * np.linspace(0, 1, len(cave)) ** 0.7).astype(np.uint8)
  shadow = cv2.merge([np.repeat(shadow[:, None], cave.shape[1], 1)] * 3)
  return cv2.multiply(cave, shadow, scale=1 / 255)
