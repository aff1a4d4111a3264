import dataclasses
import itertools
import pickle

import numpy as np
import pytest
import tiny_models

import fmx
from fmx.finding.tracking import Track
from fmx.labelling import extractor as module
from fmx.labelling import frame_masks
from fmx.labelling.classes import predict
from fmx.labelling.extractor import FaceMaskExtractor
from fmx.labelling.faces import confidence
from fmx.labelling.predictor import Predictor
from fmx.labelling.zoom import zoom_in
from tfds_300vw import boxes

LENGTH = tiny_models.LENGTH
HEIGHT, WIDTH = 48, 64
BOXES = {1: (4, 6, 34, 40), 2: (30, 10, 60, 36), 3: (0, 0, 8, 8)}


class BlueCuts:
  """A cut is where the blue of the corner changes."""

  def __init__(self):
    self._last = None

  def __call__(self, frame):
    last, self._last = self._last, frame[0, 0, 2]
    return last is not None and last != self._last


class ScriptedTracker:
  """Follows the faces that the first row of the frame names; a box moves with its face's mask."""

  def __init__(self, detector, *, max_faces=1, box=None):
    self.max_faces, self.moved, self.seen, self.no_face, self.cuts = max_faces, {}, set(), set(), 0
    self.windows = 0

  def start_window(self, frame):
    self.open = True
    found = [int(face) for face in frame[0, 1 : 1 + self.max_faces, 2] if face]
    tracks = []
    for face in found:
      shift = self.moved.get(face, 0)
      box = np.array(BOXES[face]) + (shift, 0, shift, 0)
      tracks.append(Track(id=face, box=box, is_new=face not in self.seen))
    self.seen, self.tracks = set(found), tracks
    return tracks

  def settle(self, labels):
    assert labels.keys() == {track.id for track in self.tracks if track.is_new}
    assert all(len(of_face) == 1 for of_face in labels.values())
    return self.tracks

  def finish_window(self, labels):
    assert self.open
    self.open, self.windows = False, self.windows + 1
    for face, of_face in labels.items():
      assert of_face.dtype == np.uint8
      self.moved[face] = int(np.count_nonzero(of_face == 1)) % 4
    return {face for face in labels if face == 3}

  def cut(self):
    self.cuts += 1
    self.moved, self.seen = {}, set()


@pytest.fixture(autouse=True)
def _scripted(monkeypatch):
  monkeypatch.setattr(module, 'FaceTracker', ScriptedTracker)
  monkeypatch.setattr(module, 'CutDetector', BlueCuts)


@pytest.fixture(scope='module')
def models():
  return tiny_models.models('primary', 'eyes', 'mouth')


def extractor(models, **options):
  return FaceMaskExtractor(models, detector=object(), **options)


def video(number, faces=(1, 2), cuts=(), seed=0):
  """Noise that drifts; `faces` are in it from frame to frame, and `cuts` begin new shots."""
  rng = np.random.default_rng(seed)
  frames, shot = rng.integers(0, 200, (number, HEIGHT, WIDTH, 3), np.uint8), 0
  for index, frame in enumerate(frames):
    shot += index in cuts
    here = faces(index) if callable(faces) else faces
    frame[0, :, 2] = [shot, *here, *([0] * (WIDTH - 1 - len(here)))]
  return list(frames)


def assert_same(found, expected):
  assert len(found) == len(expected)
  for one, other in zip(found, expected):
    assert (one.index, one.is_cut) == (other.index, other.is_cut)
    np.testing.assert_array_equal(one.labels, other.labels)
    np.testing.assert_array_equal(one.ids, other.ids)
    for face, same in zip(one.faces, other.faces, strict=True):
      assert dataclasses.replace(face, box=None) == dataclasses.replace(same, box=None)
      np.testing.assert_array_equal(face.box, same.box)


def test_there_are_masks_for_every_frame(models):
  frames = video(8)
  found = list(extractor(models, max_faces=2)(iter(frames)))
  assert [masks.index for masks in found] == list(range(8))
  for masks in found:
    assert (masks.labels.shape, masks.labels.dtype) == ((HEIGHT, WIDTH), np.uint8)
    assert not masks.is_cut
    assert {face.id for face in masks.faces} == set(np.unique(masks.ids)) - {0}
    np.testing.assert_array_equal(masks.ids > 0, masks.labels > 0)
    for face in masks.faces:
      assert face.areas == frame_masks.areas(masks.labels[masks.ids == face.id])
      assert 0.2 < face.confidence < 1
  assert any(len(masks.faces) == 2 for masks in found)
  assert len({class_id for masks in found for class_id in np.unique(masks.labels)}) > 2


def test_a_face_is_labelled_by_the_networks_in_its_own_box(models):
  frames = video(LENGTH, faces=(1,))
  found = list(extractor(models)(frames))
  box = np.array(BOXES[1])
  primary = Predictor(models['primary'])
  logits, _ = primary(np.stack([[primary.cut(frame, box) for frame in frames]]))
  labels = np.zeros((LENGTH, HEIGHT, WIDTH), np.uint8)
  for of_frame, of_logits in zip(labels, logits[0]):
    boxes.crop(of_frame, box)[...] = predict(of_logits, 34, 30)
  plain = list(extractor(models, zoom=False)(frames))
  np.testing.assert_array_equal([masks.labels for masks in plain], labels)
  # The zoomed-in models see whole frames here: twice the box is nearly all of them.
  predictors = {name: Predictor(models[name]) for name in ('eyes', 'mouth')}
  (zoomed,), _ = zoom_in([list(labels)], [frames], [np.zeros((LENGTH, 2), int)], predictors, [{}])
  scope = boxes.clamp(boxes.enlarge(box, 2), HEIGHT, WIDTH)
  assert scope.tolist() == [0, 0, 53, 48]
  np.testing.assert_array_equal(found[0].labels[:, :30], zoomed[0][:, :30])
  assert (zoomed[0] != labels[0]).any()


def test_faces_of_a_window_are_labelled_together_as_they_are_alone(models, monkeypatch):
  calls = []
  call = Predictor.__call__
  monkeypatch.setattr(
    Predictor,
    '__call__',
    lambda self, video, carry=None: calls.append(len(video)) or call(self, video, carry),
  )
  together = list(extractor(models, max_faces=2, zoom=False)(video(LENGTH)))
  assert calls == [2, 2, 2]  # Twice to settle the new faces in their first frame, then the window.
  alone = list(extractor(models, zoom=False)(video(LENGTH, faces=(1,))))
  own = together[0].ids == 1
  np.testing.assert_array_equal(together[0].labels[own], alone[0].labels[own])
  assert own.any()


@pytest.mark.parametrize('state', ['stream', 'reset'])
def test_an_interrupted_extraction_goes_on_to_the_same_bits(models, state):
  # Two cuts, one of them inside a window of three frames; a face that comes and goes.
  cuts, number = (4, 9), 17
  come_and_go = lambda index: (1,) if 11 < index < 15 else (1, 2)  # noqa: E731
  frames = video(number, come_and_go, cuts)
  options = {'max_faces': 2, 'state': state}
  windows = list(extractor(models, **options).windows(iter(frames)))
  expected = list(itertools.chain.from_iterable(window for window, _ in windows))
  assert [masks.index for masks in expected] == list(range(number))
  assert [masks.index for masks in expected if masks.is_cut] == list(cuts)
  assert [len(window) for window, _ in windows] == [3, 1, 3, 2, 3, 3, 2]
  for number_done, (_, after) in enumerate(windows[:-1], start=1):
    done = sum(len(window) for window, _ in windows[:number_done])
    assert after.next_index == done
    saved = pickle.loads(pickle.dumps(after))
    rest = extractor(models, **options).windows(iter(frames[done:]), saved)
    assert_same([masks for window, _ in rest for masks in window], expected[done:])
  # A state is a snapshot: going on from one twice gives the same.
  _, first = windows[0]
  again = [list(extractor(models, **options).windows(frames[3:], first)) for _ in range(2)]
  assert_same(*([masks for window, _ in run for masks in window] for run in again))


def test_streaming_labels_a_shot_as_one_long_window(models, monkeypatch):
  monkeypatch.setattr(ScriptedTracker, 'finish_window', lambda self, labels: set())  # Still boxes.
  frames = video(2 * LENGTH, faces=(1,))
  long = {'primary': tiny_models.model(length=2 * LENGTH)}
  expected, streamed, anew = (
    np.stack([masks.labels for masks in extractor(weights, **options)(frames)])
    for weights, options in (
      (long, {}),
      (models, {'zoom': False}),
      (models, {'zoom': False, 'state': 'reset'}),
    )
  )
  assert (streamed != expected).mean() < 1e-3  # Ties of rounding.
  np.testing.assert_array_equal(streamed[:LENGTH], anew[:LENGTH])
  assert (anew != expected).mean() > 0.01


def test_the_state_of_a_face_does_not_outlive_a_cut(models):
  frames = video(2 * LENGTH, faces=(1,), cuts=(LENGTH,))
  whole = list(extractor(models)(frames))
  second = list(extractor(models)(frames[LENGTH:]))
  for masks, alone in zip(whole[LENGTH:], second):
    np.testing.assert_array_equal(masks.labels, alone.labels)
  assert whole[LENGTH].is_cut
  without = list(extractor(models)(video(2 * LENGTH, faces=(1,))))
  assert any((a.labels != b.labels).any() for a, b in zip(without[LENGTH:], whole[LENGTH:]))


def test_no_window_holds_two_shots_and_no_more_frames_are_kept(models):
  frames, taken = video(10, cuts=(2, 3)), []
  source = (taken.append(index) or frame for index, frame in enumerate(frames))
  for window, after in extractor(models).windows(source):
    assert len({int(frames[masks.index][0, 0, 2]) for masks in window}) == 1
    assert [masks.is_cut for masks in window[1:]] == [False] * (len(window) - 1)
    assert len(taken) <= after.next_index + 1  # A cut is seen with the frame after it.


def test_a_frame_without_a_face_has_an_empty_mask(models):
  found = list(extractor(models)(video(4, faces=())))
  for masks in found:
    assert masks.faces == ()
    assert not masks.labels.any()
    assert not masks.ids.any()


def test_what_the_tracker_calls_no_face_is_left_out(models):
  found = list(extractor(models, max_faces=2)(video(LENGTH, faces=(1, 3))))
  assert {face.id for masks in found for face in masks.faces} == {1}
  assert not any((masks.ids == 3).any() for masks in found)


def test_confidence_is_the_mean_probability_of_the_predicted_class_on_the_face():
  # Two classes and three pixels: logits (0, ln 3) give 3/4, (0, ln 9) give 9/10, and the third is
  # background. The mean of 0.75 and 0.9 is 0.825.
  logits = np.log(np.array([[[[1, 3], [1, 9], [8, 1]]]], np.float32))
  np.testing.assert_allclose(confidence(logits), [0.825], rtol=1e-6)
  assert confidence(logits[..., ::-1][:, :, :2]).tolist() == [0]


@pytest.mark.parametrize(
  ('frames', 'message'),
  [
    ([], 'not a single frame'),
    ([np.zeros((8, 8, 3), np.float32)], r'Frame 0 is float32 \(8, 8, 3\); frames must be RGB'),
    ([np.zeros((8, 8), np.uint8)], 'Frame 0 is uint8'),
    (['frame.png'], "Frame 0 is <class 'str'>"),
    ([np.zeros((8, 8, 3), np.uint8), np.zeros((8, 9, 3), np.uint8)], 'Frame 1 has 9 x 8 pixels'),
  ],
)
def test_what_is_no_video_is_refused(models, frames, message):
  with pytest.raises(ValueError, match=message):
    list(extractor(models)(frames))


def test_options_and_weights_that_do_not_fit_are_refused(models):
  with pytest.raises(ValueError, match="state is 'keep'; it must be 'stream' or 'reset'"):
    extractor(models, state='keep')
  with pytest.raises(ValueError, match="hold eyes, but masks of whole faces need .* 'primary'"):
    extractor({'eyes': models['eyes']})
  with pytest.raises(ValueError, match='eyes: 5'):
    extractor(models | {'eyes': tiny_models.model('eyes', length=5)})
  with pytest.raises(OSError, match='/nowhere holds no weights'):
    extractor('/nowhere')


def test_the_package_hands_it_out():
  assert fmx.FaceMaskExtractor is FaceMaskExtractor
