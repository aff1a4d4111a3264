"""A worker for processes of their own that needs no weights: colours are classes."""

import dataclasses
import functools
import time
from unittest import mock

from drawn_scenes import ColorPredictor, models, usual_points

from fmx import FaceMaskExtractor
from fmx.extraction import loop
from fmx.finding.looking import Seen
from fmx.labelling import extractor as module
from fmx.many.worker import Worker
from tfds_300vw.pose import Pose

PLACE = 120.0, 75.0, 56.0  # Of the face: x, y and size in pixels.


def sees_one_face(frames):
  """A finder that sees a face at one place, whatever it is shown."""
  x, y, size = PLACE
  return [[Seen(Pose(x, y, size, 0.0), size * usual_points() + (x, y), 0.9)] for _ in frames]


def extractor():
  """The real one, with those in place of the networks."""
  with mock.patch.object(module, 'Predictor', ColorPredictor):
    return FaceMaskExtractor(models(), finder=sees_one_face, engine='xla')


class SlowWorker(Worker):
  """Takes its time, so that it can be disturbed; its parts are small."""

  def __init__(self, config, shot_frames, seconds=0.1):
    super().__init__(config, shot_frames)
    self._seconds = seconds  # A window.

  @functools.cached_property
  def _extractor(self):
    loop.PART_FRAMES = 10
    return Slow(extractor(), self._seconds)


@dataclasses.dataclass
class Slow:
  """An extractor that waits after each window."""

  extractor: FaceMaskExtractor
  seconds: float

  def windows(self, frames, state=None):
    for window in self.extractor.windows(frames, state):
      time.sleep(self.seconds)
      yield window
