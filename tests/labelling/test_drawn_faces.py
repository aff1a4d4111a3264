"""Detector, tracker, cuts and extractor together, on drawn faces whose masks are known."""

import itertools
import pickle

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest
from small_datasets import moving_faces

from fmx import FaceMaskExtractor
from fmx.evaluation.confusion import confusion_counts, mean_iou
from fmx.weights import Model
from tfds_300vw import boxes, face_mask

HEIGHT, WIDTH, LENGTH, NUMBER = 96, 112, 3, 11
FIRST_BOX = (26, 20, 86, 80)


class ColorReader(nn.Module):
  """A network that has learnt the colours of `moving_faces`."""

  temporal = False

  @nn.compact
  def __call__(self, video, carry=None, train=False):
    colors = 15 + jnp.array(face_mask.COLORS, jnp.float32) / 2 + 15
    distance = (video[..., None, :].astype(jnp.float32) - colors) ** 2
    return -distance.sum(axis=-1) / 1000, carry

  def initial_carry(self, clips, size):
    return None


@pytest.fixture(scope='module')
def frames_and_labels():
  pairs = list(moving_faces(NUMBER, HEIGHT, WIDTH, seed=0))
  labels = [face_mask.landmarks_to_mask(landmarks, HEIGHT, WIDTH) for _, landmarks in pairs]
  return [frame for frame, _ in pairs], labels


@pytest.fixture(scope='module')
def extractor():
  names = face_mask.class_names('primary')
  weights = {'primary': Model(ColorReader(), {}, 'primary', names, 64, LENGTH)}
  return FaceMaskExtractor(weights, box=FIRST_BOX)


@pytest.fixture(scope='module')
def windows(extractor, frames_and_labels):
  return list(extractor.windows(iter(frames_and_labels[0])))


def test_a_face_is_followed_by_its_own_masks(windows, frames_and_labels):
  masks = [masks for window, _ in windows for masks in window]
  assert len(masks) == NUMBER
  counts = sum(
    confusion_counts(truth, m.labels, 5) for truth, m in zip(frames_and_labels[1], masks)
  )
  assert mean_iou(counts) > 0.8
  for truth, of_frame in zip(frames_and_labels[1], masks):
    (face,) = of_frame.faces
    assert face.id == 1
    inside = boxes.crop(truth > 0, face.box)
    assert inside.sum() > 0.97 * (truth > 0).sum()


def test_it_goes_on_with_the_same_bits_from_a_saved_state(windows, extractor, frames_and_labels):
  expected = list(itertools.chain.from_iterable(window for window, _ in windows))
  for _, state in windows[:-1]:
    saved = pickle.loads(pickle.dumps(state))
    rest = extractor.windows(iter(frames_and_labels[0][saved.next_index :]), saved)
    found = [masks for window, _ in rest for masks in window]
    for one, other in zip(found, expected[saved.next_index :], strict=True):
      np.testing.assert_array_equal(one.labels, other.labels)
      np.testing.assert_array_equal(one.faces[0].box, other.faces[0].box)
      assert one.faces[0].id == other.faces[0].id == 1


def test_a_state_is_small_and_does_not_grow(windows):
  sizes = [len(pickle.dumps(state)) for _, state in windows]
  assert max(sizes) < 100_000
  assert sizes[-1] <= 1.2 * sizes[1]
