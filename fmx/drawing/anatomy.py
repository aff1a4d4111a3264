"""The form of a drawn head at rest: how people differ, the mesh, and the 68 landmarks.

Head coordinates: x to the right of the image, y down, z towards the camera. The unit is half a
head's height, with y = 0 between the eyes and the chin near y = 1. The mesh is a grid: columns are
azimuths around the head, rows run from the crown to the jaw and on, under the chin, to the bottom
of the neck.
"""

import dataclasses

import numpy as np
import numpy.typing as npt
from scipy import interpolate

JAW_ROW = 70  # The row that is the jaw line.
NUM_NECK_ROWS = 18
NUM_ROWS = JAW_ROW + 1 + NUM_NECK_ROWS
NUM_COLUMNS = 81
_CROWN, _TEMPLE = -1.0, -0.25  # y where the skull ends and where it is widest.
_SKULL_ROWS = 0.33  # Share of the rows above the temple.

# Right half (of the image) of an average face; nose, lips and jaw are mirrored from it. x, y.
_BROW = ((0.104, -0.155), (0.213, -0.2), (0.333, -0.213), (0.445, -0.185), (0.525, -0.105))
_NOSE_RIDGE = ((0, -0.02), (0, 0.105), (0, 0.225), (0, 0.33))
_NOSTRILS = ((0, 0.44), (0.062, 0.428), (0.122, 0.405))
_EYE = (
  (0.16, 0.016),
  (0.232, -0.046),
  (0.322, -0.05),
  (0.398, -0.002),
  (0.324, 0.036),
  (0.238, 0.038),
)
_OUTER_LIP = (
  (0, 0.561),
  (0.055, 0.55),
  (0.143, 0.576),
  (0.232, 0.625),
  (0.143, 0.69),
  (0.06, 0.718),
  (0, 0.724),
)
_INNER_LIP = ((0, 0.617), (0.068, 0.611), (0.198, 0.624), (0.068, 0.629), (0, 0.633))
# The jaw line: azimuth in degrees, then x, y, z.
_JAW = (
  (0, 0, 0.97, 0.8),
  (12, 0.144, 0.947, 0.775),
  (24, 0.27, 0.868, 0.68),
  (38, 0.385, 0.765, 0.5),
  (52, 0.475, 0.64, 0.33),
  (66, 0.54, 0.5, 0.17),
  (82, 0.578, 0.42, 0.02),
  (105, 0.56, 0.38, -0.16),
  (152, 0.3, 0.36, -0.62),
)
_WIDTH = (
  (_TEMPLE, 0.655),
  (0, 0.64),
  (0.17, 0.628),
  (0.33, 0.605),
  (0.5, 0.56),
  (0.7, 0.47),
  (1.0, 0.34),
)
_DEPTH = ((_TEMPLE, 0.8), (0, 0.765), (0.2, 0.78), (0.4, 0.81), (0.6, 0.83), (0.8, 0.8), (1.0, 0.8))
_BACK = ((_TEMPLE, 0.88), (0.1, 0.85), (0.35, 0.68), (1.0, 0.5))
_RIDGE = (
  (-0.2, 0),
  (-0.04, 0.03),
  (0.1, 0.075),
  (0.22, 0.14),
  (0.31, 0.195),
  (0.36, 0.19),
  (0.4, 0.135),
  (0.435, 0.06),
  (0.47, 0.015),
  (0.52, 0),
)


@dataclasses.dataclass(frozen=True)
class Shape:
  """How a head differs from the average one; 1 is average for factors, 0 for the others."""

  width: float = 1.0
  jaw_width: float = 1.0
  chin: float = 0.0
  nose_length: float = 1.0
  nose_width: float = 1.0
  nose_height: float = 1.0
  eye_size: float = 1.0
  eye_width: float = 1.0
  eye_distance: float = 0.0
  eye_tilt: float = 0.0
  brow_height: float = 0.0
  brow_tilt: float = 0.0
  lip_thickness: float = 1.0
  mouth_width: float = 1.0
  mouth_height: float = 0.0
  cheekbones: float = 1.0
  brow_ridge: float = 1.0
  neck_width: float = 1.0

  @classmethod
  def sample(cls, rng: np.random.Generator) -> 'Shape':
    """Draws a plausible head."""
    spread = {
      'width': 0.035,
      'jaw_width': 0.055,
      'chin': 0.025,
      'nose_length': 0.07,
      'nose_width': 0.12,
      'nose_height': 0.13,
      'eye_size': 0.15,
      'eye_width': 0.045,
      'eye_distance': 0.01,
      'eye_tilt': 0.012,
      'brow_height': 0.018,
      'brow_tilt': 0.015,
      'lip_thickness': 0.24,
      'mouth_width': 0.07,
      'mouth_height': 0.014,
      'cheekbones': 0.5,
      'brow_ridge': 0.45,
      'neck_width': 0.08,
    }
    draws = np.clip(rng.standard_normal(len(spread)), -1.8, 1.8)
    return cls(
      **{n: float(getattr(cls, n) + s * d) for (n, s), d in zip(spread.items(), draws, strict=True)}
    )


def landmarks_at_rest(shape: Shape) -> np.ndarray:
  """The 68 landmarks of the front view, [68, 2], in head coordinates."""
  jaw = _jaw_curve(shape)(np.abs(azimuths_of_jaw_landmarks()))[:, :2]
  jaw[[0, 16]], jaw[[1, 15]], jaw[[2, 14]] = (
    (0.618 * shape.width, 0.01),
    (0.607 * shape.width, 0.17),
    (0.585 * shape.width * (1 + shape.jaw_width) / 2, 0.33),
  )
  jaw[:8, 0] *= -1
  brow = np.array(_BROW) + [[0, shape.brow_height]]
  brow[:, 1] += shape.brow_tilt * (brow[:, 0] - 0.3) / 0.2
  ridge = np.array(_NOSE_RIDGE) * [1, shape.nose_length]
  nostrils = np.array(_NOSTRILS) * [shape.nose_width, shape.nose_length]
  eye = np.array(_EYE)
  center = eye[[0, 3]].mean(0)
  eye = (eye - center) * [shape.eye_width, shape.eye_size] + center
  eye += [shape.eye_distance, 0]
  eye[:, 1] -= shape.eye_tilt * (eye[:, 0] - center[0]) / 0.12
  outer, inner = np.array(_OUTER_LIP), np.array(_INNER_LIP)
  for lips in (outer, inner):
    lips[:, 1] = (lips[:, 1] - 0.625) * shape.lip_thickness + 0.625 + shape.mouth_height
    lips[:, 0] *= shape.mouth_width
  # The seam between the lips stays closed however thick they are.
  inner[:, 1] = np.array(_INNER_LIP)[:, 1] + shape.mouth_height
  m = np.array([-1, 1])
  return np.concatenate(
    [
      jaw,
      brow[::-1] * m,
      brow,
      ridge,
      nostrils[:0:-1] * m,
      nostrils,
      eye[[3, 2, 1, 0, 5, 4]] * m,
      eye,
      outer[3:0:-1] * m,
      outer,
      outer[5:3:-1] * m,
      inner[2:0:-1] * m,
      inner[:3],
      inner[3:],
      inner[3:4] * m,
    ]
  )


def azimuths() -> np.ndarray:
  """Degrees of the columns: finer in front, where nose and mouth are."""
  s = np.linspace(-1, 1, NUM_COLUMNS)
  return 150 * (0.55 * s + 0.45 * s**3)


def azimuths_of_jaw_landmarks() -> np.ndarray:
  """Degrees around the head of the 17 landmarks of the jaw."""
  half = np.array([12, 24, 38, 52, 66, 78, 80, 81])
  return np.concatenate([-half[::-1], [0], half])


def _jaw_curve(shape: Shape) -> interpolate.PchipInterpolator:
  table = np.array(_JAW)
  curve = table[:, 1:].copy()
  front = np.clip(curve[:, 1] - 0.36, 0, None)
  curve[:, 0] *= shape.width * (1 + (shape.jaw_width - 1) * np.minimum(front / 0.2, 1))
  curve[:, 1] += shape.chin * front / 0.6
  return interpolate.PchipInterpolator(table[:, 0], curve)


def _profile(table: npt.ArrayLike) -> interpolate.PchipInterpolator:
  y, value = np.array(table).T
  return interpolate.PchipInterpolator(y, value, extrapolate=True)


def smoothstep(x: np.ndarray, low: float, high: float) -> np.ndarray:
  """0 below `low`, 1 above `high`, smooth between."""
  t = np.clip((x - low) / (high - low), 0, 1)
  return t * t * (3 - 2 * t)


def vertices(shape: Shape, azimuth: np.ndarray) -> np.ndarray:
  """The mesh at rest, [rows, columns, 3]."""
  a = np.radians(azimuth)[None]
  jaw = _jaw_curve(shape)(np.abs(azimuth))
  jaw[:, 0] *= np.sign(azimuth)
  t = np.linspace(0, 1, JAW_ROW + 1)[:, None]
  up = np.minimum(t / _SKULL_ROWS, 1) * np.pi / 2
  down = np.clip((t - _SKULL_ROWS) / (1 - _SKULL_ROWS), 0, 1)
  y = _TEMPLE + (_CROWN - _TEMPLE) * np.cos(up) + (jaw[None, :, 1] - _TEMPLE) * down
  dome = np.sin(up) ** 0.85
  width = _profile(_WIDTH)(np.maximum(y, _TEMPLE)) * dome * shape.width
  depth = np.where(
    np.cos(a) > 0,
    _profile(_DEPTH)(np.maximum(y, _TEMPLE)),
    _profile(_BACK)(np.maximum(y, _TEMPLE)),
  )
  head = np.stack([width * np.sin(a), y, depth * dome * np.cos(a)], axis=2)
  # Lower rows bend until the last one is the jaw line.
  head += (jaw - head[-1])[None] * (smoothstep(t, 0.45, 1) ** 2)[..., None]
  _raise_features(head, shape)
  return np.concatenate([head, _neck(head[-1], a[0], shape)])


def _neck(jaw: np.ndarray, a: np.ndarray, shape: Shape) -> np.ndarray:
  """The rows under the chin and down the neck, [rows, columns, 3]."""
  s = np.linspace(0, 1, NUM_NECK_ROWS + 1)[1:, None]
  inward = smoothstep(s, 0, 0.4)[..., None]
  drop = 0.1 + 1.3 * np.clip(s - 0.3, 0, None) / 0.7
  wide = (0.4 + 0.13 * smoothstep(s, 0.7, 1)) * shape.neck_width
  ring = np.stack(
    [
      wide * np.sin(a),
      jaw[:, 1] * (1 - s) + 0.9 * s + drop,
      -0.16 + 0.4 * np.cos(a) + 0 * s - 0.1 * s,
    ],
    axis=2,
  )
  return jaw[None] * (1 - inward) + ring * inward


def _raise_features(head: np.ndarray, shape: Shape) -> None:
  """Adds nose, eye sockets, lips and so on to the smooth head, in place."""
  x, y, z = np.moveaxis(head.copy(), 2, 0)
  front = (z > 0.1).astype(float)

  def bump(x0: float, y0: float, sx: float, sy: float, power: float = 2.0) -> np.ndarray:
    return front * np.exp(
      -(np.abs((np.abs(x) - x0) / sx) ** power) / 2 - np.abs((y - y0) / sy) ** power / 2
    )

  length = shape.nose_length
  table = np.array(_RIDGE) * [length, shape.nose_height]
  ridge = np.where((y > -0.2) & (y < 0.52), _profile(table)(np.clip(y, *table[[0, -1], 0])), 0)
  half_width = np.interp(y, [-0.05, 0.1, 0.25, 0.34 * length], [0.07, 0.062, 0.066, 0.076])
  dz = ridge * front * np.exp(-(np.abs(x / (half_width * shape.nose_width)) ** 2.0) * 0.7)
  dz += 0.03 * bump(0, 0.335 * length, 0.05, 0.045)  # The tip, then the wings.
  dz += 0.08 * bump(0.098 * shape.nose_width, 0.385 * length, 0.032, 0.04)
  dz -= 0.062 * bump(0.255, -0.01, 0.13, 0.085)  # Eye sockets, and the eyeballs in them.
  dz += 0.05 * bump(0.285 + shape.eye_distance, 0.0, 0.085, 0.06)
  dz += 0.035 * shape.brow_ridge * bump(0.27, -0.17, 0.17, 0.05)
  dz += 0.03 * shape.cheekbones * bump(0.4, 0.2, 0.1, 0.09)
  lip_y = 0.625 + shape.mouth_height
  thick = shape.lip_thickness
  dz += 0.045 * bump(0, lip_y, 0.17, 0.11)  # Over the teeth, then each lip.
  dz += 0.028 * thick * bump(0, lip_y - 0.035 * thick, 0.12, 0.022 * thick)
  dz += 0.035 * thick * bump(0, lip_y + 0.055 * thick, 0.1, 0.026 * thick)
  dz -= 0.014 * bump(0, 0.5, 0.016, 0.035)  # Philtrum.
  dz -= 0.035 * bump(0, lip_y + 0.155, 0.14, 0.035)
  dz += 0.05 * bump(0, 0.88 + shape.chin, 0.12, 0.06)
  head[..., 2] += dz
  head[..., 0] += np.sign(x) * 0.018 * shape.cheekbones * bump(0.5, 0.17, 0.12, 0.1)
