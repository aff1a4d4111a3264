"""Everything together on drawn videos whose masks are known, such as used to run away."""

import itertools
import pickle

import cv2
import numpy as np
import pytest
from drawn_scenes import (
  BACKGROUND,
  HEIGHT,
  SIZES,
  SKIN,
  WIDTH,
  ColorPredictor,
  Oracle,
  Video,
  extract,
  found_at,
  ids_by_name,
  iou,
  models,
)

from fmx import FaceMaskExtractor
from fmx.evaluation.confusion import confusion_counts, mean_iou
from fmx.finding import looking_again
from fmx.finding.looking import Seen
from fmx.finding.tracks import PATIENCE
from fmx.labelling import extractor as module
from tfds_300vw.pose import Pose


class NoCuts:
  """Cuts have tests of their own."""

  def __call__(self, frame):
    return False


class CutAt:
  """The one cut is at a frame of this number."""

  def __init__(self, number):
    self.left = number

  def __call__(self, frame):
    self.left -= 1
    return self.left == -1

  def knows(self, frame):
    return False


@pytest.fixture(autouse=True)
def _no_networks(monkeypatch):
  monkeypatch.setattr(module, 'Predictor', ColorPredictor)


@pytest.fixture
def no_cuts(monkeypatch):
  monkeypatch.setattr(module, 'CutDetector', NoCuts)


def wandering(number=40, background=BACKGROUND, behind=range(0)):
  """One face that drifts, breathes and rolls, in some frames bald before a background."""
  video = Video()
  for i in range(number):
    place = 120 + 30 * np.sin(i / 9), 75 + 8 * np.cos(i / 7), 62 + 8 * np.sin(i / 11)
    people = {'Ann': (*place, 12 * np.sin(i / 8))}
    video.add(people, background if i in behind else BACKGROUND, hair=i not in behind)
  return video


def wood():
  """A wall whose grain is nearly as red as skin."""
  rng = np.random.default_rng(3)
  grain = cv2.GaussianBlur(rng.uniform(0, 255, (HEIGHT, WIDTH)), (0, 0), sigmaX=40, sigmaY=2)
  grain = (grain - grain.min()) / np.ptp(grain)
  return np.stack([110 + 60 * grain, 25 + 20 * grain, 25 + 10 * grain], axis=-1)


def assert_never_beyond(video, found, least=0.8):
  """No mask covers more than its face and a little."""
  for index, masks in enumerate(found):
    face = np.zeros((HEIGHT, WIDTH), bool)
    for name in video.people[index]:
      face |= video.labels(index, name) > 0
    mask = masks.labels > 0
    if mask.any():
      assert (mask & face).sum() > least * mask.sum(), index


def test_a_face_is_followed_and_its_mask_is_exact():
  video = wandering()
  found = extract(video)
  counts = sum(
    confusion_counts(video.labels(index, 'Ann'), masks.labels, 5)
    for index, masks in enumerate(found)
  )
  assert mean_iou(counts) > 0.93
  assert [masks.index for masks in found] == list(range(40))
  for index, masks in enumerate(found):
    (face,) = masks.faces
    assert (face.id, face.verdict) == (1, 'good')
    pose = video.pose(index, 'Ann')
    assert abs(face.roll - pose.roll) < 0.1
    centre = (face.box[:2] + face.box[2:]) / 2
    assert np.abs(centre - (pose.x, pose.y)).max() < 0.1 * pose.size


@pytest.mark.usefixtures('no_cuts')
@pytest.mark.parametrize('background', ['skin', 'wood'])
def test_where_the_background_looks_like_skin_the_mask_is_empty_not_wrong(background):
  image = np.array(SKIN) if background == 'skin' else wood()
  video = wandering(45, image, range(15, 30))
  # The finder is not deceived, so neither the pose nor what follows is.
  found = extract(video)
  assert_never_beyond(video, found, 0.6)
  on = ids_by_name(video, found)['Ann']
  assert on[:15] == [1] * 15
  assert on[30:] == [1] * 15
  if background == 'skin':
    assert not any(masks.labels.any() for masks in found[15:30])
    assert {lost for masks in found[15:30] for lost in masks.lost} == {1}


def test_a_face_that_leaves_and_comes_back_keeps_its_id_and_has_no_mask_in_between():
  video = Video()
  for i in range(100):
    x = 120 + 6 * i if i < 50 else 240 + 60 - 6 * (i - 70)
    video.add({'Ann': (x, 75, 60)} if not 36 < i < 66 else {})
  found = extract(video)
  ids = ids_by_name(video, found)['Ann']
  assert set(ids[:17]) == {1}
  assert not any(masks.labels.any() for masks in found[40:64])
  assert [masks.faces[0].id for masks in found[85:]] == [1] * 15


@pytest.mark.usefixtures('no_cuts')
@pytest.mark.parametrize('misses', [0, 4])
def test_ids_stay_where_two_people_cross(misses):
  # Bob goes in front of Ann, again and again, for four seconds; who is behind is not found.
  video = Video()
  for i in range(120):
    x = 60 * np.sin(i / 15)
    video.add({'Ann': (120 - x, 75, 52), 'Bob': (120 + x, 79, 60)})

  def blind(index, name):
    hidden = abs(60 * np.sin(index / 15)) < 22 and name == 'Ann'
    return hidden or (misses and (index * 7 + len(name) + ord(name[0])) % misses == 0)

  found = extract(video, Oracle(video, blind=blind), max_faces=2)
  ids = ids_by_name(video, found)
  apart = [i for i in range(len(found)) if abs(60 * np.sin(i / 15)) > 35]
  ann, bob = ({ids[name][i] for i in apart} - {0} for name in ('Ann', 'Bob'))
  assert (ann, bob) in (({1}, {2}), ({2}, {1}))
  assert np.mean([ids['Bob'][i] > 0 for i in apart]) > 0.95
  assert np.mean([ids['Ann'][i] > 0 for i in apart]) > 0.9
  assert_never_beyond(video, found)


@pytest.mark.usefixtures('no_cuts')
def test_one_mask_does_not_go_from_one_person_to_the_other():
  # Cid comes in, nearly as large, and passes close by; then Ann is hidden for a while.
  video = Video()
  for i in range(90):
    people = {'Ann': (80, 75, 60), 'Cid': (230 - 2 * i if i < 45 else 140 + 2 * (i - 45), 80, 58)}
    if 60 <= i < 75:
      del people['Ann']
    video.add(people)
  found = extract(video)
  ids = ids_by_name(video, found)
  assert ids['Ann'][:60] == [1] * 60
  assert not any(ids['Cid'][:60])
  assert set(ids['Cid'][65:]) == {2}
  assert all(len(masks.faces) <= 1 for masks in found)


@pytest.mark.usefixtures('no_cuts')
def test_a_jump_in_size_is_followed_at_once():
  video = Video()
  for i in range(30):
    video.add({'Ann': (120, 75, 45 if i < 13 else 85)})
  on = ids_by_name(video, extract(video))['Ann']
  assert on.count(1) >= 29


@pytest.mark.usefixtures('no_cuts')
def test_after_an_overlooked_cut_the_next_face_has_its_mask_at_once():
  video = Video()
  for i in range(30):
    video.add({'Ann': (70, 75, 70)} if i < 12 else {'Bob': (180, 75, 48)})
  found = extract(video)
  on = ids_by_name(video, found)
  assert on['Ann'] + on['Bob'] == [1] * 12 + [2] * 18
  assert all(len(masks.faces) == 1 for masks in found)


def test_a_face_that_leaps_about_keeps_its_mask():
  rng = np.random.default_rng(3)
  video = Video()
  for _ in range(40):
    x, y = rng.uniform(-20, 20, 2)  # Up to two thirds of the face's size from frame to frame.
    video.add({'Ann': (120 + x, 75 + y / 2, 60)})
  assert ids_by_name(video, extract(video))['Ann'] == [1] * 40


def test_a_head_that_rolls_over_is_followed():
  video = Video()
  for i in range(60):
    video.add({'Ann': (120, 75, 60, 3 * i)})  # To 177 degrees.
  found = extract(video)
  assert ids_by_name(video, found)['Ann'] == [1] * 60
  assert abs(np.degrees(found[30].faces[0].roll) - 90) < 6


class EyeFinder:
  """Finds the one face of an image by the colours of eyes and mouth, if it is about upright."""

  def __call__(self, frames):
    return [self._look(frame) for frame in frames]

  def _look(self, frame):
    far = np.abs(frame.astype(int)[..., None, :] - [[30, 157, 30], [30, 157, 157]]).max(-1) < 50
    count, _, stats, centres = cv2.connectedComponentsWithStats(far[..., 0].view(np.uint8))
    if count < 3 or not far[..., 1].any():
      return []
    eyes = centres[1:][np.argsort(-stats[1:, cv2.CC_STAT_AREA])[:2]]
    mouth = np.argwhere(far[..., 1]).mean(0)[::-1]
    eyes = eyes[np.argsort(eyes[:, 0])]
    across = eyes[1] - eyes[0]
    roll = np.arctan2(across[1], across[0])
    if abs(roll) > 0.7 or mouth[1] < eyes[:, 1].mean():
      return []
    size = np.hypot(*across) / 0.44
    middle = (eyes.mean(axis=0) + mouth) / 2 + (0, 0.08 * size)
    return [Seen(Pose(*middle, size, roll), np.stack([*eyes, middle, mouth, mouth]), 0.9)]


@pytest.mark.parametrize('roll', [75, -80])
def test_a_lying_head_is_found_where_the_finder_knows_upright_ones_only(roll):
  video = Video()
  for _ in range(10):
    video.add({'Ann': (120, 75, 60, roll)})
  found = extract(video, EyeFinder())
  assert ids_by_name(video, found)['Ann'] == [1] * 10
  assert found[0].faces[0].verdict == 'refound'


class UprightOracle(Oracle):
  """A finder that takes hanging heads for upright ones, unless it sees the frame upside down."""

  def _look(self, frame):
    found = super()._look(frame)
    if found:
      return [found_at(f.pose.x, f.pose.y, size=f.pose.size, confidence=0.5) for f in found]
    return [
      Seen(
        Pose(WIDTH - 1 - f.pose.x, HEIGHT - 1 - f.pose.y, f.pose.size, f.pose.roll - np.pi),
        (WIDTH - 1, HEIGHT - 1) - f.points,
        0.9,
      )
      for f in super()._look(np.ascontiguousarray(frame[::-1, ::-1]))
    ]


@pytest.mark.parametrize('roll', [160, 180, -170])
def test_a_hanging_head_that_is_taken_for_an_upright_one_is_found_upside_down(roll):
  video = Video()
  for i in range(10):
    video.add({'Ann': (120 + 2 * i, 75, 60, roll)})
  found = extract(video, UprightOracle(video, noise=0))
  assert ids_by_name(video, found)['Ann'] == [1] * 10
  assert_never_beyond(video, found)
  assert abs(np.degrees(found[7].faces[0].roll)) > 150


def test_frames_of_noise_have_no_mask_and_harm_nothing():
  noise = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3))
  video = wandering(30)
  for i in range(12, 19):
    video.frames[i] = np.roll(noise, 7 * i, axis=1).astype(np.uint8)
    video.people[i] = {}
  found = extract(video)
  assert not any(masks.labels.any() for masks in found[12:19])
  on = ids_by_name(video, found)['Ann']
  assert all(on)


def test_a_cut_begins_anew_with_other_ids(monkeypatch):
  monkeypatch.setattr(module, 'CutDetector', lambda: CutAt(13))
  video = wandering(13)
  for _ in range(12):
    video.add({'Bob': (180, 60, 80)})
  found = extract(video)
  assert [masks.index for masks in found if masks.is_cut] == [13]
  ids = ids_by_name(video, found)
  assert (set(ids['Ann']), set(ids['Bob'])) == ({1}, {2})
  assert all(masks.window == 13 for masks in found[13:18])


def test_what_the_finder_misses_for_a_moment_is_found_by_a_second_look_or_kept():
  video = wandering(60)
  found = extract(video, Oracle(video, blind=lambda index, _: index % 5 in (0, 2) or index > 54))
  # The last window is wholly unseen, and the face moves by a twentieth of its size a frame.
  assert ids_by_name(video, found)['Ann'][:58] == [1] * 58
  verdicts = [masks.faces[0].verdict for masks in found[:58]]
  assert {'good', 'refound'} < set(verdicts[:55])
  assert verdicts[55:] == ['doubtful'] * 3


@pytest.mark.usefixtures('no_cuts')
def test_without_the_finder_a_mask_is_kept_for_a_second_only():
  video = Video()
  for i in range(20 + 2 * PATIENCE):
    video.add({'Ann': (120 + 10 * np.sin(i / 12), 75, 62)})
  found = extract(video, Oracle(video, blind=lambda index, _: index >= 20))
  shown = [bool(masks.faces) for masks in found]
  assert all(shown[: 20 + PATIENCE // 2])
  assert not any(shown[20 + PATIENCE + 5 :])
  assert_never_beyond(video, found)
  assert found[20 + PATIENCE + 3].lost in ((), (1,))


def test_what_the_finder_takes_for_a_face_gets_no_mask_and_no_place():
  video = wandering(20)
  false = Pose(45, 60, 80, 0.0)  # Larger than the true one.
  found = extract(video, Oracle(video, also=[false]))
  on = ids_by_name(video, found)['Ann']
  assert on[5:] == [1] * 15
  assert_never_beyond(video, found)


def test_beside_what_is_no_face_small_ones_are_looked_for_in_parts(monkeypatch):
  video = wandering(10)
  sees, false, looks = Oracle(video), Pose(45, 60, 80, 0.0), []

  def look_into_parts(finder, frame):
    looks.append(frame)
    return sees(frame[None])[0]

  monkeypatch.setattr(looking_again, 'look_into_parts', look_into_parts)
  found = extract(video, Oracle(video, blind=lambda *_: True, also=[false]))
  assert ids_by_name(video, found)['Ann'][:5] == [1] * 5
  assert_never_beyond(video, found)
  assert len(looks) == 3  # Frames of the first window; then the face is known.


def test_what_is_no_face_has_parts_looked_at_ever_less_often(monkeypatch):
  video, windows = Video(), []
  for _ in range(100):
    video.add({})
  monkeypatch.setattr(
    looking_again, 'look_into_parts', lambda finder, frame: windows.append(frame) or []
  )
  found = extract(video, Oracle(video, also=[Pose(45, 60, 80, 0.0)]))
  assert not any(masks.labels.any() for masks in found)
  assert len(windows) == 3 * 6  # Three frames of windows 0, 1, 3, 7, 13 and 19.


def test_a_box_of_the_user_is_the_first_face_whether_the_finder_sees_it_or_not():
  video = Video()
  for _ in range(25):
    video.add({'Ann': (60, 75, 50), 'Bob': (170, 75, 80)})
  whole = extract(video)
  assert ids_by_name(video, whole)['Bob'] == [1] * 25
  box = (28, 45, 92, 105)
  for blind in (lambda index, name: False, lambda index, name: name == 'Ann'):
    found = extract(video, Oracle(video, blind=blind), box=box)
    assert ids_by_name(video, found)['Ann'][:5] == [1] * 5
  with pytest.raises(ValueError, match='outside the image'):
    extract(video, box=(300, 0, 310, 10))


@pytest.fixture
def busy():
  """Two people, one of whom is lost for a while, a cut, and a finder that misses much."""
  video = Video()
  for i in range(34):
    people = {'Ann': (60 + i, 75, 50), 'Bob': (180 - i, 70, 60)}
    if 10 < i < 20:
      del people['Ann']
    video.add(people)
  for i in range(12):
    video.add({'Cid': (120 + i, 75, 70)}, np.linspace(90, 0, WIDTH)[None, :, None] * np.ones(3))
  return video, Oracle(video, blind=lambda index, name: (3 * index + ord(name[0])) % 4 == 0)


def test_it_goes_on_with_the_same_bits_from_a_saved_state(busy):
  video, finder = busy
  extractor = FaceMaskExtractor(models(), max_faces=2, finder=finder)
  windows = list(extractor.windows(iter(video.frames)))
  expected = list(itertools.chain.from_iterable(window for window, _ in windows))
  assert len({face.id for masks in expected for face in masks.faces}) == 3
  for _, state in windows[:-1:2]:
    saved = pickle.loads(pickle.dumps(state))
    rest = extractor.windows(iter(video.frames[saved.next_index :]), saved)
    found = [masks for window, _ in rest for masks in window]
    for one, other in zip(found, expected[saved.next_index :], strict=True):
      np.testing.assert_array_equal(one.labels, other.labels)
      np.testing.assert_array_equal(one.ids, other.ids)
      assert (one.index, one.is_cut, one.lost, one.window) == (
        other.index, other.is_cut, other.lost, other.window
      )  # fmt: skip
      assert [(f.id, f.verdict, f.box.tolist(), f.roll, f.confidence) for f in one.faces] == [
        (f.id, f.verdict, f.box.tolist(), f.roll, f.confidence) for f in other.faces
      ]


def test_a_state_is_small_and_does_not_grow(busy):
  video, finder = busy
  extractor = FaceMaskExtractor(models(), max_faces=2, finder=finder)
  sizes = [len(pickle.dumps(state)) for _, state in extractor.windows(video.frames)]
  assert max(sizes) < 500_000  # Of them most is the last sight of two faces.
  assert sizes[-1] <= 1.5 * sizes[1]


def test_a_video_without_a_face_is_not_looked_at_harder_all_the_time():
  video = Video()
  for _ in range(100):
    video.add({})
  finder = Oracle(video)
  found = extract(video, finder)
  assert not any(masks.labels.any() for masks in found)
  assert finder.looks < 100


def test_masks_are_as_sharp_as_the_frame(monkeypatch):
  # The primary network sees the face much smaller than it is.
  monkeypatch.setitem(SIZES, 'primary', 32)
  video = wandering(5)
  plain, zoomed = (extract(video, zoom=zoom) for zoom in (False, True))
  scores = []
  for found in (plain, zoomed):
    scores.append(
      np.mean(
        [iou(masks.labels == 2, video.labels(i, 'Ann') == 2) for i, masks in enumerate(found)]
      )
    )
  assert scores[1] > scores[0]
