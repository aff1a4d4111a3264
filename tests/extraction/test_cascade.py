import itertools

import numpy as np
import pytest

from fmx.data.synthetic import draw_video
from fmx.extraction import cascade
from fmx.extraction.cascade import Cascade, Stage


def one_feature_cascade(threshold):
  """Window of 4: asks whether the right half is brighter than the left one."""
  left = [(0, 0), (0, 2), (4, 0), (4, 2)]
  right = [(0, 2), (0, 4), (4, 2), (4, 4)]
  corners = np.array([left + right + [(0, 0)] * 4] * 2)
  weights = np.array([[-1, 1, 1, -1, 1, -1, -1, 1, 0, 0, 0, 0]] * 2, float)
  stage = Stage(
    corners=corners,
    weights=weights,
    node_thresholds=np.array([[threshold, np.inf]]),
    second_is_right=np.array([True]),
    leaves=np.array([[0.0, 2.0, 9.0]]),
    threshold=1.5,
  )
  return Cascade(4, (stage, stage, stage))


def test_a_feature_is_a_difference_of_areas_over_area_and_deviation():
  # Columns 0, 0, 100, 100: the right half has 8 * 100 = 800 more. The inner 2 x 2 pixels are 0 and
  # 100, deviation 50, area 4: the feature is 800 / (4 * 50) = 4. Leaf 1 gives 2, 0.5 over 1.5.
  gray = np.tile(np.array([0, 0, 100, 100], np.uint8), (4, 1))
  for threshold, margins in ((3.99, [0.5]), (4.01, [])):
    corners, found = cascade.passing(one_feature_cascade(threshold), gray, step=1)
    assert corners.tolist() == [[0, 0]] * len(margins)
    np.testing.assert_allclose(found, margins)


def test_brightness_and_contrast_do_not_matter():
  rng = np.random.default_rng(0)
  gray = 40 * rng.integers(0, 3, (30, 30), dtype=np.uint8)  # Flat windows are flat in both.
  faces = one_feature_cascade(0.5)
  plain, _ = cascade.passing(faces, gray, step=1)
  changed, _ = cascade.passing(faces, gray * 2 + 10, step=1)
  assert 0 < len(plain) < 27 * 27
  np.testing.assert_array_equal(changed, plain)


def test_flat_and_too_small_images_have_no_hits():
  faces = cascade.load()
  for shape in ((60, 60), (19, 60), (3, 3)):
    found = cascade.scan(
      faces, np.full(shape, 90, np.uint8), min_side=20, max_side=np.inf, growth=1.2
    )
    assert found.boxes.shape == (0, 4)


def test_every_window_is_judged_as_by_the_definition():
  faces = cascade.load()
  gray = np.ascontiguousarray(next(draw_video(0, 2, 1, size=70))[0][..., 1][:44, :44])
  short = Cascade(faces.side, faces.stages[:3])  # Later stages leave too few windows to compare.
  corners, _ = cascade.passing(short, gray, step=2)
  places = itertools.product(range(0, 25, 2), range(0, 25, 2))
  expected = [(x, y) for y, x in places if _passes(short, gray[y : y + 20, x : x + 20])]
  assert 3 < len(expected) < 200
  assert [tuple(corner) for corner in corners.tolist()] == expected


def _passes(faces, window):
  integral = np.pad(window.astype(float).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
  deviation = window[1:-1, 1:-1].std()
  if deviation <= 10:
    return False
  for stage in faces.stages:
    total = 0.0
    for tree, leaves in enumerate(stage.leaves):
      is_right = [
        sum(weight * integral[y, x] for (y, x), weight in zip(stage.corners[i], stage.weights[i]))
        / (18 * 18 * deviation)
        >= threshold
        for i, threshold in zip((2 * tree, 2 * tree + 1), stage.node_thresholds[tree])
      ]
      goes_on = is_right[0] == stage.second_is_right[tree]
      total += leaves[1 + is_right[1]] if goes_on else leaves[0]
    if total < stage.threshold:
      return False
  return True


@pytest.mark.parametrize('scale', [1, 2])
def test_the_cascade_agrees_on_a_drawn_face(scale):
  frame, landmarks = next(draw_video(0, 4, 1, size=200))
  gray = np.ascontiguousarray(frame[..., 1].repeat(scale, 0).repeat(scale, 1))
  hits = cascade.scan(cascade.load(), gray, min_side=40 * scale, max_side=np.inf, growth=1.15)
  centre = np.median((hits.boxes[:, :2] + hits.boxes[:, 2:]) / 2, axis=0) / scale
  assert len(hits.boxes) >= 10
  assert (hits.margins >= 0).all()
  assert np.abs(centre - landmarks[27:31].mean(axis=0)).max() < 10  # The bridge of the nose.
