"""The stream of windows, networks' memory and refusals, with networks that know nothing."""

import dataclasses
import itertools
import pickle

import numpy as np
import pytest
import tiny_models
import tiny_weights
from drawn_scenes import usual_points

import fmx
from fmx.engines import choice
from fmx.finding.looking import Seen
from fmx.finding.verification import Evidence
from fmx.labelling import extractor as module
from fmx.labelling import faces, frame_masks
from fmx.labelling.extractor import FaceMaskExtractor
from fmx.labelling.faces import confidence, most_probable
from fmx.labelling.predictor import Predictor
from tfds_300vw.pose import Pose

LENGTH = tiny_models.LENGTH
HEIGHT, WIDTH = 48, 64
POSES = {1: Pose(20.0, 22.0, 24.0, 0.1), 2: Pose(46.0, 24.0, 20.0, -0.2)}


class BlueCuts:
  """A cut is where the blue of the corner changes."""

  def __init__(self):
    self._last = None

  def __call__(self, frame):
    last, self._last = self._last, frame[0, 0, 2]
    return last is not None and last != self._last

  def knows(self, frame):
    return frame[0, 0, 2] == self._last


def scripted(frames):
  """A finder that sees the faces which the first row of a frame names."""
  return [
    [found(POSES[int(face)]) for face in frame[0, 1:3, 2] if int(face) in POSES] for frame in frames
  ]


def found(pose):
  return Seen(pose, pose.size * usual_points() + (pose.x, pose.y), 0.9)


@pytest.fixture(autouse=True)
def _gullible(monkeypatch):
  """Masks of untrained networks are no faces; here they are taken for some."""
  monkeypatch.setattr(module, 'CutDetector', BlueCuts)
  evidence = Evidence(True, False, np.zeros(3), True)
  monkeypatch.setattr(faces, 'examine', lambda *arguments, **options: evidence)
  monkeypatch.setattr(faces, 'face_piece', lambda labels: labels > 0)


@pytest.fixture(scope='module')
def models():
  return tiny_models.models('primary', 'mouth', 'eye')


def extractor(models, **options):
  return FaceMaskExtractor(models, **{'finder': scripted, 'engine': 'xla'} | options)


def video(number, people=(1, 2), cuts=(), seed=0):
  """A noisy picture; `people` are in it from frame to frame, and `cuts` begin new shots."""
  rng = np.random.default_rng(seed)
  picture = rng.integers(0, 170, (HEIGHT, WIDTH, 3), np.uint8)
  frames, shot = picture + rng.integers(0, 60, (number, HEIGHT, WIDTH, 3), np.uint8), 0
  for index, frame in enumerate(frames):
    shot += index in cuts
    here = people(index) if callable(people) else people
    frame[0, :, 2] = [shot, *here, *([0] * (WIDTH - 1 - len(here)))]
  return list(frames)


def assert_same(masks, expected):
  assert len(masks) == len(expected)
  for one, other in zip(masks, expected):
    assert (one.index, one.is_cut, one.lost) == (other.index, other.is_cut, other.lost)
    np.testing.assert_array_equal(one.labels, other.labels)
    np.testing.assert_array_equal(one.ids, other.ids)
    for face, same in zip(one.faces, other.faces, strict=True):
      assert dataclasses.replace(face, box=None) == dataclasses.replace(same, box=None)
      np.testing.assert_array_equal(face.box, same.box)


def test_there_are_masks_for_every_frame(models):
  frames = video(8)
  masks = list(extractor(models, max_faces=2)(iter(frames)))
  assert [of_frame.index for of_frame in masks] == list(range(8))
  for of_frame in masks:
    assert (of_frame.labels.shape, of_frame.labels.dtype) == ((HEIGHT, WIDTH), np.uint8)
    assert {face.id for face in of_frame.faces} == set(np.unique(of_frame.ids)) - {0}
    np.testing.assert_array_equal(of_frame.ids > 0, of_frame.labels > 0)
    for face in of_frame.faces:
      assert face.areas == frame_masks.areas(of_frame.labels[of_frame.ids == face.id])
      assert 0 < face.confidence < 1
  assert any(len(of_frame.faces) == 2 for of_frame in masks)


def test_faces_of_a_window_are_labelled_together_as_they_are_alone(models, monkeypatch):
  calls = []
  run = Predictor._run
  monkeypatch.setattr(
    Predictor,
    '_run',
    lambda self, video, *rest: calls.append(len(video)) or run(self, video, *rest),
  )
  together = list(extractor(models, max_faces=2, zoom=False)(video(LENGTH)))
  assert calls == [2]
  alone = list(extractor(models, zoom=False)(video(LENGTH, people=(1,))))
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


def labels(weights, frames, **options):
  options = {'zoom': False} | options
  return np.stack([masks.labels for masks in extractor(weights, **options)(frames)])


def test_the_memory_of_networks_goes_from_window_to_window(models):
  frames = video(2 * LENGTH, people=(1,))
  expected = labels({'primary': tiny_models.model(length=2 * LENGTH)}, frames)
  streamed, anew = labels(models, frames), labels(models, frames, state='reset')
  assert (streamed != expected).mean() < 1e-3  # Ties of rounding.
  np.testing.assert_array_equal(streamed[:LENGTH], anew[:LENGTH])
  assert (anew != expected).mean() > 0.003


def test_the_memory_of_a_face_outlives_neither_a_cut_nor_its_loss(models, monkeypatch):
  whole = labels(models, video(2 * LENGTH, people=(1,), cuts=(LENGTH,)))
  anew = labels(models, video(2 * LENGTH, people=(1,), cuts=(LENGTH,)), state='reset')
  np.testing.assert_array_equal(whole, anew)
  # Not shown at the end of the first window: the second starts anew.
  gone = lambda index: () if index in (LENGTH - 2, LENGTH - 1) else (1,)  # noqa: E731
  frames = video(2 * LENGTH, gone)
  np.testing.assert_array_equal(labels(models, frames), labels(models, frames, state='reset'))


def test_no_window_holds_two_shots_and_no_more_frames_are_kept(models):
  frames, taken = video(10, cuts=(2, 3)), []
  source = (taken.append(index) or frame for index, frame in enumerate(frames))
  for window, after in extractor(models).windows(source):
    assert len({int(frames[masks.index][0, 0, 2]) for masks in window}) == 1
    assert [masks.is_cut for masks in window[1:]] == [False] * (len(window) - 1)
    assert len(taken) <= after.next_index + 3  # A cut is seen with the two frames after it.


def test_networks_without_a_memory_have_windows_of_five_frames():
  fcn = dataclasses.replace(tiny_models.model('fcn'), clip_length=1)
  windows = list(extractor({'primary': fcn}, zoom=False).windows(video(7, people=())))
  assert [len(window) for window, _ in windows] == [5, 2]


def test_a_frame_without_a_face_has_an_empty_mask(models):
  for masks in extractor(models)(video(4, people=())):
    assert masks.faces == ()
    assert not masks.labels.any()
    assert not masks.ids.any()


def test_confidence_is_the_mean_probability_of_the_class_on_the_face():
  # Two pixels of 3/4 and 9/10, and one of the background: (0.75 + 0.9) / 2 = 0.825.
  largest = np.array([[[0.75, 0.9, 0.9]]])
  np.testing.assert_allclose(confidence(largest, np.array([[[1, 1, 0]]])), [0.825])
  assert confidence(largest, np.zeros((1, 1, 3))).tolist() == [0]


def test_the_most_probable_class_is_that_of_argmax():
  probs = np.random.default_rng(0).random((2, 9, 8, 5)).astype(np.float32)
  probs[0, 0, 0] = 0.2  # The first of equal ones.
  labels, largest = most_probable(probs)
  assert (labels.dtype, largest.dtype) == (np.uint8, np.float32)
  np.testing.assert_array_equal(labels, probs.argmax(axis=-1))
  np.testing.assert_array_equal(largest, probs.max(axis=-1))


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


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'state': 'keep'}, "state is 'keep'; it must be 'stream' or 'reset'"),
    ({'max_faces': 0}, 'max_faces is 0'),
    ({'box': (5, 5, 5, 9)}, r'box is \(5, 5, 5, 9\); give x0, y0, x1, y1'),
    ({'engine': 'steam'}, "The engine is 'steam'; it must be 'auto' or 'xla' or 'onnxruntime' or"),
    ({'finder': 'auto'}, "hold primary, mouth, eye, but no finder.*'finder'"),
  ],
)
def test_options_that_do_not_fit_are_refused(models, options, message):
  with pytest.raises(ValueError, match=message):
    FaceMaskExtractor(models, **{'finder': scripted} | options)


def test_weights_that_do_not_fit_are_refused(models):
  with pytest.raises(ValueError, match="hold eye, but masks of whole faces need .* 'primary'"):
    extractor({'eye': models['eye']})
  with pytest.raises(ValueError, match='eye: 5'):
    extractor(models | {'eye': tiny_models.model('eye', length=5)})
  with pytest.raises(OSError, match='/nowhere holds no weights'):
    extractor('/nowhere')


def test_all_networks_run_on_the_engine_that_was_asked_for(models, monkeypatch):
  taken = []

  def made(kind, engine, *arguments):
    taken.append((kind, engine))

  monkeypatch.setattr(choice, '_made', made)
  finder = tiny_weights.model('finder')
  FaceMaskExtractor(models | {'finder': finder}, engine='onnxruntime')
  FaceMaskExtractor(models | {'finder': finder})
  kinds = ['finder', *['segmenter'] * 3]
  assert taken == [(kind, engine) for engine in ('onnxruntime', 'auto') for kind in kinds]


def test_the_package_hands_it_out():
  assert fmx.FaceMaskExtractor is FaceMaskExtractor


class Looks:
  """The scripted finder, which counts the frames that it is shown."""

  def __init__(self):
    self.count = 0

  def __call__(self, frames):
    self.count += len(frames)
    return scripted(frames)


def one_by_one(models, frames, **options):
  """Masks of frames that come one at a time, and how often the finder had looked after each."""
  finder, state, found, counts = Looks(), None, [], []
  extracting = extractor(models, finder=finder, **options)
  for frame in frames:
    (((masks,), state),) = extracting.windows([frame], state)
    found.append(masks)
    counts.append(finder.count)
  return found, np.diff([0, *counts]).tolist()


@pytest.mark.parametrize(('rest', 'period'), [(0, 1), (1, 2), (2, 3)])
def test_the_finder_rests_between_frames_whose_masks_are_sure(models, monkeypatch, rest, period):
  sure = Evidence(True, True, np.zeros(3), True)
  monkeypatch.setattr(faces, 'examine', lambda *arguments, **options: sure)
  found, looks = one_by_one(models, video(9, people=(1,)), rest=rest)
  assert [count > 0 for count in looks] == [index % period == 0 for index in range(9)]
  assert [[(face.id, face.verdict) for face in masks.faces] for masks in found] == [
    [(1, 'good')]
  ] * 9


def test_the_finder_does_not_rest_where_a_mask_is_not_sure(models):
  _, looks = one_by_one(models, video(6, people=(1,)), rest=2)  # `_gullible`: seen, but not sure.
  assert min(looks) > 0


def test_the_finder_looks_at_once_after_a_cut_and_where_nobody_is(models, monkeypatch):
  sure = Evidence(True, True, np.zeros(3), True)
  monkeypatch.setattr(faces, 'examine', lambda *arguments, **options: sure)
  frames = video(4, people=(1,), cuts=(1,))
  _, looks = one_by_one(models, frames, rest=9)
  assert [count > 0 for count in looks] == [True, True, False, False]
  _, looks = one_by_one(models, video(3, people=()), rest=9)
  assert min(looks) > 0


def test_a_window_is_looked_at_unless_all_of_it_is_within_the_rest(models, monkeypatch):
  sure = Evidence(True, True, np.zeros(3), True)
  monkeypatch.setattr(faces, 'examine', lambda *arguments, **options: sure)
  # Three frames of the first window, one of the next if it looks at that.
  for rest, expected in ((LENGTH - 1, 4), (LENGTH, 3)):
    finder = Looks()
    list(extractor(models, finder=finder, rest=rest)(video(2 * LENGTH, people=(1,))))
    assert finder.count == expected
