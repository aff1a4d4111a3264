"""How a drawn person moves before a camera: pose, gaze, blinks, speech, light."""

import numpy as np

from fmx.drawing import head as head_lib
from fmx.drawing.scene import Light, Moment

_FACE_HEIGHT = 1.2  # Brows to chin, head units.
_MAX_YAW, _MAX_PITCH, _MAX_ROLL = 48.0, 20.0, 22.0  # Degrees.


class Motion:
  """All moments of one video.

  Attributes:
    moments: One for each frame.
    lights: One for each frame.
    camera: [T, 3]: how far the camera has moved right and down (share of the height), and its roll
      (degrees).
  """

  def __init__(
    self, rng: np.random.Generator, num_frames: int, frame_rate: float, height: int, width: int
  ):
    self._rng = rng
    self._time = np.arange(num_frames) / frame_rate
    self._frame_rate = frame_rate
    angles = self._angles()
    expression, lids = self._expression(), self._blinks()
    gaze = self._gaze() - 0.25 * (angles[:, :2] - angles[:, :2].mean(0)) * [1, 1]
    gaze = np.clip(gaze, [-24, -13], [24, 13])
    # The upper lid follows the eye up and down, and smiles narrow it.
    lids = lids * (1 - 0.012 * gaze[:, 1:] - 0.16 * expression[:, 1:3].clip(0, 1))
    self.camera = self._camera()
    scale, origin = self._place(angles, height, width)
    body = angles * [0.3, 0.15, 0.2] + self.wave(0.05, 0.4, 3.0)[:, None]
    self.moments = [
      Moment(expression[t], lids[t], gaze[t], angles[t], body[t], scale[t], origin[t])
      for t in range(num_frames)
    ]
    self.lights = self._lights()

  def wave(self, low: float, high: float, amplitude: float) -> np.ndarray:
    """Smooth random motion [T]: sines between two frequencies (Hz), of deviation `amplitude`."""
    frequency = np.exp(self._rng.uniform(np.log(low), np.log(high), 5))
    phase = self._rng.uniform(0, 2 * np.pi, 5)
    strength = frequency**-0.6
    strength /= np.sqrt((strength**2).sum() / 2)
    return amplitude * (
      strength @ np.sin(2 * np.pi * frequency[:, None] * self._time + phase[:, None])
    )

  def _angles(self) -> np.ndarray:
    """Yaw, pitch and roll, [T, 3] degrees."""
    rng = self._rng
    lively = rng.gamma(2.0, 0.5)
    yaw = rng.normal(0, 14) + self.wave(0.08, 0.6, min(4 + 11 * lively, 30))
    pitch = rng.normal(0, 4) + self.wave(0.1, 0.8, 2 + 3 * lively)
    roll = rng.normal(0, 3) + self.wave(0.06, 0.5, 1.5 + 3 * lively)
    for start, length in self._events(0.12, 0.5, 1.3):  # Nods and head shakes.
      inside = self._bell(start, length)
      swing = inside * np.sin(2 * np.pi * rng.uniform(1.2, 2.2) * (self._time - start))
      if rng.random() < 0.5:
        yaw = yaw + rng.uniform(6, 14) * swing
      else:
        pitch = pitch + rng.uniform(4, 9) * swing
    angles = np.stack([yaw, pitch, roll], axis=1)
    limits = np.array([_MAX_YAW, _MAX_PITCH, _MAX_ROLL])
    angles = limits * np.tanh(angles / limits)
    # Far to the side and far up or down at once would hide the very parts that are to be learnt.
    angles[:, 1] *= 1 - 0.6 * (np.abs(angles[:, 0]) / _MAX_YAW) ** 2
    return angles

  def _expression(self) -> np.ndarray:
    """[T, len(EXPRESSIONS)]."""
    rng, time = self._rng, self._time
    jaw = np.zeros_like(time)
    pucker, upper_lip = np.zeros_like(time), np.zeros_like(time)
    loud = rng.uniform(0.12, 0.45)
    for start, length in self._events(rng.choice([0.05, 0.35]), 0.8, 3.0):
      envelope = self._bell(start, length) ** 0.3
      # Syllables: the phase runs at 3 to 6 Hz and wavers.
      phase = 2 * np.pi * rng.uniform(3, 5) * time + 2.5 * self.wave(0.5, 1.5, 0.5)
      open_mouth = (0.5 + 0.5 * np.sin(phase)) * (0.75 + 0.35 * self.wave(0.8, 2, 0.6))
      jaw = np.maximum(jaw, envelope * loud * np.clip(open_mouth, 0, 1.6))
      pucker = np.maximum(pucker, envelope * np.clip(self.wave(1, 3, 0.45), 0, 0.9))
      upper_lip = np.maximum(upper_lip, envelope * np.clip(self.wave(1, 3, 0.4), 0, 0.8))
    for start, length in self._events(0.04, 0.8, 2.0):  # Yawns, shouts, laughs.
      jaw = np.maximum(jaw, rng.uniform(0.5, 0.95) * self._bell(start, length))
    smile = np.clip(rng.normal(0, 0.15) + self.wave(0.05, 0.3, 0.1), 0, 0.5)
    for start, length in self._events(0.15, 1.0, 3.0):
      smile = np.maximum(smile, rng.uniform(0.4, 1.0) * self._bell(start, length) ** 0.5)
    upper_lip = np.maximum(upper_lip, smile * rng.uniform(0, 0.9))
    crooked = 0.12 * self.wave(0.05, 0.3, 1.0)
    raised, uneven = self._raised_brows(), 0.12 * self.wave(0.05, 0.4, 1.0)
    frown = np.clip(self.wave(0.05, 0.4, 0.35), 0, 1)
    jaw = np.clip(jaw + 0.06 * smile * rng.uniform(0, 2.5), 0, 1)
    pucker = pucker * (1 - smile) * (1 - jaw)
    return np.stack(
      [
        jaw,
        smile + crooked,
        smile - crooked,
        pucker,
        raised + uneven,
        raised - uneven,
        frown,
        upper_lip,
      ],
      axis=1,
    )

  def _raised_brows(self) -> np.ndarray:
    raised = self.wave(0.05, 0.5, 0.12)
    for start, length in self._events(0.15, 0.4, 1.2):
      raised = np.maximum(raised, self._rng.uniform(0.4, 1.0) * self._bell(start, length) ** 0.5)
    return np.clip(raised, -0.3, 1.1)

  def _blinks(self) -> np.ndarray:
    """Openness of both eyes, [T, 2]: blinks close them fast and open them slower."""
    rng, time = self._rng, self._time
    rest = rng.uniform(0.82, 1.06) + self.wave(0.05, 0.4, 0.04)
    lids = np.stack([rest, rest], axis=1)
    for start, _ in self._events(0.42, 0.2, 0.3):
      since = time - start
      close, stay = rng.uniform(0.06, 0.1), rng.uniform(0.03, 0.12)
      shut = np.clip(since / close, 0, 1) - np.clip((since - close - stay) / (1.6 * close), 0, 1)
      # Some are winks.
      eyes = [[1, 1], [1, 0], [0, 1]][rng.choice(3, p=[0.94, 0.03, 0.03])]
      lids *= 1 - shut[:, None] ** 1.3 * eyes
    for start, length in self._events(0.03, 0.6, 1.6):  # Eyes closed for a while.
      lids *= 1 - np.clip(self._bell(start, length) * 4, 0, 1)[:, None]
    return lids

  def _gaze(self) -> np.ndarray:
    """Jumps between points and rests there, [T, 2] degrees."""
    rng = self._rng
    gaze = np.zeros((len(self._time), 2))
    start = 0.0
    while start < (self._time[-1] if len(self._time) else 0) + 1e-9:
      gaze[self._time >= start] = rng.normal(0, [9, 4])
      start += rng.uniform(0.3, 2.0)
    return gaze

  def _camera(self) -> np.ndarray:
    """[T, 3]; a tripod, or a hand that trembles, now and then jolted."""
    rng = self._rng
    shaky = rng.choice([0.0, 1.0], p=[0.4, 0.6]) * rng.uniform(0.3, 1.5)
    camera = np.stack(
      [self.wave(0.08, 0.5, 0.012 * shaky) + self.wave(1, 4, 0.003 * shaky) for _ in range(2)]
      + [self.wave(0.1, 1, 1.2 * shaky)],
      axis=1,
    )
    for start, length in self._events(0.08 * shaky, 0.2, 0.5):
      camera[:, :2] += self._bell(start, length)[:, None] * rng.normal(0, 0.03, 2)
    return camera

  def _place(self, angles: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels per head unit [T] and origin [T, 2] (pixels), so that the face stays in view."""
    rng = self._rng
    share = rng.uniform(0.36, 0.66)
    scale = share * min(height, 1.15 * width) / _FACE_HEIGHT
    scale = scale * (1 + np.clip(self.wave(0.05, 0.3, 0.035), -0.06, 0.06))
    scale = scale * (1 + 0.07 * np.tanh(self.wave(0.03, 0.15, 0.8)))
    room = np.array([width, height]) * (0.5 - 0.5 * share)
    drift = np.stack([self.wave(0.05, 0.35, 0.16), self.wave(0.05, 0.35, 0.12)], axis=1)
    drift = np.clip(rng.normal(0, [0.22, 0.14]) + drift, -0.6, 0.6) * room
    face = np.array([0, 0.36, 0.5], np.float32)[None]
    shown = np.stack(
      [
        head_lib.project(face, head_lib.rotation(*a), s, np.zeros(2))[0, :2]
        for a, s in zip(angles, scale, strict=True)
      ]
    )
    # Most of what a turn of the head moves is held by the frame, the rest is seen.
    origin = np.array([width, height]) * [0.5, 0.51] + drift - 0.75 * shown
    return scale, origin - self.camera[:, :2] * height

  def _lights(self) -> list[Light]:
    rng = self._rng
    side, up = rng.normal(0, 0.55), rng.normal(0.45, 0.25)
    warmth = rng.normal(0, 0.09)
    tint = np.array([1 + warmth, 1.0, 1 - warmth])
    share = rng.uniform(0.45, 0.78)  # Of the lamp.
    level = rng.uniform(1.0, 1.32)
    cool = np.array([1 - warmth * 0.8, 1.0, 1 + warmth * 0.8])
    turn, pulse = self.wave(0.03, 0.2, 0.15), 1 + self.wave(0.1, 1.0, 0.03)
    lights = []
    for t in range(len(self._time)):
      direction = np.array([side + turn[t], -up, 0.75])
      direction /= np.linalg.norm(direction)
      strength = level * pulse[t]
      lights.append(
        Light(direction, strength * share * tint * 1.1, strength * (1.08 - share) * cool)
      )
    return lights

  def _events(self, rate: float, shortest: float, longest: float) -> list[tuple[float, float]]:
    """Start and length (s) of events that come at random, `rate` per second."""
    if not len(self._time):
      return []
    total = self._time[-1] + 1 / self._frame_rate
    count = self._rng.poisson(rate * total)
    start = self._rng.uniform(-0.3, total, count)
    return list(zip(start, self._rng.uniform(shortest, longest, count), strict=True))

  def _bell(self, start: float, length: float) -> np.ndarray:
    """Rises from 0 to 1 and back within an event, [T]."""
    part = np.clip((self._time - start) / length, 0, 1)
    return np.sin(np.pi * part) ** 2
