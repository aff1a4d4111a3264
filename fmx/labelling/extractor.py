"""From the frames of a video to their masks, window by window, in constant memory."""

import copy
import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fmx import pretrained
from fmx import weights as weights_folder
from fmx.finding.cuts import CutDetector
from fmx.finding.detection import FaceDetector
from fmx.finding.tracking import FaceTracker, Track
from fmx.labelling import frame_masks
from fmx.labelling.faces import FaceState, label_faces
from fmx.labelling.frame_masks import FrameMasks
from fmx.labelling.predictor import STATES, Predictor, check_windows
from fmx.labelling.zoom import PARTS

SETTLING = 2  # Looks at the first frame of a new face, before its box is fixed for a window.


@dataclasses.dataclass(frozen=True)
class ExtractionState:
  """All that is needed to go on with a video from a frame on; can be pickled.

  Attributes:
    next_index: Place in the video of the frame to go on with, from 0.
    size: Height and width of the frames, in pixels.
    tracker: Where the faces are.
    cuts: What the next frame is compared with.
    faces: By id.
  """

  next_index: int
  size: tuple[int, int]
  tracker: FaceTracker
  cuts: CutDetector
  faces: Mapping[int, FaceState]


class FaceMaskExtractor:
  """Labels the faces of a video.

  extractor = FaceMaskExtractor()
  for masks in extractor(frames):
    show(masks.labels)
  """

  def __init__(
    self,
    weights: str | os.PathLike | Mapping[str, weights_folder.Model] | None = None,
    *,
    max_faces: int = 1,
    box: Sequence[int] | None = None,
    state: str = 'stream',
    zoom: bool = True,
    detector: FaceDetector | None = None,
  ):
    """Loads the networks.

    Args:
      weights: A folder that training made, or the networks of one by name; None takes those that
        ship with fmx.
      max_faces: How many faces of a frame are labelled, the largest ones.
      box: x0, y0, x1, y1 of the face in the first frame, in pixels; None finds faces.
      state: 'stream' hands the networks' state from window to window of a shot; 'reset' starts each
        window anew, as the paper does.
      zoom: Whether the models of eyes and mouth refine the masks, as far as the weights have them.
      detector: Finds faces; None makes one.

    Raises:
      ValueError: an option is none of those that exist, or the weights hold no primary network.
      OSError: the weights cannot be read, or none ship with this copy of fmx.
    """
    if state not in STATES:
      raise ValueError(f'state is {state!r}; it must be {" or ".join(map(repr, STATES))}.')
    if weights is None:
      weights = pretrained.folder()
    models = dict(weights) if isinstance(weights, Mapping) else weights_folder.load(weights)
    if 'primary' not in models:
      raise ValueError(
        f'The weights hold {", ".join(models) or "nothing"}, but masks of whole faces need the '
        "network 'primary'."
      )
    names = ('primary', *(PARTS if zoom else ()))
    check_windows({name: models[name] for name in names if name in models})
    self._predictors = {name: Predictor(models[name]) for name in names if name in models}
    self._clip_length = models['primary'].clip_length
    self._stream = state == 'stream'
    self._max_faces, self._box = max_faces, box
    self._detector = FaceDetector() if detector is None else detector

  def __call__(self, frames: Iterable[np.ndarray]) -> Iterator[FrameMasks]:
    """Yields the masks of every frame.

    Args:
      frames: uint8 [H, W, 3], RGB, all of one size.

    Raises:
      ValueError: there is no frame, or one is no such image.
    """
    for window, _ in self.windows(frames):
      yield from window

  def windows(
    self, frames: Iterable[np.ndarray], state: ExtractionState | None = None
  ) -> Iterator[tuple[list[FrameMasks], ExtractionState]]:
    """Yields the masks of one window after another, and how to go on after each.

    No window holds frames of two shots. Not more frames than one window's are kept.

    Args:
      frames: uint8 [H, W, 3], RGB, all of one size; from the frame `state.next_index` on.
      state: What was yielded with an earlier window: then the masks are those that would have come
        after it, to the bit. (After the last window of the frames that were given, which may be
        shorter, a network's state starts anew.)

    Raises:
      ValueError: there is no frame, or one is no such image.
    """
    now = _Progress(state, FaceTracker(self._detector, max_faces=self._max_faces, box=self._box))
    window: list[np.ndarray] = []
    for index, frame in enumerate(frames, start=now.index):
      now.check(frame, index)
      before = copy.deepcopy(now.cuts)
      if now.cuts(frame):
        if window:
          yield self._label(window, now), now.snapshot(before)
          window = []
        now.begin_shot()
      window.append(frame)
      if len(window) == self._clip_length:
        yield self._label(window, now), now.snapshot(now.cuts)
        window = []
    if window:
      yield self._label(window, now), now.snapshot(now.cuts)
    elif now.size is None:
      raise ValueError('There is not a single frame to extract masks from.')

  def _label(self, frames: Sequence[np.ndarray], now: '_Progress') -> list[FrameMasks]:
    """Labels all faces of one window at once."""
    tracks = now.tracker.start_window(frames[0])
    for _ in range(SETTLING):
      tracks = self._settle(frames[0], tracks, now.tracker)
    found = []
    if tracks:
      found = label_faces(frames, tracks, now.faces, self._predictors, stream=self._stream)
    none = now.tracker.finish_window({face.id: face.inside() for face in found})
    found = [face for face in found if face.id not in none]
    now.faces = {face.id: face.state for face in found}
    masks = [
      frame_masks.compose(
        [face.piece(time) for face in found],
        now.index + time,
        *now.size,
        is_cut=now.is_cut and time == 0,
      )
      for time in range(len(frames))
    ]
    now.index, now.is_cut = now.index + len(frames), False
    return masks

  def _settle(self, frame: np.ndarray, tracks: list[Track], tracker: FaceTracker) -> list[Track]:
    """Moves the boxes of new faces to where the primary network sees them."""
    new = [track for track in tracks if track.is_new]
    if not new:
      return tracks
    primary = {'primary': self._predictors['primary']}
    found = label_faces([frame], new, {}, primary, stream=False)
    return tracker.settle({face.id: face.inside() for face in found})


class _Progress:
  """Where an extraction has come to."""

  def __init__(self, state: ExtractionState | None, tracker: FaceTracker):
    self.index, self.size, self.is_cut = 0, None, False
    self.tracker, self.cuts, self.faces = tracker, CutDetector(), {}
    if state is not None:
      self.index, self.size, self.faces = state.next_index, state.size, state.faces
      self.tracker, self.cuts = copy.deepcopy((state.tracker, state.cuts))  # May be used again.

  def check(self, frame: Any, index: int) -> None:
    """Raises ValueError if the frame is no image of the size of those before."""
    frame_masks.check_frame(frame, index, self.size)
    self.size = frame.shape[:2]

  def begin_shot(self) -> None:
    """Forgets what does not outlive a cut."""
    self.tracker.cut()
    self.faces, self.is_cut = {}, True

  def snapshot(self, cuts: CutDetector) -> ExtractionState:
    """The state after a window; `cuts` must not have seen the next frame."""
    tracker, cuts = copy.deepcopy((self.tracker, cuts))
    return ExtractionState(self.index, self.size, tracker, cuts, self.faces)
