import itertools
import pickle

import cv2
import drawn_scenes
import numpy as np
import pytest
from drawn_scenes import Oracle, Video, extract

from fmx import FaceMaskExtractor
from fmx.labelling import extractor as module
from fmx.labelling.crops import crop_of
from fmx.labelling.steadying import Trace, steadied
from tfds_300vw.pose import Pose

HEIGHT, WIDTH = 120, 160


@pytest.fixture(autouse=True)
def _no_networks(monkeypatch):
  monkeypatch.setattr(module, 'Predictor', drawn_scenes.ColorPredictor)


@pytest.fixture(scope='module')
def texture():
  noise = np.random.default_rng(0).uniform(0, 255, (HEIGHT, WIDTH))
  smooth = cv2.GaussianBlur(noise, (0, 0), 2)
  return np.uint8(255 * (smooth - smooth.min()) / np.ptp(smooth))


def moved(image, x, y=0.0):
  return cv2.warpAffine(image, np.float64([[1, 0, x], [0, 1, y]]), image.shape[1::-1])


def trace(image, mask, *, pose=None, box=(20, 10, 140, 110), side=96):
  """Of a gray frame, with a mask of class 1 of 255 where `mask` is 1."""
  pose = pose or Pose(80, 60, 60, 0.0)
  crop = crop_of(pose, drawn_scenes.model('primary', side))
  x0, y0, x1, y1 = box
  scores = np.zeros((y1 - y0, x1 - x0, 4), np.uint8)
  scores[..., 0] = np.rint(255 * mask[y0:y1, x0:x1])
  return Trace(crop, crop.image(np.dstack([image] * 3))[..., 0], np.array(box), scores)


def disc(x, y, value=1.0, radius=20):
  return value * cv2.circle(np.zeros((HEIGHT, WIDTH)), (x, y), radius, 1, -1)


def test_a_mask_that_wavers_stays_nearer_to_the_one_before(texture):
  before, new = trace(texture, disc(80, 60, 0.7)), trace(texture, disc(80, 60, 0.4))
  found = steadied(new, before, 0.5).scores[50, 60, 0]
  # Half of each, but for the doubt that a change of 0.3 leaves, 1 - 0.3 ** 2.
  weight = 0.5 * (1 - 0.3**2)
  assert found == pytest.approx(255 * (0.7 * weight + 0.4 * (1 - weight)), abs=1.5)


def test_a_network_that_is_of_another_mind_altogether_is_believed(texture):
  before, new = trace(texture, disc(80, 60)), trace(texture, disc(80, 60, 0.0))
  scores = steadied(new, before, 0.8).scores
  # Between the pixels of the rim the mask before is half sure, so a little of that may stay.
  assert scores[disc(80, 60, radius=18)[10:110, 20:140] > 0].max() == 0
  assert scores.max() < 10


def test_a_mask_goes_along_with_the_picture(texture):
  before = trace(texture, disc(80, 60, 0.8))
  new = trace(moved(texture, 5, -3), disc(85, 57, 0.5))
  along, stays = (
    steadied(new, trace(image, mask), 0.9).scores[..., 0].astype(float)
    for image, mask in ((texture, disc(80, 60, 0.8)), (moved(texture, 5, -3), disc(80, 60, 0.8)))
  )
  expected = disc(85, 57)[10:110, 20:140] > 0
  mean = along[expected].mean()
  assert mean > stays[expected].mean()
  assert along[~expected].mean() < 0.35 * stays[~expected].mean()
  assert mean == pytest.approx(255 * (0.5 + 0.3 * 0.9 * (1 - 0.3**2)), abs=12)
  np.testing.assert_array_equal(before.scores, trace(texture, disc(80, 60, 0.8)).scores)


def test_it_makes_no_difference_how_the_crop_lies_or_where_the_box_is(texture):
  new = trace(texture, disc(80, 60, 0.5))
  usual = steadied(new, trace(texture, disc(80, 60, 0.8)), 0.8).scores.astype(int)
  other = trace(texture, disc(80, 60, 0.8), pose=Pose(82, 58, 63, 0.05), box=(30, 5, 130, 118))
  found = steadied(new, other, 0.8).scores.astype(int)
  assert np.abs(found - usual)[20:-20, 20:-20].mean() < 3


def test_where_the_picture_changes_the_new_mask_counts(texture):
  changed = texture.copy()
  changed[50:70, 70:90] = 255 - changed[50:70, 70:90]
  before, new = trace(texture, disc(80, 60, 0.8, 30)), trace(changed, disc(80, 60, 0.5, 30))
  found = steadied(new, before, 0.8).scores[..., 0]
  assert found[45:55, 55:65].mean() < 255 * 0.55  # In the middle of what is other.
  assert found[50, 35] > 255 * 0.65


@pytest.mark.parametrize('side', [16, 32, 64, 160])
def test_any_picture_and_size_will_do(side):
  rng = np.random.default_rng(side)
  pictures = [rng.integers(0, 256, (HEIGHT, WIDTH)).astype(np.uint8), np.zeros((HEIGHT, WIDTH))]
  for one, other in itertools.product(pictures, repeat=2):
    traces = [trace(image.astype(np.uint8), disc(80, 60), side=side) for image in (one, other)]
    scores = steadied(*traces, 0.8).scores
    assert scores.shape == (100, 120, 4)
    assert scores.dtype == np.uint8


def test_nothing_is_mixed_where_nothing_was_or_none_is_wanted(texture):
  new = trace(texture, disc(80, 60))
  assert steadied(new, None, 0.8) is new
  assert steadied(None, new, 0.8) is None
  assert steadied(new, trace(texture, disc(60, 60)), 0) is new


@pytest.mark.parametrize('steadiness', [-0.1, 1.0])
def test_a_share_out_of_range_is_refused(steadiness):
  with pytest.raises(ValueError, match=f'steadiness is {steadiness}; it must be 0 or more'):
    FaceMaskExtractor(drawn_scenes.models(), finder=Oracle(Video()), steadiness=steadiness)


class Wavering(drawn_scenes.ColorPredictor):
  """It takes inner mouths for lips by a hair in every other frame of a window."""

  def probabilities(self, video, carry=None):
    probs, carry = super().probabilities(video, carry)
    inner = probs[..., 4].copy()
    share = np.where(np.arange(video.shape[1]) % 2, 0.45, 0.65)[None, :, None, None]
    probs[..., 4] = share * inner
    probs[..., 3] += (1 - share) * inner
    return probs, carry


@pytest.fixture
def wavering(monkeypatch):
  monkeypatch.setattr(module, 'Predictor', Wavering)
  video = Video()
  for i in range(20):
    video.add({'Ann': (120 + i / 2, 75, 70)})
  return video


def changes(found):
  """Pixels that are inner mouth in one frame and lips in the next."""
  labels = [masks.labels for masks in found]
  return sum(((one == 4) & (other == 3)).sum() for one, other in itertools.pairwise(labels))


def test_masks_of_a_video_flicker_less(wavering):
  options = {'zoom': False, 'skip': 0}
  usual, steady = (changes(extract(wavering, steadiness=share, **options)) for share in (0.0, 0.8))
  assert usual > 200
  assert steady < 0.3 * usual


def test_frames_that_come_one_by_one_are_steadied_too(wavering):
  extractor = FaceMaskExtractor(drawn_scenes.models(), finder=Oracle(wavering), zoom=False)
  state, found = None, []
  for frame in wavering.frames:
    state = None if state is None else pickle.loads(pickle.dumps(state))
    (((masks,), state),) = extractor.windows([frame], state)
    found.append(masks)
    assert state.shot.faces[1].trace.scores.any()


def test_a_saved_state_goes_on_with_the_same_bits_and_a_reset_one_anew(wavering):
  extractor = FaceMaskExtractor(drawn_scenes.models(), finder=Oracle(wavering), zoom=False)
  drawn_scenes.assert_goes_on_with_the_same_bits(extractor, wavering.frames)
  anew = [masks.labels for masks in extract(wavering, zoom=False, state='reset')]
  usual = [masks.labels for masks in extract(wavering, zoom=False, steadiness=0, skip=0)]
  for index in range(0, 20, 5):
    np.testing.assert_array_equal(anew[index], usual[index])
  assert (anew[6] != usual[6]).any()
