"""From the frames of a video to their masks, window by window, in constant memory."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fmx import pretrained
from fmx import weights as weights_folder
from fmx.engines import choice
from fmx.finding.cuts import CutDetector, Placed, shots
from fmx.finding.follower import Follower
from fmx.finding.found import USUAL_POINTS
from fmx.finding.looking import Finder
from fmx.labelling import frame_masks
from fmx.labelling.frame_masks import MOST_BRIDGED, MOST_SKIPPED, FrameMasks
from fmx.labelling.parts import PARTS
from fmx.labelling.predictor import STATES, Predictor, check_windows
from fmx.labelling.steadying import STEADINESS
from fmx.labelling.window import Options, ShotState, label_window
from tfds_300vw import boxes
from tfds_300vw.pose import Pose


@dataclasses.dataclass(frozen=True)
class ExtractionState:
  """All that is needed to go on with a video from a frame on; can be pickled.

  Attributes:
    next_index: Place in the video of the frame to go on with, from 0.
    size: Height and width of the frames, in pixels.
    shot: What is known of the faces.
    cuts: What the next frame is compared with.
  """

  next_index: int
  size: tuple[int, int]
  shot: ShotState
  cuts: CutDetector

  @property
  def num_ids(self) -> int:
    """How many faces have got an id."""
    return self.shot.follower.next_id - 1


def states_at_cuts(frames: Iterable[np.ndarray], max_faces: int) -> Iterator[ExtractionState]:
  """Yields for each cut the state from which its shot may be labelled without those before.

  Only numbers outlive a cut: those of frames, which the state has, and those of faces. With this
  state the latter begin anew: the masks are, to the bit, those that would have come, and each id is
  less by the number of faces that had one before, which is `num_ids` at the end of each shot.

  Args:
    frames: uint8 [H, W, 3], RGB, all of one size; all of the video.
    max_faces: Of the extractor that goes on.
  """
  cuts = CutDetector()
  for index, frame in enumerate(shots(frames, cuts)):
    if frame.is_cut:
      size = frame.image.shape[:2]
      yield ExtractionState(index, size, ShotState(Follower(max_faces)), cuts)
    cuts = frame.cuts


class FaceMaskExtractor:
  """Labels the faces of a video.

  extractor = FaceMaskExtractor()
  for masks in extractor(frames):
    show(masks.labels)
  """

  def __init__(
    self,
    weights: str | os.PathLike | Mapping[str, Any] | None = None,
    *,
    max_faces: int = 1,
    box: Sequence[int] | None = None,
    state: str = 'stream',
    zoom: bool = True,
    finder: Finder | str = 'auto',
    engine: str = 'auto',
    rest: int = 0,
    bridge: int = MOST_BRIDGED,
    steadiness: float = STEADINESS,
    skip: int = MOST_SKIPPED,
  ):
    """Loads the networks.

    Args:
      weights: A folder that training made, or the networks of one by name; None takes those that
        ship with fmx.
      max_faces: How many faces of a frame are labelled, the largest ones.
      box: x0, y0, x1, y1 of the face in the first frame, in pixels; None finds faces.
      state: 'stream' hands the networks' state from window to window of a shot; 'reset' starts each
        window anew, as the paper does. It makes no difference to networks without a memory.
      zoom: Whether the networks of mouth and eyes refine the masks, as far as the weights have
        them.
      finder: Finds faces: 'auto' or 'own' is that of the weights alone; 'CenterFace' or
        'libfacedetection' (extra `peers`) also shows it where to look closer. Or another finder.
      engine: What runs the networks: 'xla', 'onnxruntime' or 'openvino' (on the CPU), or 'auto',
        the quickest that is installed (docs/speed.md).
      rest: Frames after one in which the finder saw a face, in which it does not look as long as
        the masks are sure without it. Saves time where frames come one by one, as from a camera.
      bridge: Frames in a row in which a face that is lost, or hardly seen, has the mask that lies
        between those around them; 0 leaves such masks empty, or as they are.
      steadiness: Share of each mask that is the one before, taken along with the picture, as far as
        that has not changed; from 0, for none, to less than 1. More of it flickers less.
      skip: Frames in a row, at most 2, that the networks do not look at where faces hardly change:
        their masks lie between those around them. With 0 they look at every frame.

    Raises:
      ValueError: an option is none of those that exist, the engine or a finder of others is not
        installed, or the weights lack the primary network or the finder.
      OSError: the weights cannot be read, or none ship with this copy of fmx.
    """
    if state not in STATES:
      raise ValueError(f'state is {state!r}; it must be {" or ".join(map(repr, STATES))}.')
    frame_masks.check_choice(max_faces, box)
    options = Options(rest, bridge, steadiness, skip)
    choice.check(engine)
    if weights is None:
      weights = pretrained.folder()
    models = dict(weights) if isinstance(weights, Mapping) else weights_folder.load(weights)
    if 'primary' not in models:
      raise ValueError(
        f'The weights hold {", ".join(models) or "nothing"}, but masks of whole faces need the '
        "network 'primary'."
      )
    self._finder = _finder_of(models, finder, engine) if isinstance(finder, str) else finder
    names = ('primary', *(PARTS if zoom else ()))
    used = {name: models[name] for name in names if name in models}
    with_memory = {name: model for name, model in used.items() if model.network.temporal}
    check_windows(with_memory)
    self._length = next((m.clip_length for m in with_memory.values()), boxes.WINDOW)
    self._predictors = {
      name: Predictor(model, clip_length=self._length, engine=engine)
      for name, model in used.items()
    }
    self._stream = state == 'stream'
    # A memory wants whole windows.
    self._waits = bridge > 0 and not with_memory
    self._options = dataclasses.replace(options, skip=0) if with_memory else options
    self._max_faces, self._box = max_faces, box

  def __call__(self, frames: Iterable[np.ndarray]) -> Iterator[FrameMasks]:
    """Yields the masks of every frame.

    Args:
      frames: uint8 [H, W, 3], RGB, all of one size.

    Raises:
      ValueError: there is no frame, one is no such image, or the box is outside of the first.
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
      ValueError: there is no frame, one is no such image, or the box is outside of the first.
    """
    now = _Progress(state, ShotState(Follower(self._max_faces)))
    window: list[Placed] = []
    for frame in shots(now.checked(frames), now.cuts):
      if frame.is_cut:
        if window:
          yield self._label(window, now)
          window = []
        now.begin_shot()
      window.append(frame)
      if len(window) == self._length:
        masks, state = self._label(window, now, waits=self._waits)
        yield masks, state
        window = window[len(masks) :]
    if window:
      yield self._label(window, now)
    elif now.size is None:
      raise ValueError('There is not a single frame to extract masks from.')

  def _label(
    self, window: Sequence[Placed], now: _Progress, *, waits: bool = False
  ) -> tuple[list[FrameMasks], ExtractionState]:
    """Labels all faces of one window at once.

    Args:
      window: Its frames.
      now: Where the extraction is; it moves on.
      waits: As of `label_window`.
    """
    frames = [frame.image for frame in window]
    if now.index == 0 and self._box is not None:
      given = now.shot.follower.given(
        _pose_in(self._box, frames[0].shape[:2]), 0, frames[0], USUAL_POINTS
      )
      now.shot = dataclasses.replace(now.shot, follower=given)
    masks, shot = label_window(
      frames,
      now.shot,
      self._finder,
      self._predictors,
      self._options,
      start=now.index,
      is_cut=now.is_cut,
      waits=waits,
    )
    if not self._stream:
      shot = dataclasses.replace(shot, faces={})
    now.go_on(len(masks), shot, window[len(masks) - 1].cuts)
    return masks, now.snapshot()


class _Progress:
  """Where an extraction has come to."""

  def __init__(self, state: ExtractionState | None, shot: ShotState):
    self.index, self.is_cut = 0, False
    self.size: tuple[int, int] | None = None
    self.shot, self.cuts = shot, CutDetector()
    if state is not None:
      self.index, self.size, self.shot = state.next_index, state.size, state.shot
      self.cuts = state.cuts

  def checked(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yields the frames; raises ValueError if one is no image of the size of those before."""
    for index, frame in enumerate(frames, start=self.index):
      frame_masks.check_frame(frame, index, self.size)
      self.size = frame.shape[:2]
      yield frame

  def begin_shot(self) -> None:
    """Forgets what does not outlive a cut."""
    self.shot, self.is_cut = ShotState(self.shot.follower.after_cut()), True

  def go_on(self, length: int, shot: ShotState, cuts: CutDetector) -> None:
    """Takes in what a window of so many frames leaves."""
    self.index, self.is_cut = self.index + length, False
    self.shot, self.cuts = shot, cuts

  def snapshot(self) -> ExtractionState:
    """The state after a window."""
    assert self.size is not None  # A window has frames.
    return ExtractionState(self.index, self.size, self.shot, self.cuts)


def _finder_of(models: Mapping[str, Any], name: str, engine: str) -> Finder:
  if 'finder' not in models:
    raise ValueError(
      f'The weights hold {", ".join(models)}, but no finder, without which nobody knows where '
      "faces are: take weights with a network 'finder'."
    )
  from fmx.finding.finder import Finder as TrainedFinder
  from fmx.finding.supplement import supplemented

  return supplemented(TrainedFinder(models['finder'], engine=engine), name)


def _pose_in(box: Sequence[int], size: tuple[int, int]) -> Pose:
  """The pose of the face that a person put a box around.

  Raises:
    ValueError: the box is outside of the frame.
  """
  boxes.clamp(np.asarray(box), *size)
  x0, y0, x1, y1 = (float(edge) for edge in box)
  side = (x1 - x0 + y1 - y0) / 2
  return Pose((x0 + x1 - 1) / 2, (y0 + y1 - 1) / 2, side / boxes.FACE_MARGIN, 0.0)
