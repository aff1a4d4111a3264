import cv2
import drawn_scenes
import numpy as np
import pytest
from drawn_scenes import Oracle, Video, extract, ids_by_name, iou

from fmx import FaceMaskExtractor
from fmx.labelling import extractor as module
from fmx.labelling.crops import crop_of
from fmx.labelling.skipping import times_to_look
from fmx.labelling.steadying import Trace, between
from tfds_300vw.pose import Pose

HEIGHT, WIDTH = 120, 160


class Counting(drawn_scenes.ColorPredictor):
  """Knows how many crops each network has seen."""

  seen: dict[str, int]

  def probabilities(self, video, carry=None):
    self.seen[self.model.region] = self.seen.get(self.model.region, 0) + np.prod(video.shape[:2])
    return super().probabilities(video, carry)


@pytest.fixture(autouse=True)
def seen(monkeypatch):
  """How many crops each network has seen, by region."""
  monkeypatch.setattr(module, 'Predictor', Counting)
  monkeypatch.setattr(Counting, 'seen', {}, raising=False)
  return Counting.seen


def crops(*grays):
  """Of the last frame before a window and those in it, each of one grey level in fair light."""
  found = np.stack([np.full((96, 96), gray, np.uint8) for gray in grays])
  found[:, :8], found[:, -8:] = 0, 255
  return found


@pytest.mark.parametrize(
  ('grays', 'most', 'expected'),
  [
    ((80,) * 6, 2, [2, 4]),
    ((80,) * 6, 1, [1, 3, 4]),
    ((80,) * 6, 0, [0, 1, 2, 3, 4]),
    ((80,) * 4, 2, [2]),
    ((80,) * 3, 2, [1]),
    ((80,) * 2, 2, [0]),
    # As far as two frames in a row may differ from those around them, and a bit farther.
    ((80, 87, 88, 95, 95, 95), 2, [2, 4]),
    ((80, 84, 91, 100, 100, 100), 2, [1, 4]),
    ((80, 90, 100, 110, 120, 130), 2, [1, 3, 4]),
    ((80, 101, 122, 143, 164, 185), 2, [0, 1, 2, 3, 4]),
    # A flash: it is looked at, and so are those beside it.
    ((80, 80, 80, 200, 80, 80), 2, [1, 2, 3, 4]),
    ((80, 200, 80, 80, 80, 80), 2, [0, 1, 4]),
  ],
)
def test_networks_look_where_a_face_is_unlike_those_around(grays, most, expected):
  assert times_to_look([crops(*grays)], most) == expected


def test_in_poor_light_less_is_much():
  opening = crops(*[80] * 6)
  opening[2:, 60:72, 40:56] = 10
  assert times_to_look([opening // 5], 2) == [0, 1, 4]
  assert times_to_look([opening // 12 + 160], 2) == [0, 1, 4]
  # Were the crops not dark or pale, so little would be nothing.
  lit = opening // 5
  lit[:, :8], lit[:, -8:] = 0, 255
  assert times_to_look([lit], 2) == [2, 4]


def test_a_change_of_a_small_part_counts_and_one_face_is_enough():
  still, opening = crops(*[80] * 6), crops(*[80] * 6)
  opening[2:, 60:72, 40:56] = 10
  assert times_to_look([still], 2) == [2, 4]
  assert times_to_look([opening], 2) == [0, 1, 4]
  assert times_to_look([still, opening], 2) == [0, 1, 4]


@pytest.fixture(scope='module')
def texture():
  noise = np.random.default_rng(0).uniform(0, 255, (HEIGHT, WIDTH))
  smooth = cv2.GaussianBlur(noise, (0, 0), 2)
  return np.uint8(255 * (smooth - smooth.min()) / np.ptp(smooth))


def trace(image, x, y, value=1.0, radius=20):
  """Of a gray frame, with a disc of class 1."""
  crop = crop_of(Pose(80, 60, 60, 0.0), drawn_scenes.model('primary', 96))
  mask = value * cv2.circle(np.zeros((HEIGHT, WIDTH)), (x, y), radius, 1, -1)
  scores = np.zeros((100, 120, 4), np.uint8)
  scores[..., 0] = np.rint(255 * mask[10:110, 20:140])
  gray = crop.image(np.dstack([image] * 3))[..., 0]
  return Trace(crop, gray, np.array((20, 10, 140, 110)), scores)


def unmarked(image):
  like = trace(image, 0, 0)
  return Trace.unmarked(like.crop, like.gray, like.box)


def moved(image, x):
  return cv2.warpAffine(
    image, np.float64([[1, 0, x], [0, 1, 0]]), image.shape[1::-1], borderMode=cv2.BORDER_REFLECT
  )


def test_what_is_between_lies_where_the_picture_has_gone(texture):
  before, behind = trace(texture, 76, 60), trace(moved(texture, 8), 84, 60)
  found = between(unmarked(moved(texture, 4)), before, behind, 0.5).scores[..., 0] > 127
  expected = trace(texture, 80, 60).scores[..., 0] > 127
  assert iou(found, expected) > 0.93
  assert iou(found, expected) > iou(before.scores[..., 0] > 127, expected) + 0.1


@pytest.mark.parametrize('share', [0.25, 0.5, 0.75])
def test_the_nearer_frame_counts_more(texture, share):
  before, behind = trace(texture, 80, 60, 0.8), trace(texture, 80, 60, 0.4)
  found = between(unmarked(texture), before, behind, share).scores[50, 60, 0]
  assert found == pytest.approx(255 * (0.8 * (1 - share) + 0.4 * share), abs=1.5)


def test_a_frame_with_another_picture_does_not_count(texture):
  before, behind = trace(255 - texture, 80, 60, 0.0), trace(texture, 80, 60)
  assert between(unmarked(texture), before, behind, 0.25).scores[50, 60, 0] > 240


def video_of(poses):
  video = Video()
  for people in poses:
    video.add(people)
  return video


def assert_right(video, found, least=0.85):
  for index, masks in enumerate(found):
    for name in video.people[index]:
      labels = video.labels(index, name)
      own = np.where(masks.ids == ids_by_name(video, found)[name][index], masks.labels, 0)
      assert iou(own > 0, labels > 0) > least, index
      for class_id in (3, 4):
        assert iou(own == class_id, labels == class_id) > 0.6, (index, class_id)


def test_masks_of_frames_that_are_skipped_lie_on_the_face(seen):
  video = video_of({'Ann': (90 + 0.6 * i, 75, 70, 0.2 * i)} for i in range(40))
  found = extract(video)
  assert_right(video, found)
  assert {face.verdict for masks in found for face in masks.faces} == {'good'}
  assert all(masks.faces[0].areas['inner_mouth'] for masks in found)
  # All five frames of the first window, two of each other.
  assert seen['primary'] == 5 + 7 * 2
  assert seen['mouth'] == 5 + 7 * 2
  assert seen['eye'] == 2 * (5 + 7 * 2)


def test_without_skipping_every_frame_is_looked_at(seen):
  extract(video_of({'Ann': (90 + 0.8 * i, 75, 70)} for i in range(20)), skip=0)
  assert seen['primary'] == 20


def test_masks_keep_up_with_a_face_that_is_quick(seen):
  video = video_of({'Ann': (60 + 3 * i, 75, 70, 3 * i)} for i in range(40))
  assert_right(video, extract(video))
  assert seen['primary'] > 5 + 7 * 2


def test_two_faces_are_skipped_together(seen):
  poses = [{'Ann': (60 + 0.4 * i, 75, 60), 'Bob': (180 - 0.4 * i, 75, 60)} for i in range(30)]
  video = video_of(poses)
  found = extract(video, max_faces=2)
  assert_right(video, found)
  ids = ids_by_name(video, found)
  assert {name: set(of) for name, of in ids.items()} in (
    {'Ann': {1}, 'Bob': {2}},
    {'Ann': {2}, 'Bob': {1}},
  )
  assert seen['primary'] < 2 * 20


def test_a_face_that_comes_is_not_missed_while_the_other_is_skipped():
  poses = [{'Ann': (60, 75, 60)} | ({'Bob': (180, 75, 60)} if i >= 12 else {}) for i in range(30)]
  video = video_of(poses)
  ids = ids_by_name(video, extract(video, max_faces=2))
  assert all(ids['Ann'])
  assert all(ids['Bob'])


def test_a_frame_without_the_face_among_frames_that_are_alike_has_the_mask_of_those_around():
  poses = [{} if i in (11, 18) else {'Ann': (120, 75, 70)} for i in range(30)]
  found = extract(video_of(poses), finder=None)
  told = {masks.index: [face.verdict for face in masks.faces] for masks in found}
  assert told.pop(11) == told.pop(18) == ['bridged']
  assert all(verdicts == ['good'] or verdicts == ['refound'] for verdicts in told.values())


def test_a_saved_state_goes_on_with_the_same_bits():
  video = video_of({'Ann': (90 + i, 75, 70)} for i in range(23))
  extractor = FaceMaskExtractor(drawn_scenes.models(), finder=Oracle(video))
  drawn_scenes.assert_goes_on_with_the_same_bits(extractor, video.frames)


def test_a_network_with_a_memory_sees_every_frame(seen, monkeypatch):
  monkeypatch.setattr(drawn_scenes.NoNetwork, 'temporal', True)
  extract(video_of({'Ann': (120, 75, 70)} for _ in range(20)))
  assert seen['primary'] == 20


@pytest.mark.parametrize('skip', [-1, 3])
def test_a_number_out_of_range_is_refused(skip):
  with pytest.raises(ValueError, match=f'skip is {skip}; it must be 0 to 2 frames'):
    FaceMaskExtractor(drawn_scenes.models(), finder=Oracle(Video()), skip=skip)
