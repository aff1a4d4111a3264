import jax
import numpy as np
import pytest
import tiny_models

from fmx.data.transforms import resize_frame
from fmx.engines import xla
from fmx.labelling import predictor
from fmx.labelling.predictor import Predictor, stack, stack_windows, unstack

SIZE, LENGTH = tiny_models.SIZE, tiny_models.LENGTH


def video(clips, length, seed=0):
  return np.random.default_rng(seed).integers(0, 256, (clips, length, SIZE, SIZE, 3), np.uint8)


def plain(model, frames, carry=None):
  return jax.device_get(jax.jit(model.network.apply)(model.variables, frames, carry))


@pytest.fixture(scope='module')
def temporal():
  return tiny_models.model()


def test_the_real_network_is_run_as_it_is():
  model, frames = tiny_models.full_model(), video(3, LENGTH)
  logits, carry = Predictor(model)(frames)
  expected, expected_carry = plain(model, frames)
  largest = np.abs(expected).max()  # Some 1e4, of which other logits are differences.
  np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-5 * largest)
  np.testing.assert_allclose(carry.cell, expected_carry.cell, rtol=1e-3, atol=1e-3)


def test_it_says_what_the_network_says(temporal):
  frames = video(3, LENGTH)
  logits, carry = Predictor(temporal)(frames)
  expected, expected_carry = plain(temporal, frames)
  assert (logits.dtype, logits.shape) == (np.float32, (3, LENGTH, SIZE, SIZE, 5))
  np.testing.assert_allclose(logits, expected, atol=1e-4)
  np.testing.assert_allclose(carry.cell, expected_carry.cell, atol=1e-4)
  assert np.ptp(logits, axis=(2, 3)).max() > 0.1  # It tells pixels apart: the comparison counts.


def test_a_batch_says_what_its_windows_say_one_by_one(temporal):
  frames, run = video(3, LENGTH), Predictor(temporal)
  _, before = run(video(3, LENGTH, seed=1))
  together, carry = run(frames, before)
  for index, state in enumerate(unstack(before, 3)):
    alone, after = run(frames[index : index + 1], stack([state]))
    np.testing.assert_allclose(alone[0], together[index], atol=1e-4)
    np.testing.assert_allclose(after.hidden[0], carry.hidden[index], atol=1e-4)


def test_windows_with_the_state_between_them_are_one_long_window(temporal):
  frames, run = video(2, 3 * LENGTH), Predictor(temporal)
  expected, _ = plain(temporal, frames)
  carry, found, anew = None, [], []
  for first in range(0, 3 * LENGTH, LENGTH):
    part = frames[:, first : first + LENGTH]
    logits, carry = run(part, carry)
    found.append(logits)
    anew.append(run(part)[0])
  np.testing.assert_allclose(np.concatenate(found, axis=1), expected, atol=1e-4)
  assert np.abs(np.concatenate(anew, axis=1) - expected)[:, LENGTH:].max() > 1e-3


def test_a_short_window_is_labelled_as_far_as_it_goes_and_leaves_no_state(temporal):
  frames, run = video(2, LENGTH), Predictor(temporal)
  expected, _ = run(frames)
  logits, carry = run(frames[:, :-1])
  np.testing.assert_allclose(logits, expected[:, :-1], atol=1e-5)
  assert carry is None


def test_a_network_without_memory_has_no_state():
  run = Predictor(tiny_models.model('fcn'))
  logits, carry = run(video(1, LENGTH))
  assert carry is None
  assert logits.shape == (1, LENGTH, SIZE, SIZE, 5)


def test_few_shapes_are_compiled(temporal):
  other = tiny_models.model(seed=7)
  xla._logits.clear_cache()
  for model in (temporal, other):
    for clips in (1, 3):
      for length in range(1, LENGTH + 1):
        Predictor(model)(video(clips, length))
  assert xla._logits._cache_size() == 2  # Batches of 1 and of 4.


@pytest.mark.parametrize(
  'shape', [(1, LENGTH + 1, SIZE, SIZE, 3), (1, LENGTH, SIZE, 16, 3), (1, 0, SIZE, SIZE, 3)]
)
def test_windows_of_another_size_are_refused(temporal, shape):
  with pytest.raises(ValueError, match="'primary' takes windows of 1 to 3 frames of 32 x 32"):
    Predictor(temporal)(np.zeros(shape, np.uint8))


def test_a_box_is_cut_as_the_training_data_are(temporal):
  frame = video(1, 1)[0, 0]
  cut = Predictor(temporal).cut(frame, np.array([-4, 10, 12, 30]))
  np.testing.assert_array_equal(cut, resize_frame(frame[10:30, 0:12], SIZE))
  with pytest.raises(ValueError, match='outside'):
    Predictor(temporal).cut(frame, np.array([40, 0, 50, 10]))


def test_states_are_put_together_and_taken_apart(temporal):
  _, carry = Predictor(temporal)(video(3, LENGTH))
  first, _, third = unstack(carry, 3)
  again = stack([first, None, third])
  np.testing.assert_array_equal(again.cell[[0, 2]], carry.cell[[0, 2]])
  assert not again.cell[1].any()
  assert stack([None, None]) is None
  assert unstack(None, 2) == [None, None]


def test_shorter_windows_of_a_batch_repeat_their_last_frame():
  long, short = video(1, 3)[0], video(1, 2, seed=1)[0]
  batch = stack_windows([long, short])
  np.testing.assert_array_equal(batch[0], long)
  np.testing.assert_array_equal(batch[1], short[[0, 1, 1]])


def test_networks_for_windows_of_other_lengths_do_not_go_together():
  models = {'primary': tiny_models.model(), 'eyes': tiny_models.model('eyes', length=5)}
  with pytest.raises(ValueError, match='primary: 3, eyes: 5'):
    predictor.check_windows(models)
