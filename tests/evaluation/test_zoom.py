import numpy as np
import pytest
import tiny_models

from fmx.evaluation.zoom import RegionState, merge, region_box, zoom_in
from fmx.labelling.predictor import Predictor
from tfds_300vw import boxes

SIZE = tiny_models.SIZE
NO_ORIGIN = np.zeros((1, 2), int)


class ColorReader:
  """Stands for the model of a region: it reads the class off the red channel, 0, 100 or 200."""

  def __init__(self, num_classes, size=SIZE):
    self._num_classes = num_classes
    self.model = tiny_models.model('eyes')
    self.calls = []

  cut = Predictor.cut

  def __call__(self, video, carry=None):
    self.calls.append((video, carry))
    own = np.rint(video[..., 0] / 100.0).astype(int)
    return np.eye(self._num_classes, dtype=np.float32)[own], np.arange(len(video), dtype=float)


def painted(labels, **rectangles):
  labels = labels.copy()
  for class_id, (x0, y0, x1, y1) in rectangles.items():
    labels[y0:y1, x0:x1] = int(class_id.removeprefix('c'))
  return labels


def face(height=40, width=60):
  return painted(np.zeros((height, width), np.uint8), c1=(5, 5, 55, 35))


def red(height, width, values):
  """A frame whose red channel is 0 but in rectangles."""
  frame = np.zeros((height, width, 3), np.uint8)
  for value, (x0, y0, x1, y1) in values:
    frame[y0:y1, x0:x1, 0] = value
  return frame


def test_a_merge_by_hand():
  # A box of 4 x 4 pixels at (1, 1) of a mask of 6 x 6, and logits of the same size, so that
  # resizing changes nothing. Row by row inside the box:
  #   primary    own of the zoomed-in model   merged
  #   2 2 1 0    1 0 0 0                      2 1 1 0   an eye that is not one becomes skin
  #   2 3 4 0    0 1 0 1                      1 2 4 2   its own pixels whatever they were
  #   1 1 1 1    1 0 0 0                      2 1 1 1
  #   0 0 0 2    0 0 0 0                      0 0 0 1
  labels = np.full((6, 6), 2, np.uint8)  # What lies outside of the box stays.
  labels[1:5, 1:5] = [[2, 2, 1, 0], [2, 3, 4, 0], [1, 1, 1, 1], [0, 0, 0, 2]]
  own = np.array([[1, 0, 0, 0], [0, 1, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0]])
  merge(labels, np.eye(2, dtype=np.float32)[own], np.array([1, 1, 5, 5]), 'eyes')
  expected = np.full((6, 6), 2)
  expected[1:5, 1:5] = [[2, 1, 1, 0], [1, 2, 4, 2], [2, 1, 1, 1], [0, 0, 0, 1]]
  np.testing.assert_array_equal(labels, expected)


def test_both_classes_of_the_mouth_are_the_zoomed_in_models():
  labels = np.array([[3, 4, 3, 2]], np.uint8)
  own = np.array([[2, 0, 1, 0]])  # Inner mouth, none, outer mouth, none.
  merge(labels, np.eye(3, dtype=np.float32)[own], np.array([0, 0, 4, 1]), 'mouth')
  np.testing.assert_array_equal(labels, [[4, 1, 3, 2]])


def test_a_regions_box_is_that_of_its_pixels_in_all_frames_enlarged():
  first = painted(face(), c2=(10, 10, 18, 14))
  second = painted(face(), c2=(12, 12, 20, 16))
  # Together (10, 10, 20, 16): centre (15, 13), side 1.6 * 10 = 16.
  assert region_box([first, second], np.zeros((2, 2), int), 'eyes').tolist() == [7, 5, 23, 21]
  # The second image lies 5 pixels further right and 2 further down in the video: (10, 10, 25, 18)
  # has the centre (17.5, 14) and the side 24.
  moved = region_box([first, second], np.array([[0, 0], [5, 2]]), 'eyes')
  assert moved.tolist() == [6, 2, 30, 26]
  assert region_box([face()], NO_ORIGIN, 'eyes') is None


def test_stray_pixels_do_not_blow_a_box_up():
  eyes = painted(face(), c2=(10, 10, 20, 15))
  eyes[10:15, 30:40] = 2
  box = region_box([eyes], NO_ORIGIN, 'eyes')
  stray = painted(eyes, c2=(54, 33, 55, 34))
  np.testing.assert_array_equal(region_box([stray], NO_ORIGIN, 'eyes'), box)
  # One eye and a stray pixel: the pixel is less than a tenth of the eye.
  one = painted(face(), c2=(10, 10, 20, 15))
  one_stray = painted(one, c2=(54, 33, 55, 34))
  np.testing.assert_array_equal(
    region_box([one_stray], NO_ORIGIN, 'eyes'), region_box([one], NO_ORIGIN, 'eyes')
  )
  # A mouth is one part: outer and inner mouth together.
  mouth = painted(face(), c3=(20, 24, 40, 30))
  mouth[26:28, 24:36] = 4
  found = region_box([painted(mouth, c4=(6, 6, 11, 11))], NO_ORIGIN, 'mouth')
  assert found.tolist() == boxes.enlarge(np.array([20, 24, 40, 30]), 1.6).tolist()


def test_windows_are_refined_inside_their_own_boxes_in_one_batch():
  # The eye's box is (10, 8, 26, 24) as above: the model's colour is there and beyond.
  labels = painted(face(), c2=(13, 13, 23, 19))
  other = painted(face(), c2=(33, 13, 43, 19))
  frame = red(40, 60, [(100, (0, 0, 18, 40))])
  reader = ColorReader(2)
  merged, states = zoom_in(
    [[labels], [other]], [[frame], [frame]], [NO_ORIGIN] * 2, {'eyes': reader}, [{}, {}]
  )
  assert len(reader.calls) == 1
  video, carry = reader.calls[0]
  assert video.shape == (2, 1, SIZE, SIZE, 3)
  assert carry is None
  # Inside (10, 8, 26, 24) what is left of x = 18 is eye, the rest of the eye is skin.
  expected = painted(labels, c1=(18, 13, 23, 19))
  expected[8:24, 10:18] = 2
  np.testing.assert_array_equal(merged[0][0], expected)
  np.testing.assert_array_equal(merged[1][0], painted(other, c1=(33, 13, 43, 19)))
  assert states[0]['eyes'].box.tolist() == [10, 8, 26, 24]
  assert labels[13, 20] == 2  # What was given is left as it was.


def test_a_window_without_the_region_takes_the_box_of_the_one_before():
  with_eye, without = painted(face(), c2=(13, 13, 23, 19)), face()
  frame = red(40, 60, [(100, (0, 0, 60, 40))])
  reader = ColorReader(2)
  run = lambda labels, states: zoom_in(  # noqa: E731
    [[labels]], [[frame]], [NO_ORIGIN], {'eyes': reader}, [states]
  )
  merged, (alone,) = run(without, {})
  np.testing.assert_array_equal(merged[0][0], without)  # The primary mask stands.
  assert alone == {}
  assert not reader.calls
  _, (states,) = run(with_eye, {})
  for _ in range(2):  # And so on, for as long as it takes.
    merged, (states,) = run(without, states)
    np.testing.assert_array_equal(merged[0][0], painted(without, c2=(10, 8, 26, 24)))


def test_boxes_are_cut_off_at_each_images_own_border():
  # Two crops of a moving face: x of the second's corner is 12, so only x from 12 on of the box
  # (4, 4, 20, 20) is in it; its own pixels from 0 to 8.
  first = painted(face(), c2=(7, 9, 17, 15))
  second = face()
  origins = np.array([[0, 0], [12, 0]])
  frames = [red(40, 60, [(100, (0, 0, 60, 40))])] * 2
  merged, (states,) = zoom_in(
    [[first, second]], [frames], [origins], {'eyes': ColorReader(2)}, [{}]
  )
  assert states['eyes'].box.tolist() == [4, 4, 20, 20]
  np.testing.assert_array_equal(merged[0][0], painted(first, c2=(4, 4, 20, 20)))
  np.testing.assert_array_equal(merged[0][1], painted(second, c2=(0, 4, 8, 20)))
  # Further away than the box is wide, the frame keeps its mask.
  merged, _ = zoom_in(
    [[first, second]],
    [frames],
    [np.array([[0, 0], [40, 0]])],
    {'eyes': ColorReader(2)},
    [{}],
  )
  np.testing.assert_array_equal(merged[0][1], second)


def test_both_regions_are_refined_and_others_are_not_asked():
  labels = painted(face(), c2=(13, 13, 23, 19), c3=(30, 24, 40, 30))
  eyes, mouth = ColorReader(2), ColorReader(3)
  merged, (states,) = zoom_in(
    [[labels]],
    [[np.zeros((40, 60, 3), np.uint8)]],
    [NO_ORIGIN],
    {'eyes': eyes, 'mouth': mouth, 'primary': None},
    [{}],
  )
  np.testing.assert_array_equal(merged[0][0], face())
  assert (len(eyes.calls), len(mouth.calls)) == (1, 1)
  assert set(states) == {'eyes', 'mouth'}


@pytest.mark.parametrize('stream', [True, False])
def test_a_regions_state_goes_on_only_if_it_is_asked_to(stream):
  labels = painted(face(), c2=(13, 13, 23, 19))
  frame = red(40, 60, [])
  reader = ColorReader(2)
  before = [{}, {'eyes': RegionState(np.array([0, 0, 9, 9]), np.float64(7))}]
  _, states = zoom_in(
    [[labels]] * 2, [[frame]] * 2, [NO_ORIGIN] * 2, {'eyes': reader}, before, stream=stream
  )
  (_, carry), *_ = reader.calls
  if stream:
    assert carry.tolist() == [0, 7]
    assert [state['eyes'].carry for state in states] == [0, 1]
  else:
    assert carry is None
    assert [state['eyes'].carry for state in states] == [None, None]


def test_a_batch_is_what_its_windows_are_one_by_one():
  rng = np.random.default_rng(0)
  predictors = {name: Predictor(tiny_models.model(name)) for name in ('eyes', 'mouth')}
  labels = [
    [painted(face(), c2=(10 + i, 10, 20 + i, 16), c3=(20, 22 + t, 34, 30 + t)) for t in range(3)]
    for i in range(3)
  ]
  frames = [[rng.integers(0, 256, (40, 60, 3), np.uint8) for _ in range(3)] for _ in labels]
  origins = [rng.integers(0, 4, (3, 2)) for _ in labels]
  together, states = zoom_in(labels, frames, origins, predictors, [{}] * 3)
  changed = 0
  for i in range(3):
    (alone,), (state,) = zoom_in(
      labels[i : i + 1], frames[i : i + 1], [origins[i]], predictors, [{}]
    )
    for a, b, primary in zip(alone, together[i], labels[i]):
      assert (a != b).mean() < 1e-3  # Ties of rounding.
      changed += (b != primary).sum()
    np.testing.assert_array_equal(state['mouth'].box, states[i]['mouth'].box)
  assert changed > 100
