"""Draws training pictures for a finder: at random, and the same ones from the same seed."""

from __future__ import annotations

import collections
import dataclasses
import threading
from collections.abc import Generator, Sequence
from typing import Any

import grain
import numpy as np

from fmx.data.finder_disturbances import disturb
from fmx.data.finder_scenes import Scene, face_matrix, scene, side_by_side, view, without_faces
from fmx.data.finder_targets import targets
from fmx.data.prefetch import prefetch

SMALLEST_FACE = 11.0  # Pixels of the smallest that is drawn on purpose.
LARGEST_FACE = 1.35  # Of the largest, over the shorter side of the picture.
# What pictures are, by how often: one view, a whole frame, several views side by side, no face.
KINDS = {'view': 0.4, 'whole': 0.15, 'mosaic': 0.28, 'none': 0.17}
TURNED = 0.5  # Share of the views that are turned by any angle up to MOST_TURN,
MOST_TURN = np.deg2rad(115)
TURN = np.deg2rad(10)  # and the standard deviation of the others' turn.


class Scenes:
  """The scenes of frames, decoded once and kept while there is room. Threads may share it."""

  def __init__(self, frames: Sequence[Any], *, room: int):
    """Reads nothing yet.

    Args:
      frames: With `image`, `landmarks` and `others`, as `fmx.data.prepared.FrameExamples`.
      room: Bytes that decoded frames may take.
    """
    self._frames, self._room, self._left = frames, room, room
    self._kept: collections.OrderedDict[int, Scene] = collections.OrderedDict()
    self._lock = threading.Lock()

  def __len__(self) -> int:
    return len(self._frames)

  def __getitem__(self, index: int) -> Scene:
    with self._lock:
      if index in self._kept:
        self._kept.move_to_end(index)
        return self._kept[index]
    frame = self._frames[index]
    made = scene(frame.image, frame.landmarks, frame.others)
    with self._lock:
      if index not in self._kept:
        self._kept[index] = made
        self._left -= made.image.nbytes
      while self._left < 0 and len(self._kept) > 1:
        self._left += self._kept.popitem(last=False)[1].image.nbytes
    return made

  def __getstate__(self) -> dict[str, Any]:
    return {'frames': self._frames, 'room': self._room}

  def __setstate__(self, state: dict[str, Any]) -> None:
    Scenes.__init__(self, state['frames'], room=state['room'])


@dataclasses.dataclass(frozen=True)
class Painter:
  """Draws one training picture from a generator of random numbers.

  Attributes:
    side: Of the picture, pixels.
    sources: Scenes to draw from, and how often from each: weights that need not add up to 1.
    backgrounds: Pictures without a face, uint8 [H, W, 3]; may be empty.
  """

  side: int
  sources: tuple[tuple[Scenes, float], ...]
  backgrounds: tuple[np.ndarray, ...] = ()

  def __call__(self, _: Any, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Draws: 'image' uint8 [side, side, 3], and what `targets` gives."""
    made = self.picture(rng)
    image = disturb(made.image, made.faces, rng)
    return {'image': image} | targets(self.side, self.side, made.faces, made.ignored)

  def picture(self, rng: np.random.Generator) -> Scene:
    """Draws a picture before it is disturbed."""
    kind = rng.choice(list(KINDS), p=list(KINDS.values()))
    side = self.side
    if kind == 'mosaic':
      x, y = (round(side * rng.uniform(0.35, 0.65)) for _ in range(2))
      widths, heights = ([x, side - x], [y, side - y])
      alone = rng.random()
      if alone < 0.2:
        widths = [side]
      elif alone < 0.4:
        heights = [side]
      return side_by_side([[self.seen(w, h, rng) for w in widths] for h in heights])
    if kind == 'none':
      return self.empty(side, side, rng)
    return self.seen(side, side, rng, whole=kind == 'whole')

  def seen(
    self, width: int, height: int, rng: np.random.Generator, *, whole: bool = False
  ) -> Scene:
    """A view of a frame: of one of its faces at any size and roll, or of the whole."""
    source = self.draw(rng)
    if source.is_empty:
      return self.empty(width, height, rng)
    face = source.faces[rng.integers(len(source.faces))]
    mirror, turn = rng.random() < 0.5, rng.normal(0, TURN)
    if whole:
      edges = source.image.shape[1::-1]
      scale = min(width / edges[0], height / edges[1]) * rng.uniform(0.7, 1.0)
      middle = np.array([*((np.array(edges) - 1) / 2), 1.0])  # Moved as if it were a face.
      room = np.maximum((width, height) - scale * np.array(edges), 0)
      at = (np.array([width, height]) - 1) / 2 + rng.uniform(-0.5, 0.5, 2) * room
      matrix = face_matrix(
        middle, at=at, size=scale, turn=turn * (rng.random() < 0.5), mirror=mirror
      )
    else:
      if rng.random() < TURNED:
        turn = rng.uniform(-MOST_TURN, MOST_TURN)
      shorter = min(width, height)
      largest = np.log(LARGEST_FACE * shorter)
      size = np.exp(rng.uniform(np.log(SMALLEST_FACE), largest))
      # A small face lies anywhere, a large one about the middle.
      reach = np.maximum(np.array([width, height]) - 0.8 * size, 0.25 * size) / 2
      at = (np.array([width, height]) - 1) / 2 + rng.uniform(-1, 1, 2) * reach
      matrix = face_matrix(face, at=at, size=size, turn=turn, mirror=mirror)
    return view(source, matrix, width, height, background=self.background(width, height, rng))

  def empty(self, width: int, height: int, rng: np.random.Generator) -> Scene:
    """A view of something without a face."""
    part = None
    if self.backgrounds and rng.random() < 0.35:
      image = self.backgrounds[rng.integers(len(self.backgrounds))]
      part = without_faces(Scene(image, np.zeros((0, 13)), np.zeros((0, 4))), rng)
    for _ in range(4):
      if part is None:
        part = without_faces(self.draw(rng), rng)
    if part is None:
      flat = self.background(width, height, rng, plain=True)
      return Scene(flat, np.zeros((0, 13)), np.zeros((0, 4)))
    side = part.image.shape[0]
    scale = max(width, height) / side * rng.uniform(1.0, 1.3)
    middle = np.array([(side - 1) / 2, (side - 1) / 2, 1.0])
    at = (np.array([width, height]) - 1) / 2
    turn = rng.choice([0.0, np.pi / 2, np.pi, -np.pi / 2])
    matrix = face_matrix(middle, at=at, size=scale, turn=turn, mirror=rng.random() < 0.5)
    plain = self.background(width, height, rng, plain=True)
    return view(part, matrix, width, height, background=plain)

  def draw(self, rng: np.random.Generator) -> Scene:
    """One of the frames."""
    weights = np.array([weight for _, weight in self.sources])
    scenes = self.sources[rng.choice(len(weights), p=weights / weights.sum())][0]
    return scenes[int(rng.integers(len(scenes)))]

  def background(
    self, width: int, height: int, rng: np.random.Generator, *, plain: bool = False
  ) -> np.ndarray:
    """What lies around a frame: black as a letter box, a colour, noise, or something seen."""
    kind = rng.random()
    if kind < 0.45 or (plain and kind < 0.7):
      return np.zeros((height, width, 3), np.uint8)
    if kind < 0.65 or plain:
      return np.full((height, width, 3), rng.integers(0, 256, 3), np.uint8)
    if kind < 0.72:
      return rng.integers(0, 256, (height, width, 3), np.uint8)
    return self.empty(width, height, rng).image


def batches(
  painter: Painter,
  *,
  batch_size: int,
  num_devices: int,
  seed: int,
  steps: int,
  start_step: int = 0,
  workers: int = 0,
) -> Generator[dict[str, np.ndarray], None, None]:
  """Yields batches [D, B, …] of what the painter draws, from the step `start_step` on.

  Step n is the same whether or not the steps before it were drawn.

  Args:
    painter: Draws.
    batch_size: Pictures of a step, over all devices.
    num_devices: D.
    seed: Of all pictures.
    steps: Of the whole training.
    start_step: Steps already taken.
    workers: Processes that draw; 0 uses threads of this one.

  Raises:
    ValueError: the batch does not divide over the devices.
  """
  if batch_size < 1 or batch_size % num_devices:
    raise ValueError(
      f'A batch of {batch_size} does not divide over {num_devices} devices: set a multiple.'
    )
  drawn = (
    grain.MapDataset.range(steps * batch_size)
    .seed(seed)
    .random_map(painter)
    .batch(batch_size // num_devices, drop_remainder=True)
    .batch(num_devices, drop_remainder=True)
    .slice(slice(start_step, None))
  )
  return prefetch(drawn, workers)
