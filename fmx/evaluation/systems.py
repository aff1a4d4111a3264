"""The models of a folder of weights, and what they are together, by the paper's protocol.

Everything is scored at the size at which the dataset stores its frames. The zoomed-in models see
crops of faces there, not whole frames: where an eye's or a mouth's box reaches out of a crop, it is
cut off.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fmx.baselines.dense_crf import DenseCRF
from fmx.data.eval_batches import clip_windows
from fmx.data.prepared import Dataset, Window
from fmx.data.spoiled_frames import spoil_frames
from fmx.data.transforms import resize_frame, resize_labels
from fmx.evaluation import protocol, run
from fmx.evaluation.confusion import confusion_counts
from fmx.evaluation.temporal import TemporalQuality
from fmx.evaluation.zoom import PARTS, RegionState, zoom_in
from fmx.labelling.classes import predict
from fmx.labelling.predictor import Predictor, check_windows, stack, stack_windows, unstack
from fmx.models import segmenter
from fmx.weights import Model

Clip = Sequence[Window]
Labels = list[np.ndarray]  # Class ids of the frames of a clip, uint8 [h, w].
LabelFrames = Callable[[list[np.ndarray], np.ndarray], Labels]
LANDMARKS = '68-landmark tracker'


def evaluate(
  models: Mapping[str, Model],
  dataset: Dataset,
  split: str,
  *,
  batch_size: int,
  stream: bool,
  spoiled: bool = False,
  label_landmarks: LabelFrames | None = None,
  dense_crf: DenseCRF | None = None,
) -> dict[str, dict[str, Any]]:
  """Scores every system that the models make on one split.

  On whole faces: the FCN, alone, with temporal smoothing and with a dense CRF; the primary network,
  alone and with the zoomed-in ones; the landmark tracker. On a region: its own network.

  Args:
    models: By name, as `fmx.weights.load` gives them.
    dataset: Of whole faces or of one region.
    split: 'train', 'validation' or 'test'.
    batch_size: Clips at once; their frames and predictions are in memory.
    stream: Whether the networks' state goes from window to window of a clip, or starts anew.
    spoiled: Whether all is done once more with spoiled frames (`spoil_frames`).
    label_landmarks: The landmark tracker: frames of a clip and their boxes in the video, to labels.
    dense_crf: What is put behind networks without a memory, if anything.

  Returns:
    From the name of each system to its results (`protocol.summarize`), the baseline first. Their
    'temporal' is how still the masks are (`TemporalQuality`), and 'temporal_labels' how still the
    labels are, both of masks at the network's size: crops follow the face, so their sizes differ.
    Their 'spoiled' has such results of the 'spoiled' frames and of the 'others', if asked for.

  Raises:
    ValueError: no network is for the dataset, or networks do not fit together or to the data.
  """
  models = _models_for(models, dataset)
  if label_landmarks is not None and dataset.region != 'primary':
    raise ValueError(
      f'The landmark tracker labels whole faces, but {dataset.name} is of {dataset.region!r}: '
      'set evaluation.landmarks to False.'
    )
  first = next(iter(models.values()))
  networks = _networks(models, dataset.region, dense_crf)
  classes, size = dataset.class_names, first.image_size

  def labelled(group: Sequence[Clip]) -> Iterator[tuple[str, list[Labels]]]:
    for network in networks:
      yield from network.label(group, stream)
    if label_landmarks is not None:
      yield LANDMARKS, [label_landmarks(*_frames_and_boxes(clip)) for clip in group]

  tallies: dict[str, _Tally] = {}
  truth = TemporalQuality(classes)
  clips = clip_windows(dataset, split, clip_length=first.clip_length)
  while group := list(itertools.islice(clips, batch_size)):
    for title, labels in labelled(group):
      tally = tallies.setdefault(title, _Tally(classes, size))
      for clip, of_clip in zip(group, labels):
        tally.add(clip, of_clip)
    for clip in group:
      _add_clip(truth, [labels for window in clip for labels in window.labels], size)
    if spoiled:
      pairs = [spoil_frames(clip) for clip in group]
      for title, labels in labelled([clip for clip, _ in pairs]):
        for (clip, is_spoiled), of_clip in zip(pairs, labels):
          tallies[title].add_spoiled(clip, of_clip, is_spoiled)
  return {
    title: tally.results() | {'temporal_labels': truth.result()} for title, tally in tallies.items()
  }


def label_clips(
  models: Mapping[str, Model], dataset: Dataset, clips: Sequence[Clip]
) -> dict[str, list[Labels]]:
  """What every system that the models make says of clips, state starting anew in each window.

  Args:
    models: As in `evaluate`.
    dataset: Of the clips.
    clips: The windows of each.

  Returns:
    From the title of each system to the class ids of each clip's frames, uint8 [h, w].

  Raises:
    ValueError: as `evaluate`.
  """
  models = _models_for(models, dataset)
  networks = _networks(models, dataset.region, None)
  return dict(pair for network in networks for pair in network.label(clips, stream=False))


class _Tally:
  """What one system's predictions add up to."""

  def __init__(self, class_names: Sequence[str], size: int):
    self._class_names, self._size = class_names, size
    self._scores: list[protocol.FrameScore] = []
    self._spoiled: dict[str, list[protocol.FrameScore]] = {'spoiled': [], 'others': []}
    self._temporal = TemporalQuality(class_names)

  def add(self, clip: Clip, labels: Labels) -> None:
    """Takes in what was made of a clip."""
    self._scores += self._score(clip, labels)
    _add_clip(self._temporal, labels, self._size)

  def add_spoiled(self, clip: Clip, labels: Labels, is_spoiled: np.ndarray) -> None:
    """Takes in what was made of a clip of which some frames were spoiled."""
    for score, spoiled in zip(self._score(clip, labels), is_spoiled, strict=True):
      self._spoiled['spoiled' if spoiled else 'others'].append(score)

  def results(self) -> dict[str, Any]:
    """See `evaluate`."""
    found = protocol.summarize(self._scores, self._class_names)
    found['temporal'] = self._temporal.result()
    if any(self._spoiled.values()):
      found['spoiled'] = {
        frames: protocol.summarize(scores, self._class_names)
        for frames, scores in self._spoiled.items()
      }
    return found

  def _score(self, clip: Clip, labels: Labels) -> list[protocol.FrameScore]:
    predicted, scores = iter(labels), []
    for window in clip:
      for position, truth in enumerate(window.labels):
        counts = confusion_counts(truth, next(predicted), len(self._class_names))
        frame = window.start + position
        scores.append(
          protocol.FrameScore(window.video_id, window.clip, frame, position + 1, counts)
        )
    return scores


def _add_clip(quality: TemporalQuality, labels: Labels, size: int) -> None:
  for time, frame_labels in enumerate(labels):
    quality.add(resize_labels(frame_labels, size), is_cut=time == 0)


def _models_for(models: Mapping[str, Model], dataset: Dataset) -> dict[str, Model]:
  """The models that are of use on a dataset, the one to compare with first."""
  names = ('fcn', 'primary', *PARTS) if dataset.region == 'primary' else (dataset.region,)
  found = {name: models[name] for name in names if name in models}
  if all(model.region != dataset.region for model in found.values()):
    raise ValueError(
      f'The weights hold {", ".join(models) or "nothing"}, but {dataset.name} is of '
      f'{dataset.region!r}: give weights or a dataset of another region.'
    )
  for name, model in found.items():
    if model.region == dataset.region and model.class_names != dataset.class_names:
      raise ValueError(
        f'The network {name!r} knows {", ".join(model.class_names)}, but {dataset.name} has the '
        f'classes {", ".join(dataset.class_names)}.'
      )
  check_windows(found)
  return found


@dataclasses.dataclass(frozen=True)
class _Network:
  """A network and what it is a part of.

  Attributes:
    title: Of the network alone.
    predictor: Runs it.
    zoomed: The zoomed-in models that refine its masks, by region.
    dense_crf: What else does so, if it has no memory.
  """

  title: str
  predictor: Predictor
  zoomed: Mapping[str, Predictor]
  dense_crf: DenseCRF | None

  def label(self, clips: Sequence[Clip], stream: bool) -> Iterator[tuple[str, list[Labels]]]:
    """Yields the title of each system with what it makes of every clip; runs the network once."""
    plain: list[Labels] = [[] for _ in clips]
    refined: list[Labels] = [[] for _ in clips]
    pairs: list[list[tuple[Window, np.ndarray]]] = [[] for _ in clips]
    states: list[dict[str, RegionState]] = [{} for _ in clips]
    has_memory = self.predictor.model.network.temporal
    for places, windows, logits in _logits(clips, self.predictor, stream):
      labels = [_predict(window, of_window) for window, of_window in zip(windows, logits)]
      for place, window, of_window, window_logits in zip(places, windows, labels, logits):
        plain[place] += of_window
        if not has_memory:
          pairs[place].append((window, window_logits[: len(of_window)]))
      if self.zoomed:
        before = [states[place] for place in places]
        zoomed = self._zoom(windows, labels, before, stream)
        for place, of_window, state in zip(places, *zoomed):
          refined[place] += of_window
          states[place] = state
    yield self.title, plain
    if not has_memory:
      yield (
        f'{self.title} + temporal smoothing',
        [_labels(run.smooth_clips(of_clip)) for of_clip in pairs],
      )
      if self.dense_crf is not None:
        refined_clips = [run.refine_windows(of_clip, self.dense_crf) for of_clip in pairs]
        yield f'{self.title} + dense CRF', [_labels(of_clip) for of_clip in refined_clips]
    if self.zoomed:
      yield f'{self.title} + zoomed-in models', refined

  def _zoom(
    self,
    windows: Sequence[Window],
    labels: Sequence[Labels],
    before: Sequence[Mapping[str, RegionState]],
    stream: bool,
  ) -> tuple[list[Labels], list[dict[str, RegionState]]]:
    frames = [window.frames for window in windows]
    origins = [window.boxes[:, :2] for window in windows]
    return zoom_in(labels, frames, origins, self.zoomed, before, stream=stream)


def _networks(
  models: Mapping[str, Model], region: str, dense_crf: DenseCRF | None
) -> list[_Network]:
  """The networks that label a region, the baseline first."""
  predictors = {name: Predictor(model) for name, model in models.items()}
  zoomed = {part: predictors[part] for part in PARTS if part in predictors}
  networks = {}
  for name, predictor in predictors.items():
    if predictor.model.region == region:
      model = predictor.model
      title = segmenter.title(model.network.temporal, model.options.get('memory', 'top'))
      if region != 'primary' or title in networks:
        title = f'{title} ({name})'
      networks[title] = _Network(title, predictor, zoomed if name == 'primary' else {}, dense_crf)
  return list(networks.values())


def _labels(of_clip: Iterable[tuple[Window, np.ndarray]]) -> Labels:
  """The classes of the pixels of a clip, by the probabilities of its windows."""
  return [labels for window, probs in of_clip for labels in _predict(window, probs)]


def _frames_and_boxes(clip: Clip) -> tuple[list[np.ndarray], np.ndarray]:
  frames = [frame for window in clip for frame in window.frames]
  return frames, np.concatenate([window.boxes for window in clip])


def _logits(
  clips: Sequence[Clip], predictor: Predictor, stream: bool
) -> Iterator[tuple[list[int], list[Window], np.ndarray]]:
  """Runs a network over clips side by side, the first windows of all, then the second, …

  Args:
    clips: Of any lengths.
    predictor: The network.
    stream: Whether its state goes from window to window.

  Yields:
    The places in `clips` of those that have another window, the windows, and their logits
    [B, T, S, S, K]; those of shorter windows go on with the last frame's.
  """
  size = predictor.model.image_size
  carries: list[Any] = [None] * len(clips)
  for windows in itertools.zip_longest(*clips):
    places = [place for place, window in enumerate(windows) if window is not None]
    present = [windows[place] for place in places]
    video = stack_windows(
      [np.stack([resize_frame(frame, size) for frame in window.frames]) for window in present]
    )
    logits, carry = predictor(video, stack([carries[place] for place in places]))
    if stream:
      for place, state in zip(places, unstack(carry, len(places))):
        carries[place] = state
    yield places, present, logits


def _predict(window: Window, logits: np.ndarray) -> Labels:
  """The classes of the pixels of a window at its frames' own sizes."""
  return [predict(of_frame, *frame.shape[:2]) for of_frame, frame in zip(logits, window.frames)]
