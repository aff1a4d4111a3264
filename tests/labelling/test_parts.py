import numpy as np
import pytest
from drawn_scenes import ColorPredictor, Video, model

from fmx.labelling import merging, parts
from fmx.labelling.crops import crop_of
from tfds_300vw import boxes, face_mask, pose
from tfds_300vw.pose import face_pose, five_points, move


def scene(roll=20.0, size=70):
  """A drawn face: the frame, its landmarks, its crop and its labels there."""
  video = Video()
  video.add({'Ann': (120, 75, size, roll)})
  landmarks = video.people[0]['Ann']
  crop = crop_of(face_pose(landmarks), model('primary', 96))
  return video.frames[0], landmarks, crop


def labels_in(crop, landmarks):
  return face_mask.landmarks_to_mask(move(landmarks, crop.matrix), crop.side, crop.side)


def points_in(crop, landmarks):
  return move(five_points(landmarks), crop.matrix)


def found_poses(labels, crop, landmarks, region, times=1):
  found = parts.part_poses(
    np.stack([labels] * times) if labels.ndim == 2 else labels,
    [crop] * times,
    np.stack([points_in(crop, landmarks)] * times),
    region,
  )
  return dict(found)


@pytest.mark.parametrize('region', ['mouth', 'eye'])
@pytest.mark.parametrize('roll', [0.0, 50.0, -130.0])
def test_parts_are_where_training_has_them(region, roll):
  _, landmarks, crop = scene(roll)
  found = found_poses(labels_in(crop, landmarks), crop, landmarks, region)
  expected = pose.part_poses(landmarks, region)
  assert list(found) == list(range(len(expected)))
  for (ours,), theirs in zip(found.values(), expected):
    tolerance = 0.03 * crop.pose.size
    assert np.hypot(ours.x - theirs.x, ours.y - theirs.y) < tolerance
    assert abs(ours.size - theirs.size) < tolerance
    assert ours.roll == crop.pose.roll


def test_a_narrow_part_counts_as_large_as_in_training():
  _, landmarks, crop = scene()
  labels = np.zeros((96, 96), np.uint8)
  labels[60:62, 46:50] = 3
  ((found,),) = found_poses(labels, crop, landmarks, 'mouth').values()
  assert found.size == pytest.approx(0.25 * crop.pose.size)


def test_a_part_that_the_mask_lacks_is_left_out_and_one_elsewhere_too():
  _, landmarks, crop = scene()
  labels = labels_in(crop, landmarks)
  no_right_eye = np.where((labels == 2) & (np.arange(96) > 48), 1, labels).astype(np.uint8)
  assert list(found_poses(no_right_eye, crop, landmarks, 'eye')) == [0]
  labels[labels == 2] = 1
  labels[2:8, 2:8] = 2
  assert found_poses(labels, crop, landmarks, 'eye') == {}


def test_a_frame_without_the_part_takes_the_place_of_the_nearest():
  _, landmarks, crop = scene()
  labels = np.stack([labels_in(crop, landmarks)] * 3)
  labels[1][labels[1] > 2] = 1
  (found,) = found_poses(labels, crop, landmarks, 'mouth', times=3).values()
  assert found[0] == found[1] == found[2]


def test_both_eyes_are_seen_as_the_left_one_in_one_batch():
  frame, landmarks, crop = scene()
  seen = []

  class Watched(ColorPredictor):
    def probabilities(self, video, carry=None):
      seen.append(video)
      return super().probabilities(video, carry)

  predictors = {'eye': Watched(model('eye', 64))}
  views, _ = parts.look_closer(
    [labels_in(crop, landmarks)[None]],
    [[crop]],
    [points_in(crop, landmarks)[None]],
    [frame],
    predictors,
    [{}],
  )
  (video,) = seen
  assert video.shape == (2, 1, 64, 64, 3)
  assert [view.number for view in views[0]] == [0, 1]
  # The drawn face is symmetric: mirrored, its eyes look the same but for the noise.
  assert np.abs(video[0].astype(int) - video[1]).mean() < 6
  for view in views[0]:
    left, right = (view.probs[0, ..., 1] > 0.5)[:, :32].sum(), (view.probs[0, ..., 1] > 0.5).sum()
    assert right > 100
    assert abs(2 * left - right) < 0.2 * right


def test_the_weight_falls_to_the_border():
  weight = parts.ramp(100)
  assert weight.max() == np.float32(0.85)
  assert weight[50, 12] == np.float32(0.85)
  assert weight[50, 0] == pytest.approx(0.85 * 0.5 / 12, rel=1e-3)
  np.testing.assert_array_equal(weight, weight.T[::-1])


def probabilities(labels, sure=0.9):
  probs = np.full((*labels.shape, 5), (1 - sure) / 4, np.float32)
  np.put_along_axis(probs, labels[..., None].astype(int), sure, axis=-1)
  return probs


def test_labels_in_the_frame_are_the_classes_of_its_pixels():
  frame, landmarks, crop = scene(35.0)
  labels = labels_in(crop, landmarks)
  size = frame.shape[:2]
  box, scores = merging.face_scores(probabilities(labels), crop, labels > 0, [], 0, size)
  found = merging.labels_of(scores)
  truth = face_mask.landmarks_to_mask(landmarks, *frame.shape[:2])
  assert (boxes.crop(truth, box) > 0).sum() == (truth > 0).sum()
  assert (boxes.crop(truth, box) != found).mean() < 0.02


def test_a_part_has_its_own_classes_and_leaves_the_others_their_proportions():
  # One pixel of the frame in the middle of the part's crop, where its weight is 0.85. The primary
  # network: background 0.2, skin 0.3, lips 0.5. The mouth's: lips 0.1, inner mouth 0.2, else 0.7.
  # Lips 0.15 * 0.5 + 0.85 * 0.1 = 0.16; inner 0.17. Of the other 0.67, skin has 0.3 / 0.5: 0.402,
  # that is 0.15 * 0.3 + 0.85 * 0.7 * 0.6.
  crop = crop_of(pose.Pose(20.0, 20.0, 30.0, 0.0), model('mouth', 64))
  probs = np.broadcast_to(np.float32([0.7, 0.1, 0.2]), (1, 64, 64, 3))
  scores = np.broadcast_to(np.uint8([76, 0, 128, 0]), (41, 41, 4)).copy()
  merging._mix(scores, np.array([0, 0, 41, 41]), parts.PartView('mouth', 0, (crop,), probs), 0)
  np.testing.assert_allclose(scores[20, 20] / 255, [0.402, 0, 0.16, 0.17], atol=0.01)


def test_strays_and_other_faces_are_left_out():
  frame, landmarks, crop = scene(0.0)
  labels = labels_in(crop, landmarks)
  piece = labels > 0
  labels = labels.copy()
  labels[:6, :6] = 1
  _, scores = merging.face_scores(probabilities(labels), crop, piece, [], 0, frame.shape[:2])
  found = merging.labels_of(scores)
  truth = face_mask.landmarks_to_mask(landmarks, *frame.shape[:2])
  assert abs(int((found > 0).sum()) - int((truth > 0).sum())) < 0.03 * (truth > 0).sum()


def test_a_face_out_of_the_frame_has_no_labels():
  crop = crop_of(pose.Pose(-90.0, 20.0, 30.0, 0.0), model('primary', 96))
  piece = np.ones((96, 96), bool)
  assert merging.face_scores(probabilities(piece), crop, piece, [], 0, (60, 80)) is None
