import itertools
import pickle

import cv2
import drawn_scenes
import numpy as np
import pytest
from drawn_scenes import HEIGHT, WIDTH, Video, extract, found_at, iou

from fmx import FaceMaskExtractor
from fmx.finding.cuts import CutDetector
from fmx.finding.tracks import Course
from fmx.labelling import extractor as module
from fmx.labelling.bridging import Bridge, bridges
from fmx.labelling.crops import crop_of
from fmx.labelling.faces import Reading
from tfds_300vw.pose import Pose

LENGTH = 24


@pytest.fixture(autouse=True)
def _no_networks(monkeypatch):
  monkeypatch.setattr(module, 'Predictor', drawn_scenes.ColorPredictor)


class Told(drawn_scenes.Oracle):
  """It sees nothing in spoiled frames."""

  def __init__(self, video, spoiled=()):
    super().__init__(video, blind=lambda index, name: index in spoiled)


def drifting(people=('Ann',)):
  """Faces that drift and roll a little."""
  video, start = Video(), {'Ann': (90, 70), 'Bob': (180, 80)}
  for i in range(LENGTH):
    video.add({n: (start[n][0] + 1.5 * i, start[n][1] + i / 2, 60, i / 2) for n in people})
  return video


def noise(index):
  return np.random.default_rng(index).integers(0, 255, (HEIGHT, WIDTH, 3)).astype(np.uint8)


def spoil(video, spoiled, frame=noise):
  for index in spoiled:
    video.frames[index] = frame(index)
  return Told(video, set(spoiled))


def quality(video, found, index, name='Ann'):
  """IoU of the face and mean IoU of eyes and mouth."""
  truth, labels = video.labels(index, name), found[index].labels
  parts = [iou(labels == c, truth == c) for c in (2, 3)]
  return iou(labels > 0, truth > 0), np.mean(parts)


# Positions in windows of five frames: in the middle, at the end, at the beginning, across.
@pytest.mark.parametrize(
  'spoiled', [(7,), (9,), (10,), (8, 9, 10, 11), (6, 9), (9, 14, 19), (6, 7, 8, 9)]
)
def test_a_short_gap_has_the_masks_between_those_around_it(spoiled):
  video = drifting()
  found = extract(video, spoil(video, spoiled))
  assert [masks.index for masks in found] == list(range(LENGTH))
  for index in range(LENGTH):
    (face,) = found[index].faces
    assert face.id == 1
    assert face.verdict == 'bridged' if index in spoiled else face.verdict in ('good', 'refound')
    whole, parts = quality(video, found, index)
    assert whole > 0.9
    assert parts > 0.65
  assert not any(masks.lost or masks.is_cut for masks in found)


@pytest.mark.parametrize('spoiled', [range(8, 13), range(6, 14)])
def test_a_longer_gap_stays_empty(spoiled):
  video = drifting()
  found = extract(video, spoil(video, spoiled))
  assert [masks.labels.any() for masks in found] == [i not in spoiled for i in range(LENGTH)]
  assert all(masks.lost == (1,) for masks in found[spoiled.start : spoiled.stop])


@pytest.mark.parametrize('spoiled', [(0, 1), (22, 23), (23,)])
def test_what_has_nothing_before_or_behind_it_stays_empty(spoiled):
  video = drifting()
  found = extract(video, spoil(video, spoiled))
  assert [masks.labels.any() for masks in found] == [i not in spoiled for i in range(LENGTH)]


def test_no_gap_is_bridged_if_that_is_not_wanted():
  video = drifting()
  found = extract(video, spoil(video, (7, 9)), bridge=0)
  assert [masks.index for masks in found if not masks.labels.any()] == [7, 9]
  found = extract(video, spoil(video, (7, 9, 10)), bridge=1)
  assert [masks.index for masks in found if not masks.labels.any()] == [9, 10]
  assert found[7].faces[0].verdict == 'bridged'


@pytest.mark.parametrize('bridge', [-1, 5])
def test_a_gap_that_is_longer_than_a_window_is_refused(bridge):
  with pytest.raises(ValueError, match=f'bridge is {bridge}; it must be 0 to 4 frames'):
    FaceMaskExtractor(drawn_scenes.models(), finder=Told(Video()), bridge=bridge)


def test_a_face_that_leaves_or_leaps_is_not_where_it_was():
  gone, leaps = Video(), Video()
  for i in range(LENGTH):
    gone.add({'Ann': (120, 75, 60)} if i < 13 else {})
    leaps.add({'Ann': (60 if i < 11 else 180, 75, 60)})
  found = extract(gone, Told(gone))
  assert [masks.labels.any() for masks in found] == [i < 13 for i in range(LENGTH)]
  found = extract(leaps, spoil(leaps, (11, 12)))
  assert [masks.labels.any() for masks in found] == [i not in (11, 12) for i in range(LENGTH)]


@pytest.mark.parametrize('spoiled', [(9, 11, 13), (4, 6, 9), (8,), (5, 7, 8)])
@pytest.mark.parametrize(('x', 'y', 'growth'), [(8, 10, 1.35), (60, -20, 0.8), (0, 40, 1.0)])
def test_what_the_finder_sees_in_a_spoiled_frame_misleads_nobody(spoiled, x, y, growth):
  class Misled(Told):
    def _look(self, frame):
      index = self._index.get(frame.tobytes())
      if index not in spoiled:
        return super()._look(frame)
      pose = video.pose(index, 'Ann')
      return [found_at(pose.x + x, pose.y + y, size=growth * pose.size, confidence=0.6)]

  video = drifting()
  spoil(video, spoiled)
  found = extract(video, Misled(video, set(spoiled)))
  for index, masks in enumerate(found):
    (face,) = masks.faces
    assert (face.id, face.verdict == 'bridged') == (1, index in spoiled)
    assert quality(video, found, index)[0] > 0.9


@pytest.mark.parametrize('spoiled', [(5, 6), (7, 8), (9, 10)])
def test_a_face_that_is_there_in_a_spoiled_frame_alone_takes_nobodys_place(spoiled, monkeypatch):
  monkeypatch.setattr(CutDetector, '__call__', lambda self, frame: False)
  video, other = drifting(), Video()
  other.add({'Bob': (video.pose(spoiled[0], 'Ann').x + 80, 75, 80)})
  video.frames[spoiled[0]] = other.frames[0]
  video.frames[spoiled[1]] = noise(0)
  finder, sees = Told(video, spoiled[1:]), video.people[spoiled[0]]
  video.people[spoiled[0]] = other.people[0]
  found = extract(video, lambda frames: finder(frames))
  video.people[spoiled[0]] = sees
  assert [[face.id for face in masks.faces] for masks in found] == [[1]] * LENGTH
  for index, masks in enumerate(found):
    assert (masks.faces[0].verdict == 'bridged') == (index in spoiled)
    assert quality(video, found, index)[0] > 0.9


def test_only_the_face_that_is_lost_is_bridged():
  video, hidden = drifting(('Ann', 'Bob')), (8, 9)
  for index in hidden:
    mask = video.labels(index, 'Bob') > 0
    video.frames[index][cv2.dilate(mask.astype(np.uint8), np.ones((5, 5))) > 0] = (20, 75, 20)
  blind = drawn_scenes.Oracle(video, blind=lambda index, name: index in hidden and name == 'Bob')
  found = extract(video, blind, max_faces=2)
  verdicts = [
    {face.id: face.verdict for face in masks.faces if face.verdict == 'bridged'} for masks in found
  ]
  (bob,) = set(itertools.chain.from_iterable(verdicts))
  assert [i for i, bridged in enumerate(verdicts) if bridged == {bob: 'bridged'}] == list(hidden)
  for index, name in itertools.product(range(LENGTH), ('Ann', 'Bob')):
    assert quality(video, found, index, name)[0] > 0.4  # Both together are more than either.


def reading(confidence, looks, poses=None):
  """Of a face whose crops are of one grey level each."""
  length = len(confidence)
  poses = poses or [Pose(60 + i, 70, 50, 0) for i in range(length)]
  model = drawn_scenes.model('primary', 32)
  small = np.float32(looks)[:, None, None, None] * np.ones((1, 24, 24, 3), np.float32)
  course = Course(1, tuple(poses), np.zeros((length, 5, 2)), np.ones(length, bool))
  crops = tuple(crop_of(pose, model) for pose in poses)
  empty = np.zeros((length, 32, 32, 5), np.float32)
  sure = np.float32(confidence)
  labels, times = empty[..., 0].astype(np.uint8), tuple(range(length))
  return Reading(course, crops, small, empty, labels, sure, (), None, times)


def bridged_times(confidence, looks, verdicts=None, longest=4, **options):
  read = reading(confidence, looks, **options)
  return [b.time for b in bridges(read, verdicts or ['good'] * len(confidence), None, longest)]


@pytest.mark.parametrize(
  ('confidence', 'looks', 'expected'),
  [
    ((0.95, 0.95, 0.90, 0.95, 0.95), (80, 81, 200, 82, 83), [2]),
    # Less sure by a hair.
    ((0.95, 0.95, 0.945, 0.95, 0.95), (80, 81, 200, 82, 83), []),
    # It looks like what was before, or is on the way to what is behind.
    ((0.95, 0.95, 0.90, 0.95, 0.95), (80, 81, 81.5, 82, 83), []),
    ((0.95, 0.95, 0.90, 0.95, 0.95), (80, 80, 100, 120, 120), []),
    # Nothing is surer on one side.
    ((0.90, 0.90, 0.90, 0.95, 0.95), (80, 81, 200, 82, 83), []),
    ((0.95, 0.95, 0.95, 0.90, 0.90), (80, 81, 82, 200, 200), []),
    # Several in a row, and a way between them that is no way.
    ((0.95, 0.90, 0.80, 0.90, 0.95), (80, 200, 220, 200, 82), [1, 2, 3]),
    ((0.95, 0.90, 0.80, 0.90, 0.95), (80, 200, 81, 200, 82), [1, 3]),
  ],
)
def test_a_faint_mask_gives_way_where_the_face_looks_like_neither_side(confidence, looks, expected):
  assert bridged_times(confidence, looks) == expected


def test_a_lost_face_is_bridged_whatever_it_looks_like_but_not_too_far():
  sure, looks = (0.95,) * 7, (80,) * 7
  lost = ['good', None, None, 'good', None, None, None]
  assert bridged_times(sure, looks, lost) == [1, 2]
  assert bridged_times(sure, looks, lost, longest=1) == []
  away = [Pose(60 + 20 * (i > 1), 70, 50, 0) for i in range(7)]
  assert bridged_times(sure, looks, lost, poses=away) == []


def test_it_goes_on_with_the_same_bits_inside_of_a_gap():
  video = drifting()
  finder = spoil(video, (4, 5, 9, 13, 14, 15))
  extractor = FaceMaskExtractor(drawn_scenes.models(), finder=finder)
  windows = list(extractor.windows(video.frames))
  expected = [masks for window, _ in windows for masks in window]
  assert [len(window) for window, _ in windows][:2] == [4, 5]  # The first waits for its gap.
  for _, state in windows[:-1]:
    saved = pickle.loads(pickle.dumps(state))
    rest = extractor.windows(iter(video.frames[saved.next_index :]), saved)
    for masks in itertools.chain.from_iterable(window for window, _ in rest):
      np.testing.assert_array_equal(masks.labels, expected[masks.index].labels)
      assert [face.verdict for face in masks.faces] == [
        face.verdict for face in expected[masks.index].faces
      ]


def test_a_camera_that_gives_frame_after_frame_gets_each_at_once():
  video = drifting()
  extractor = FaceMaskExtractor(drawn_scenes.models(), finder=spoil(video, (7, 8)))
  state, found = None, []
  for frame in video.frames:
    (((masks,), state),) = extractor.windows([frame], state)
    found.append(masks)
  assert [masks.labels.any() for masks in found] == [i not in (7, 8) for i in range(LENGTH)]


def test_a_blend_worked_by_hand():
  before, behind = np.float32([1, 0]), np.float32([0, 2])
  np.testing.assert_allclose(Bridge(3, 1, 5).blend(before, behind), [0.5, 1.0])
  np.testing.assert_allclose(Bridge(0, -1, 3).blend(before, behind), [0.75, 0.5])
