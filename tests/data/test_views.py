"""Windows that a virtual camera cuts out of whole frames."""

import dataclasses

import cv2
import numpy as np
import pytest
from small_datasets import face

from fmx.data import views
from fmx.data.prepared import FrameExample
from fmx.data.spoiling import Spoiling
from fmx.data.views import FrameWindows, TrainView, View
from tfds_300vw import face_mask, pose

SIDE = 64
HEIGHT, WIDTH = 161, 201
NO_FACES = np.zeros((0, 68, 2))


class Frames(list):
  """Takes the place of `FrameExamples`."""

  @property
  def video_ids(self):
    return np.array([example.video_id for example in self])

  @property
  def frame_numbers(self):
    return np.array([example.frame_number for example in self])

  @property
  def from_people(self):
    return np.array([example.from_people for example in self])

  def num_faces(self, index):
    return len(self[index].landmarks)


def winking(x, y, size, roll=0.0):
  """A face whose left eye, on the image's right, is wider open; rolled about its middle."""
  points = face(0, 0, size)
  points[42:48, 1] = points[42:48, 1].mean() + 2 * (points[42:48, 1] - points[42:48, 1].mean())
  cos, sin = np.cos(roll), np.sin(roll)
  return points @ np.array([[cos, sin], [-sin, cos]]) + (x, y)


def example(*faces, video_id='a', number=1, people=True, others=()):
  """A frame in the colours of the classes, grey where there is no face."""
  image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
  for landmarks in faces:
    labels = face_mask.landmarks_to_mask(landmarks, HEIGHT, WIDTH)
    image[labels > 0] = face_mask.to_color(labels)[labels > 0]
  return FrameExample(
    image=image,
    landmarks=np.stack(faces).astype(np.float32) if faces else NO_FACES.astype(np.float32),
    others=np.array(others, np.float32).reshape(-1, 4),
    video_id=video_id,
    frame_number=number,
    from_people=people,
  )


@pytest.fixture
def make(monkeypatch):
  """Makes windows of frames, and what cuts random ones; options are those of the view."""

  def make(*examples, region='primary', side=SIDE, spoiling=None, margin=1.4, **options):
    monkeypatch.setattr(views, 'FrameExamples', lambda *_: Frames(examples))
    view = View(region=region, margin=margin, **options)
    windows = FrameWindows(None, 'train', view, side)
    return windows, TrainView(windows, view, spoiling or Spoiling(), side)

  return make


def draw(train, seed):
  return train(0, np.random.default_rng(seed))


def seen(image, region):
  """The class whose colour is nearest; background where it is grey or, outside, black."""
  colors = face_mask.colors(region).astype(int)
  colors[0] = 90
  distance = np.abs(image[..., None, :].astype(int) - colors).sum(axis=-1)
  return np.where(image.astype(int).sum(axis=-1) < 130, 0, distance.argmin(axis=-1))


def overlap(labels, other):
  """The least IoU over the classes of either."""
  classes = np.union1d(np.unique(labels), np.unique(other))
  return min(
    ((labels == k) & (other == k)).sum() / ((labels == k) | (other == k)).sum() for k in classes
  )


def test_windows_are_every_part_of_every_face(make):
  frames = [
    example(winking(60, 80, 50), winking(140, 80, 40), video_id='photo'),
    example(video_id='empty'),
    *(example(winking(100, 80, 60), video_id='v', number=n, people=False) for n in range(1, 12)),
  ]
  windows, _ = make(*frames)
  # Two faces of the photograph, and one in each fifth frame of the video: 1, 6 and 11.
  assert [(w.video_id, w.frame_numbers.tolist()) for w in windows] == [
    ('photo', [1]), ('photo', [1]), ('v', [1]), ('v', [6]), ('v', [11])
  ]  # fmt: skip
  assert (windows.stills.tolist(), windows.videos.tolist()) == ([0, 1], [2, 7, 12])
  assert len({window.clip for window in windows}) == len(windows) == 5
  assert [window.index for window in windows] == list(range(5))
  assert windows.describe(7) == 'v, frame 6'
  eyes, _ = make(*frames, region='eye')
  assert len(eyes) == 2 * len(windows)
  assert len({window.clip for window in eyes}) == 10
  all_frames, _ = make(*frames, every=1)
  assert len(all_frames) == 2 + 11


@pytest.mark.parametrize('region', ['primary', 'mouth', 'eye'])
@pytest.mark.parametrize('roll', [-1.2, 0.0, 0.5])
def test_windows_show_the_region_upright_with_labels_that_fit(make, region, roll):
  windows, _ = make(example(winking(100, 80, 90, roll)), region=region, margin=1.6)
  for window in windows:
    (frame,), (labels,) = window.frames, window.labels
    assert (frame.shape, labels.shape) == ((SIDE, SIDE, 3), (SIDE, SIDE))
    assert labels.max() == len(face_mask.class_names(region)) - 1
    if region == 'primary':
      assert overlap(labels, seen(frame, region)) > 0.75
    else:  # Skin is around a mouth or an eye; it has no id here.
      painted = seen(frame, 'primary')
      own = np.isin(painted, face_mask.REGIONS[region].class_ids[1:])
      assert overlap(labels > 0, own) > 0.75
    rows, columns = np.nonzero(labels)
    middle = (SIDE - 1) / 2
    assert abs((rows.min() + rows.max()) / 2 - middle) < 4
    assert abs((columns.min() + columns.max()) / 2 - middle) < 4
    # Upright: a mouth, and an eye that does not wink, are wider than high.
    if region != 'primary':
      assert window.index or np.ptp(columns) > 1.3 * np.ptp(rows)
      assert np.ptp(columns) == pytest.approx(SIDE / 1.6, abs=4)


def test_the_right_eye_of_the_image_mirrored_looks_like_the_left_one(make):
  # A symmetric face in the middle of a symmetric frame.
  windows, _ = make(example(face((WIDTH - 1) / 2, 80, 120)), region='eye', margin=2.0)
  left, right = windows
  assert np.abs(left.frames[0].astype(int) - right.frames[0]).max() <= 2
  assert (left.labels[0] != right.labels[0]).mean() < 0.01
  # Without a mirror it would not: an eye and its brow lean.
  assert (left.frames[0] != left.frames[0][:, ::-1]).any()


@pytest.mark.parametrize('region', ['primary', 'mouth', 'eye'])
def test_without_variation_training_sees_the_windows_of_the_evaluation(make, region):
  windows, train = make(example(winking(100, 80, 90, 0.3)), region=region)
  expected = [(window.frames[0], window.labels[0]) for window in windows]
  found = set()
  for seed in range(8):
    batch = draw(train, seed)
    assert batch['video'].shape == (1, SIDE, SIDE, 3)
    assert batch['labels'].shape == (1, SIDE, SIDE)
    assert {value.dtype for value in (batch['video'], batch['labels'])} == {np.dtype('uint8')}
    assert batch['window'].dtype == np.int32
    (which,) = [
      number
      for number, (frame, labels) in enumerate(expected)
      if (frame == batch['video'][0]).all() and (labels == batch['labels'][0]).all()
    ]
    found.add(which)
  assert found == set(range(len(expected)))  # Both eyes.


@pytest.mark.parametrize('region', ['primary', 'mouth', 'eye'])
@pytest.mark.parametrize('fineness', [2, 3])
def test_finer_labels_cover_the_same_places(make, region, fineness):
  frame = example(winking(100, 80, 90, 0.3))
  varied = {'scale': 0.2, 'shift': 0.1, 'roll': 10.0, 'flip': 0.5}
  _, exact = make(frame, region=region, **varied)
  _, finer = make(frame, region=region, fineness=fineness, **varied)
  for seed in range(4):
    labels, fine = draw(exact, seed)['labels'][0], draw(finer, seed)['labels'][0]
    assert fine.shape == (SIDE * fineness, SIDE * fineness)
    blocks = fine.reshape(SIDE, fineness, SIDE, fineness)
    kernel = np.ones((3, 3), np.uint8)
    for class_id in np.unique(labels):
      share = (blocks == class_id).mean(axis=(1, 3))
      # Whole inside and outside, and shares in the one pixel that an outline crosses.
      inside = (labels == class_id).astype(np.uint8)
      assert share[cv2.erode(inside, kernel) > 0].min(initial=1) == 1
      assert share[cv2.dilate(inside, kernel) == 0].max(initial=0) == 0
    share, inside = (blocks > 0).mean(axis=(1, 3)), labels > 0
    assert share.sum() == pytest.approx(inside.sum(), rel=0.03)
    for places in np.indices(share.shape):  # Not shifted by part of a pixel.
      middle = np.average(places, weights=inside)
      assert np.average(places, weights=share) == pytest.approx(middle, abs=0.15)


def test_a_window_without_a_face_has_labels_as_fine_as_others(make):
  _, train = make(example(winking(100, 80, 90)), empty=1.0, fineness=2)
  labels = draw(train, 0)['labels']
  assert labels.shape == (1, 2 * SIDE, 2 * SIDE)
  assert not labels.any()


def test_a_flip_is_the_mirror_image(make):
  windows, train = make(example(winking(100, 80, 90, 0.3)), flip=1.0)
  batch = draw(train, 0)
  (window,) = windows
  assert np.abs(batch['video'][0].astype(int) - window.frames[0][:, ::-1]).mean() < 0.5
  assert (batch['labels'][0] != window.labels[0][:, ::-1]).mean() < 0.005
  assert (batch['labels'][0] != window.labels[0]).mean() > 0.005  # It winks.


VARIATIONS = {
  'roll': {'roll': 25.0},
  'flip': {'flip': 0.5},
  'shift': {'shift': 0.2},
  'scale': {'scale': 0.6},
  'all': {'roll': 25.0, 'flip': 0.5, 'shift': 0.2, 'scale': 0.5},
}


@pytest.mark.parametrize('name', VARIATIONS)
@pytest.mark.parametrize('region', ['primary', 'eye'])
def test_labels_go_where_the_pixels_go(make, name, region):
  _, train = make(example(winking(100, 80, 90, 0.4)), region=region, **VARIATIONS[name])
  pictures = []
  for seed in range(12):
    batch = draw(train, seed)
    frame, labels = batch['video'][0], batch['labels'][0]
    painted = seen(frame, 'primary')
    eyes = labels == (2 if region == 'primary' else 1)
    assert overlap(eyes, painted == 2) > 0.6  # Of few pixels.
    if region == 'primary':
      assert overlap(labels > 0, painted > 0) > 0.9
    pictures.append(labels)
  different = sum((pictures[0] != labels).any() for labels in pictures)
  # Of eyes the right ones are mirrored, whatever chance says.
  assert different > 0 or (name, region) == ('flip', 'eye')


def extent(labels):
  rows, columns = np.nonzero(labels)
  low = np.array([columns.min(), rows.min()])
  high = np.array([columns.max(), rows.max()])
  return (low + high) / 2, float(np.mean(high - low))


def test_scale_and_shift_have_their_bounds(make):
  frames = example(winking(100, 80, 60))
  middle = (SIDE - 1) / 2
  _, train = make(frames, scale=0.5, margin=1.8)
  sizes = [extent(draw(train, seed)['labels'][0])[1] for seed in range(60)]
  plain = SIDE / 1.8
  assert plain / 1.5 - 2 < min(sizes) < plain / 1.3
  assert plain * 1.3 < max(sizes) < plain * 1.5 + 2
  _, train = make(frames, shift=0.2, margin=2.0)
  middles = np.array([extent(draw(train, seed)['labels'][0])[0] for seed in range(60)])
  moved = np.abs(middles - middle).max(axis=0)
  assert (moved < 0.2 * SIDE + 3).all()
  assert (moved > 0.15 * SIDE).all()


def test_people_s_landmarks_have_their_share(make):
  still = [example(winking(100, 80, 60), video_id='photo') for _ in range(3)]
  video = [
    example(winking(100, 80, 60), video_id='v', number=1 + 5 * n, people=False) for n in range(7)
  ]
  windows, train = make(*still, *video, people=0.7)
  rng = np.random.default_rng(0)
  drawn = [train._draw_frame(rng) for _ in range(3000)]
  assert np.isin(drawn, windows.stills).mean() == pytest.approx(0.7, abs=0.03)
  counts = np.bincount(drawn, minlength=10)
  assert counts.min() > 0
  assert counts[:3].std() < 0.1 * counts[:3].mean()
  assert counts[3:].std() < 0.25 * counts[3:].mean()
  # With one kind alone the share has nothing to say.
  for frames, number in ((still, 3), (video, 7)):
    _, alone = make(*frames, people=0.7)
    assert {alone._draw_frame(rng) for _ in range(200)} == set(range(number))


def test_the_same_seed_gives_the_same_window(make):
  _, train = make(
    example(winking(60, 80, 60), winking(150, 80, 50)),
    **VARIATIONS['all'],
    empty=0.3,
    spoiling=Spoiling(occluders=1.0, glasses=0.5, noise=9.0, jpeg=0.5),
  )
  for seed in range(6):
    first, second, other = draw(train, seed), draw(train, seed), draw(train, seed + 100)
    for name, value in first.items():
      np.testing.assert_array_equal(value, second[name])
    assert (first['video'] != other['video']).any()


def test_spoiling_leaves_labels_alone(make):
  frames = example(winking(100, 80, 70))
  _, plain = make(frames)
  spoiling = Spoiling(occluders=1.0, glasses=1.0, brightness=0.3, noise=20.0, jpeg=1.0)
  _, train = make(frames, spoiling=spoiling)
  for seed in range(6):
    clean, spoilt = draw(plain, seed), draw(train, seed)
    np.testing.assert_array_equal(spoilt['labels'], clean['labels'])
    assert (spoilt['video'] != clean['video']).mean() > 0.3


@pytest.mark.parametrize('roll', [0.0, 0.8])
@pytest.mark.parametrize('margin', [1.0, 2.4])
def test_empty_windows_touch_no_face(make, roll, margin):
  landmarks = winking(130, 90, 70, roll)
  landmarks[:17] = landmarks[:17] + 0.5 * (landmarks[:17] - landmarks[17:].mean(axis=0))  # Long.
  others = [(0, 0, 45, 50)]
  frames = example(landmarks, others=others)
  frames.image[:50, :45] = (255, 0, 0)
  _, train = make(frames, empty=1.0, margin=margin, side=32)
  cuts = 0
  for seed in range(300):
    batch = draw(train, seed)
    assert not batch['labels'].any()
    if batch['video'].max() > 90:  # Neither grey nor black: only where there was no room.
      assert batch['video'].std() > 60
      assert (batch['video'] > 128).mean() == pytest.approx(0.5, abs=0.05)
    else:
      cuts += 1
  assert cuts > 50


def test_a_frame_full_of_faces_leaves_noise(make):
  _, train = make(example(winking(100, 80, 190)), empty=1.0, margin=2.0)
  batch = draw(train, 0)
  assert not batch['labels'].any()
  assert batch['video'].std() == pytest.approx(255 / 12**0.5, abs=5)


def test_a_frame_without_a_face_is_shown_as_empty(make):
  windows, train = make(example(video_id='none'), example(winking(100, 80, 60), video_id='one'))
  assert len(windows) == 1
  for seed in range(20):
    batch = draw(train, seed)
    assert batch['labels'].any() == (batch['window'] == 1)


def test_a_donor_is_a_picture_of_the_window_s_size(make):
  _, train = make(example(winking(100, 80, 60)), example(video_id='none'))
  pictures = [train._donor(np.random.default_rng(seed)) for seed in range(10)]
  assert {picture.shape for picture in pictures} == {(SIDE, SIDE, 3)}
  assert len({picture.tobytes() for picture in pictures}) > 5


def test_eyes_are_where_glasses_go(make, monkeypatch):
  places = []

  def record(frame, spoiling, rng, *, eyes, donor):
    places.append(eyes)
    return frame

  monkeypatch.setattr(views, 'spoil', record)
  _, train = make(example(winking(100, 80, 90, 0.4)), **VARIATIONS['all'])
  for seed in range(8):
    labels = draw(train, seed)['labels'][0]
    for x, y in places[-1]:
      if 2 < x < SIDE - 3 and 2 < y < SIDE - 3:
        assert labels[int(round(y)), int(round(x))] == 2
  _, train = make(example(winking(100, 80, 40)), empty=1.0)
  draw(train, 0)
  assert places[-1] is None


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'region': 'eyes'}, "view.region is 'eyes'; it must be one of primary, mouth, eye"),
    ({'scale': 1.1}, 'view.scale is 1.1; it must be from 0 to 1'),
    ({'people': -0.1}, 'view.people is -0.1'),
    ({'empty': float('nan')}, 'view.empty is nan'),
    ({'margin': 0.0}, 'must be above 0'),
    ({'every': 0}, 'at least 1'),
    ({'roll': -1.0}, 'at least 0'),
  ],
)
def test_what_is_out_of_range_is_named(options, message):
  with pytest.raises(ValueError, match=message):
    View(**{'region': 'primary', 'margin': 1.5} | options)


def test_a_split_without_a_face_is_refused(make):
  with pytest.raises(ValueError, match="has no face in the split 'train'"):
    make_nothing(make)


def make_nothing(make):
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(views, 'FrameExamples', lambda *_: Frames([example()]))
    dataset = dataclasses.make_dataclass('Named', ['name'])('nothing')
    FrameWindows(dataset, 'train', View(region='primary', margin=1.0))


def test_a_drawn_mask_is_that_of_the_moved_landmarks():
  landmarks = winking(100, 80, 90)
  matrix = pose.Pose(100.0, 80.0, 90.0, 0.0).matrix(SIDE, margin=1.2)
  labels = views.draw(landmarks, matrix, SIDE, 'mouth')
  whole = face_mask.landmarks_to_mask(pose.move(landmarks, matrix), SIDE, SIDE)
  np.testing.assert_array_equal(labels, face_mask.region_labels(whole, 'mouth'))
  assert set(np.unique(labels)) == {0, 1, 2}
