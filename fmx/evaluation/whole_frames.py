"""Whole systems on whole frames, as a person meets them: faces are found, followed and labelled.

A frame's annotated faces are compared with the masks that lie on them. What the paper's protocol
cannot see, since its crops are given, counts here: a face that is not found has an empty mask.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fmx.data.cutting import cut
from fmx.data.prepared import Dataset, FrameExample, FrameExamples
from fmx.data.spoiled_frames import spoil_video
from fmx.evaluation import protocol
from fmx.evaluation.confusion import confusion_counts, iou, mean_iou
from fmx.evaluation.hiding import hide
from fmx.evaluation.temporal import TemporalQuality
from fmx.finding.looking import Seen
from fmx.labelling.extractor import FaceMaskExtractor
from fmx.labelling.frame_masks import FrameMasks
from tfds_300vw import boxes, face_mask, pictures, pose

SCORED = 2.0  # Side of what is compared, over the size of the face.
FOUND, GIVEN = 'faces found', 'faces given'
ALONE = 'faces found, each frame by itself'
MAX_FACES = 16  # Of a frame: photographs may show a group.
SIZES = (0, 40, 80, 160)  # Pixels of the face from which results are told apart.
NUM_WORST = 10  # Faces that are shown.
LOST = 0.5  # IoU of the whole face below which it is lost.
# Frames of one video, and the landmarks [F, 68, 2] of each, to their masks. Only a system whose
# faces are given may look at the landmarks, and only to know where and how large the faces are.
LabelFrames = Callable[[Sequence[np.ndarray], Sequence[np.ndarray]], Iterable[FrameMasks]]


class Worst(NamedTuple):
  """A face on which a system did badly.

  Attributes:
    iou: Of the whole face.
    name: The video or photograph.
    number: Of the frame.
    image: The face's surroundings, uint8 [h, w, 3].
    labels: Class ids, uint8 [h, w].
    predictions: Likewise.
  """

  iou: float
  name: str
  number: int
  image: np.ndarray
  labels: np.ndarray
  predictions: np.ndarray


@dataclasses.dataclass
class Score:
  """What one system reached.

  Attributes:
    truth: How still the labels themselves are, the same for all systems.
    spoiled: What it reached on the 'spoiled' frames and on the 'others', where some were.
  """

  truth: TemporalQuality
  spoiled: dict[str, 'Score'] = dataclasses.field(default_factory=dict)
  frames: list[protocol.FrameScore] = dataclasses.field(default_factory=list)
  face_ious: list[float] = dataclasses.field(default_factory=list)
  sizes: list[float] = dataclasses.field(default_factory=list)
  worst: list['Worst'] = dataclasses.field(default_factory=list)
  quality: TemporalQuality = dataclasses.field(default_factory=TemporalQuality)

  def add(
    self,
    name: str,
    number: int,
    face: int,
    size: float,
    image: np.ndarray,
    labels: np.ndarray,
    predictions: np.ndarray,
  ) -> None:
    """Compares one face of that size in the surroundings of it."""
    counts = confusion_counts(labels, predictions, len(face_mask.CLASS_NAMES))
    clip = f'{name}_{face}'
    self.frames.append(protocol.FrameScore(name, clip, number, 1, counts))
    shared, either = (labels > 0) & (predictions > 0), (labels > 0) | (predictions > 0)
    overlap = float(shared.sum() / max(either.sum(), 1))
    self.face_ious.append(overlap)
    self.sizes.append(size)
    self.worst.append(Worst(overlap, name, number, image.copy(), labels, predictions))
    self.worst = sorted(self.worst, key=lambda face: face.iou)[:NUM_WORST]

  def result(self) -> dict[str, Any]:
    """Ready for JSON: `protocol.summarize`, and what is said of whole faces and of motion."""
    found = self._of_faces() | {
      'temporal': self.quality.result(),
      'temporal_labels': self.truth.result(),
    }
    if self.spoiled:
      found['spoiled'] = {
        frames: score._of_faces() for frames, score in self.spoiled.items() if score.frames
      }
    return found

  def _of_faces(self) -> dict[str, Any]:
    ious = np.array(self.face_ious)
    summary = protocol.summarize(self.frames, face_mask.CLASS_NAMES)
    return summary | {
      'faces': len(ious),
      'face_iou': float(ious.mean()),
      'lost': float((ious < LOST).mean()),
      'not_found': int((ious == 0).sum()),
      'sizes': self._by_size(ious),
      'worst': [[face.iou, face.name, face.number] for face in self.worst],
    }

  def draw_worst(self) -> np.ndarray:
    """The worst faces, their labels above the predictions: uint8 [h, w, 3]."""
    captions = [f'{face.name} {face.number}  {100 * face.iou:.0f} %' for face in self.worst]
    return pictures.sheet(
      [
        pictures.Row([pictures.overlay(f.image, f.labels) for f in self.worst], captions),
        pictures.Row(
          [pictures.overlay(f.image, f.predictions) for f in self.worst],
          ['prediction'] * len(self.worst),
        ),
      ]
    )

  def _by_size(self, ious: np.ndarray) -> dict[str, Any]:
    """IoU by the size of the face in pixels, from each of SIZES on to the next."""
    places = np.searchsorted(SIZES, self.sizes, side='right') - 1
    found = {}
    for place, least in enumerate(SIZES):
      chosen = np.flatnonzero(places == place)
      if len(chosen):
        counts = np.sum([self.frames[index].counts for index in chosen], axis=0)
        found[str(least)] = {
          'faces': len(chosen),
          'not_found': int((ious[chosen] == 0).sum()),
          'miou': float(mean_iou(counts)),
          'iou': [None if np.isnan(ratio) else float(ratio) for ratio in iou(counts)],
        }
    return found


def evaluate(
  systems: Mapping[str, LabelFrames],
  dataset: Dataset,
  split: str,
  *,
  hidden: bool = False,
  spoiled: bool = False,
  seed: int = 0,
  progress: Callable[[int], None] = lambda frames: None,
) -> dict[str, Score]:
  """Scores systems on the whole frames of one split.

  Args:
    systems: By name.
    dataset: Of whole frames.
    split: 'train', 'validation' or 'test'.
    hidden: Whether a quarter of each face is hidden, by turns by a colour and by another face.
    spoiled: Whether all is done once more with spoiled frames (`spoil_video`).
    seed: Of what is hidden.
    progress: Told how many frames were labelled since.

  Returns:
    What each system reached, by its name.

  Raises:
    ValueError: there is no such split, or the dataset does not hold whole frames.
  """
  truth = TemporalQuality()
  scores = {name: Score(truth) for name in systems}
  if spoiled:
    for score in scores.values():
      score.spoiled = {frames: Score(truth) for frames in ('spoiled', 'others')}
  rng, donor = np.random.default_rng(seed), None
  for video in _videos(FrameExamples(dataset, split)):
    frames, seen = [], video
    if hidden:
      seen = []
      for number, example in enumerate(video):
        seen.append(_hidden(example, donor if number % 2 else None, rng))
        donor = _face(example) if len(example.landmarks) else donor
    frames = [example.image for example in seen]
    landmarks = [example.landmarks for example in video]
    drawn = [_drawn(example) for example in video]
    for example, of_frame in zip(video, drawn):
      truth.add(of_frame.max(axis=0, initial=0), is_cut=example is video[0])
    for name, label in systems.items():
      _score(scores[name], video, frames, drawn, list(label(frames, landmarks)))
    if spoiled:
      frames, is_spoiled = spoil_video(frames, video[0].video_id)
      for name, label in systems.items():
        found = list(label(frames, landmarks))
        for part, score in scores[name].spoiled.items():
          _score(score, video, frames, drawn, found, is_spoiled == (part == 'spoiled'))
    progress(len(video))
  return scores


class GivenFaces:
  """A finder that was told: it sees the annotated faces in the frames that it knows."""

  def __init__(self, frames: Sequence[np.ndarray], landmarks: Sequence[np.ndarray]):
    """Learns what is in the frames.

    Args:
      frames: uint8 [H, W, 3].
      landmarks: [F, 68, 2] of each.
    """
    self._known = {
      frame.tobytes(): [
        Seen(pose.face_pose(points), pose.five_points(points), 1.0) for points in of_frame
      ]
      for frame, of_frame in zip(frames, landmarks)
    }

  def __call__(self, frames: np.ndarray) -> list[list[Seen]]:
    """The faces of frames uint8 [N, H, W, 3]; none in one that it does not know."""
    return [self._known.get(frame.tobytes(), []) for frame in frames]


def systems(
  models: Mapping[str, Any], *, max_faces: int = MAX_FACES, alone: bool = False
) -> dict[str, LabelFrames]:
  """What networks are together: where faces are found, and where they are given.

  Args:
    models: By name, as `fmx.weights.load` gives them; without a finder faces can only be given.
    max_faces: Of a frame.
    alone: Whether there is also one that neither bridges, steadies nor skips.
  """
  segmenters = {name: model for name, model in models.items() if name != 'finder'}

  def given(frames: Sequence[np.ndarray], landmarks: Sequence[np.ndarray]) -> Iterable[FrameMasks]:
    finder = GivenFaces(frames, landmarks)
    return FaceMaskExtractor(segmenters, max_faces=max_faces, finder=finder)(frames)

  if 'finder' not in models:
    return {GIVEN: given}
  extractor = FaceMaskExtractor(models, max_faces=max_faces)
  found: dict[str, LabelFrames] = {FOUND: lambda frames, _: extractor(frames), GIVEN: given}
  if alone:
    by_frame = FaceMaskExtractor(models, max_faces=max_faces, bridge=0, steadiness=0, skip=0)
    found[ALONE] = lambda frames, _: by_frame(frames)
  return found


def rows(results: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
  """A table of results by the name of the system, in %."""
  names = face_mask.CLASS_NAMES[1:]
  head = ['system', 'mIoU', *(name.replace('_', ' ') for name in names)]
  table = [[*head, 'face IoU', f'lost (IoU < {LOST})', 'without a mask', 'faces']]
  for system, result in results.items():
    values = [result['miou'], *(result['iou'][name] for name in names), result['face_iou']]
    table.append(
      [system, *(f'{100 * value:.2f}' for value in values), f'{100 * result["lost"]:.2f} %']
      + [str(result['not_found']), str(result['faces'])]
    )
  return table


def spoiled_rows(results: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
  """The same of spoiled frames and of the others around them; photographs have no others."""
  return rows(
    {
      f'{system}: {frames}': found['spoiled'][frames]
      for frames in ('spoiled', 'others')
      for system, found in results.items()
      if frames in found['spoiled']
    }
  )


def _videos(examples: FrameExamples) -> Iterator[list[FrameExample]]:
  """The frames of one video after another; a photograph is a video of one frame."""
  starts = np.flatnonzero(examples.video_ids[1:] != examples.video_ids[:-1]) + 1
  for first, stop in zip([0, *starts.tolist()], [*starts.tolist(), len(examples)]):
    yield [examples[index] for index in range(first, stop)]


def _score(
  score: Score,
  video: Sequence[FrameExample],
  frames: Sequence[np.ndarray],
  drawn: Sequence[np.ndarray],
  found: Sequence[FrameMasks],
  chosen: np.ndarray | None = None,
) -> None:
  """Compares the masks of one video, or of the frames of it that are chosen, with its faces."""
  if len(found) != len(video):
    raise ValueError(f'{len(video)} frames have got masks for {len(found)}.')
  is_in = np.ones(len(video), bool) if chosen is None else chosen
  for example, frame, of_frame, masks in itertools.compress(
    zip(video, frames, drawn, found), is_in
  ):
    if chosen is None:  # Else they are not neighbours.
      score.quality.add(masks.labels, is_cut=masks.is_cut or example is video[0])
    for number, (landmarks, whole) in enumerate(zip(example.landmarks, of_frame)):
      box = boxes.face_box(landmarks, *example.image.shape[:2], margin=SCORED)
      labels = boxes.crop(whole, box)
      predictions = boxes.crop(masks.labels, box)
      ids = boxes.crop(masks.ids, box)
      shared = np.bincount(ids[labels > 0], minlength=1)
      shared[0] = 0
      own = int(shared.argmax())
      mine = np.where((ids == own) & (own > 0), predictions, 0).astype(np.uint8)
      size = pose.face_pose(landmarks).size
      image = boxes.crop(frame, box)  # As the system saw it.
      score.add(example.video_id, example.frame_number, number, size, image, labels, mine)


def _drawn(example: FrameExample) -> np.ndarray:
  """The labels of each face of a frame, uint8 [F, H, W]."""
  size = example.image.shape[:2]
  masks = [face_mask.landmarks_to_mask(landmarks, *size) for landmarks in example.landmarks]
  return np.stack(masks) if masks else np.zeros((0, *size), np.uint8)


def _hidden(
  example: FrameExample, donor: np.ndarray | None, rng: np.random.Generator
) -> FrameExample:
  """The frame with a quarter of each face hidden."""
  image = example.image
  for landmarks in example.landmarks:
    face = face_mask.landmarks_to_mask(landmarks, *image.shape[:2]) > 0
    if face.any():
      image = hide(image, face, rng, donor=donor)
  return dataclasses.replace(example, image=image)


def _face(example: FrameExample) -> np.ndarray:
  """An upright face of a frame, uint8 [160, 160, 3]."""
  matrix = pose.face_pose(example.landmarks[0]).matrix(160, margin=1.0)
  return cut(example.image, matrix, 160)
