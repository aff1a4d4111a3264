"""Videos of faces painted in class colours, a finder that is told where they are, and networks that
have learnt the colours."""

import pickle

import cv2
import numpy as np
from small_datasets import face

from fmx import FaceMaskExtractor
from fmx.finding.looking import Seen
from fmx.weights import Model
from tfds_300vw import face_mask
from tfds_300vw.pose import Pose, face_pose, five_points

HEIGHT, WIDTH = 150, 240
BACKGROUND = (30, 30, 30)
SKIN = (157, 30, 30)
SIZES = {'primary': 96, 'mouth': 64, 'eye': 64}  # Pixels, of the networks.
HAIR = {'Ann': (20, 20, 80), 'Bob': (20, 75, 20), 'Cid': (75, 65, 20)}


def colors():
  """Of the classes, [5, 3]."""
  return 30 + face_mask.COLORS.astype(np.float32) / 2


class ColorPredictor:
  """Stands in for a network and its `Predictor`: pixels are what their colours say."""

  def __init__(self, model, clip_length=None, engine=None):
    self.model = model
    self._class_ids = list(face_mask.REGIONS[model.region].class_ids)

  def probabilities(self, video, carry=None):
    distance = np.square(video[..., None, :] - colors()).sum(axis=-1)
    scores = np.exp(-np.minimum(distance, 40_000) / 1000)
    probs = scores / scores.sum(axis=-1, keepdims=True)
    own = probs[..., self._class_ids[1:]]
    return np.concatenate([1 - own.sum(axis=-1, keepdims=True), own], axis=-1), None


class NoNetwork:
  temporal = False


def model(region, size):
  return Model(NoNetwork(), {}, region, face_mask.class_names(region), size, 5)


def models():
  return {region: model(region, size) for region, size in SIZES.items()}


class Video:
  """Frames, and who is where in them.

  Attributes:
    frames: uint8 [H, W, 3] each.
    people: Of each frame, landmarks by name, the nearest last.
  """

  def __init__(self):
    self.frames, self.people = [], []

  def add(self, people, background=BACKGROUND, *, hair=True):
    """Draws a frame.

    Args:
      people: From names to (x, y, size) or (x, y, size, roll in degrees).
      background: A colour, or an image.
      hair: Whether it is between face and background.
    """
    frame = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    frame[...] = background
    rng = np.random.default_rng(len(self.frames))
    frame[...] = np.clip(frame + rng.integers(-6, 7, frame.shape), 0, 255)
    placed = {}
    for name, (x, y, size, *roll) in people.items():
      turn = cv2.getRotationMatrix2D((x, y), -roll[0] if roll else 0, 1.0)
      landmarks = face(x, y, size) @ turn[:, :2].T + turn[:, 2]
      if hair:
        cv2.circle(frame, (round(x), round(y)), round(0.75 * size), HAIR[name], -1)
      labels = face_mask.landmarks_to_mask(landmarks, HEIGHT, WIDTH)
      frame[labels > 0] = colors()[labels[labels > 0]]
      placed[name] = landmarks
    self.frames.append(frame)
    self.people.append(placed)

  def labels(self, index, name):
    return face_mask.landmarks_to_mask(self.people[index][name], HEIGHT, WIDTH)

  def pose(self, index, name):
    return face_pose(self.people[index][name])


class Oracle:
  """A finder that knows frames as they are; in turned and enlarged ones it sees nothing."""

  def __init__(self, video, *, blind=lambda index, name: False, noise=0.02, seed=0, also=()):
    """Says what it does not see, how much it errs, and what it takes for faces in every frame."""
    self._index = {frame.tobytes(): i for i, frame in enumerate(video.frames)}
    self._video, self._blind, self._noise, self._seed = video, blind, noise, seed
    self._also = also
    self.looks = 0

  def __call__(self, frames):
    self.looks += len(frames)
    return [self._look(frame) for frame in frames]

  def _look(self, frame):
    index = self._index.get(frame.tobytes())
    if index is None:
      return []
    rng = np.random.default_rng([self._seed, index])
    found = [Seen(pose, pose.size * usual_points() + (pose.x, pose.y), 0.9) for pose in self._also]
    for name, landmarks in self._video.people[index].items():
      pose, error = face_pose(landmarks), self._noise * rng.normal(size=4)
      inside = -0.2 * pose.size < pose.x < WIDTH + 0.2 * pose.size
      if self._blind(index, name) or not inside:
        continue
      x, y = np.array([pose.x, pose.y]) + error[:2] * pose.size
      seen = Pose(x, y, pose.size * np.exp(error[2]), pose.roll + error[3])
      found.append(Seen(seen, five_points(landmarks), 0.9))
    return found


def usual_points():
  landmarks = face(0, 0, 1)
  pose = face_pose(landmarks)
  return (five_points(landmarks) - (pose.x, pose.y)) / pose.size


def extract(video, finder=None, **options):
  """The masks of all frames."""
  finder = finder or Oracle(video)
  extractor = FaceMaskExtractor(models(), finder=finder, engine='xla', **options)
  return list(extractor(video.frames))


def assert_goes_on_with_the_same_bits(extractor, frames):
  """From the state after each window, as it comes out of a file; returns the labels."""
  windows = list(extractor.windows(frames))
  expected = [masks.labels for window, _ in windows for masks in window]
  for _, state in windows[:-1]:
    saved = pickle.loads(pickle.dumps(state))
    for window, _ in extractor.windows(frames[saved.next_index :], saved):
      for masks in window:
        np.testing.assert_array_equal(masks.labels, expected[masks.index])
  return expected


def iou(mask, other):
  return (mask & other).sum() / max((mask | other).sum(), 1)


def ids_by_name(video, found):
  """Of each name the ids of the masks that lie on that face, frame by frame; 0 for none."""
  by_name = {}
  for index, masks in enumerate(found):
    for name in video.people[index]:
      labels = video.labels(index, name) > 0
      on = np.bincount(masks.ids[labels], minlength=1) if labels.any() else np.zeros(1)
      own = int(on.argmax())
      good = own and iou(masks.ids == own, labels) > 0.5
      by_name.setdefault(name, []).append(own if good else 0)
  return by_name


def found_at(x, y, *, size=40.0, roll=0.0, confidence=0.9):
  """A find of a face there."""
  pose = Pose(x, y, size, roll)
  return Seen(pose, size * usual_points() + (x, y), confidence)
