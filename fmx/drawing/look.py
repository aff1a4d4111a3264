"""How drawn people look: colours, age, hair, beard, glasses."""

import dataclasses

import numpy as np

# sRGB from very light to very dark.
_SKIN_TONES = np.array(
  [
    [238, 205, 184],
    [229, 186, 158],
    [216, 168, 136],
    [196, 145, 112],
    [164, 113, 82],
    [134, 90, 66],
    [104, 70, 54],
    [82, 56, 46],
  ],
  np.float32,
)
_HAIR_TONES = np.array(
  [
    [22, 18, 17],
    [38, 27, 22],
    [62, 42, 30],
    [94, 64, 42],
    [136, 98, 62],
    [184, 148, 100],
    [124, 62, 34],
    [120, 118, 116],
    [205, 202, 198],
  ],
  np.float32,
)
_EYE_TONES = np.array(
  [[62, 40, 26], [88, 58, 34], [108, 92, 52], [84, 108, 84], [88, 118, 146], [110, 124, 136]],
  np.float32,
)
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


def _between(table: np.ndarray, position: float) -> np.ndarray:
  low = int(position)
  return table[low] * (1 - position + low) + table[low + 1] * (position - low)
