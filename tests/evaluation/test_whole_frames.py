import dataclasses
import types

import numpy as np
import pytest

from fmx.data.prepared import FrameExample
from fmx.evaluation import whole_frames
from fmx.labelling.frame_masks import FrameMasks
from tfds_300vw import face_mask

CLASSES = len(face_mask.CLASS_NAMES)


def face(centre, size):
  """68 points that enclose a face of that size."""
  angles = np.linspace(0.1, np.pi - 0.1, 17)
  jaw = np.stack([-np.cos(angles), np.sin(angles)], axis=1) / 2
  brows = np.stack([np.linspace(-0.45, 0.45, 10), np.full(10, -0.25)], axis=1)
  nose = np.zeros((9, 2))
  eyes = np.concatenate([ring((-0.2, -0.1), 0.08, 6), ring((0.2, -0.1), 0.08, 6)])
  mouth = np.concatenate([ring((0, 0.25), 0.16, 12), ring((0, 0.25), 0.08, 8)])
  return np.concatenate([jaw, brows, nose, eyes, mouth]) * size + centre


def ring(centre, radius, number):
  angles = np.pi + 2 * np.pi * np.arange(number) / number
  return np.stack([np.cos(angles), 0.6 * np.sin(angles)], axis=1) * radius + centre


def example(video, number, *faces):
  return FrameExample(
    image=np.zeros((100, 140, 3), np.uint8),
    landmarks=np.array(faces, np.float32).reshape(-1, 68, 2),
    others=np.zeros((0, 4), np.float32),
    video_id=video,
    frame_number=number,
    from_people=True,
  )


@pytest.fixture
def frames(monkeypatch):
  """Makes these the frames of any split."""

  def frames(*examples):
    class Frames(list):
      video_ids = np.array([example.video_id for example in examples])

    monkeypatch.setattr(whole_frames, 'FrameExamples', lambda *_: Frames(examples))
    return types.SimpleNamespace()

  return frames


def perfect(examples, *, move=0, keep=lambda video, number: True):
  """Labels as the landmarks say, each face an id of its own."""
  waiting = list(examples)

  def label(images, poses):
    for index, image in enumerate(images):
      of_frame = waiting.pop(0)
      labels, ids = np.zeros((2, *image.shape[:2]), np.uint8)
      for number, points in enumerate(of_frame.landmarks):
        mask = face_mask.landmarks_to_mask(points + move, *image.shape[:2])
        if keep(of_frame.video_id, number):
          labels, ids = np.where(mask > 0, mask, labels), np.where(mask > 0, number + 1, ids)
      yield FrameMasks(index, labels, ids.astype(np.uint8), (), is_cut=index == 0)

  return label


def test_labels_drawn_from_the_landmarks_are_perfect(frames):
  shown = [
    example('a', 1, face((40, 50), 50), face((100, 50), 40)),
    example('b', 1, face((70, 50), 60)),
  ]
  result = whole_frames.evaluate({'s': perfect(shown)}, frames(*shown), 'test')['s'].result()
  assert result['faces'] == 3
  assert result['miou'] == result['face_iou'] == 1
  assert {least: of_size['faces'] for least, of_size in result['sizes'].items()} == {
    '0': 1,
    '40': 2,
  }
  assert all(of_size['miou'] == 1 for of_size in result['sizes'].values())
  assert result['lost'] == result['not_found'] == 0


def test_a_face_without_a_mask_is_lost_and_counts(frames):
  shown = [
    example('a', 1, face((40, 50), 50), face((100, 50), 40)),
    example('b', 1, face((70, 50), 60)),
  ]
  label = perfect(shown, keep=lambda video, number: number == 0)
  result = whole_frames.evaluate({'s': label}, frames(*shown), 'test')['s'].result()
  assert result['not_found'] == 1
  assert result['lost'] == pytest.approx(1 / 3)
  assert result['face_iou'] == pytest.approx(2 / 3)
  assert result['worst'][0] == [0.0, 'a', 1]
  assert result['miou'] < 1


def test_another_face_nearby_does_not_count_against_the_first(frames):
  # The second face is nobody's annotation, but its mask reaches into what is scored.
  labelled = [example('a', 1, face((45, 50), 50), face((95, 50), 50))]
  shown = [example('a', 1, face((45, 50), 50))]
  result = whole_frames.evaluate({'s': perfect(labelled)}, frames(*shown), 'test')['s'].result()
  assert result['miou'] == 1


def test_frames_of_one_video_are_labelled_together_and_by_every_system(frames):
  shown = [example('a', number, face((50 + number, 50), 60)) for number in (1, 2, 3)]
  shown.append(example('b', 1, face((70, 50), 60)))
  seen = []

  def label(images, poses):
    seen.append((len(images), [len(of_frame) for of_frame in poses]))
    return good(images, poses)

  good = perfect(shown)
  results = whole_frames.evaluate(
    {'one': label, 'moved': perfect(shown, move=6)}, frames(*shown), 'test'
  )
  assert seen == [(3, [1, 1, 1]), (1, [1])]
  assert results['one'].result()['face_iou'] == 1
  assert 0.5 < results['moved'].result()['face_iou'] < 0.95
  assert results['moved'].draw_worst().ndim == 3


def test_spoiled_frames_are_scored_apart_from_the_others(frames, monkeypatch):
  shown = [example('a', number, face((50 + number, 50), 60)) for number in (1, 2, 3)]
  large = np.zeros((120, 150, 3), np.uint8)
  shown.append(dataclasses.replace(example('b', 1, face((70, 50), 60)), image=large))
  spoilt = {'a': [False, True, False], 'b': [True]}

  def whiten(images, name):
    flags = np.array(spoilt[name])
    return [image + np.uint8(255 * flag) for image, flag in zip(images, flags)], flags

  def label(images, poses):
    for masks, image in zip(good(images, poses), images):
      sees = not image.any()
      yield dataclasses.replace(masks, labels=masks.labels * sees, ids=masks.ids * sees)

  monkeypatch.setattr(whole_frames, 'spoil_video', whiten)
  good = perfect([*shown[:3], *shown[:3], shown[3], shown[3]])  # All is done twice.
  dataset = frames(*shown)
  result = whole_frames.evaluate({'s': label}, dataset, 'test', spoiled=True)['s'].result()
  assert (result['face_iou'], result['faces']) == (1, 4)
  assert {k: (r['face_iou'], r['faces']) for k, r in result['spoiled'].items()} == {
    'spoiled': (0, 2), 'others': (1, 2),
  }  # fmt: skip
  table = whole_frames.spoiled_rows({'s': result})
  assert [row[0] for row in table] == ['system', 's: spoiled', 's: others']
  assert 'temporal' not in result['spoiled']['others']  # Its frames are not neighbours.


def test_photographs_have_no_other_frames(frames):
  shown = [example('b', 1, face((70, 50), 60))]
  found = whole_frames.evaluate({'s': perfect(shown * 2)}, frames(*shown), 'test', spoiled=True)
  result = found['s'].result()
  assert list(result['spoiled']) == ['spoiled']
  assert len(whole_frames.spoiled_rows({'s': result})) == 2


def test_the_labels_own_stillness_is_told_beside_that_of_the_masks(frames):
  places = (50, 50, 56, 50, 50, 50)  # The face leaps for a moment, and its labels with it.
  shown = [example('a', number, face((x, 50), 60)) for number, x in enumerate(places, start=1)]
  shown.append(example('b', 1))  # Nobody.

  def still(images, poses):
    for index, image in enumerate(images):
      labels = face_mask.landmarks_to_mask(face((50, 50), 60), *image.shape[:2])
      yield FrameMasks(index, labels, (labels > 0).astype(np.uint8), (), is_cut=index == 4)

  result = whole_frames.evaluate({'s': still}, frames(*shown), 'test')['s'].result()
  assert result['temporal']['pairs'] == 4  # What a system takes for a cut divides its own masks,
  assert result['temporal_labels']['pairs'] == 5  # not the labels.
  assert result['temporal']['flicker'] == 0 < result['temporal_labels']['flicker']


def test_hidden_faces_keep_their_labels(frames):
  shown = [example('a', 1, face((70, 50), 60)), example('b', 1, face((70, 50), 60))]
  seen = []

  def label(images, poses):
    seen.extend(images)
    return good(images, poses)

  good = perfect(shown)
  dataset = frames(*shown)
  assert (
    whole_frames.evaluate({'s': label}, dataset, 'test', hidden=True)['s'].result()['miou'] == 1
  )
  assert all(image.any() for image in seen[:1])
  assert not shown[0].image.any()


def test_the_worst_faces_are_shown_as_the_system_saw_them(frames):
  shown = [example('a', 1, face((70, 50), 60)), example('b', 1, face((70, 50), 60))]
  dataset = frames(*shown)
  score = whole_frames.evaluate({'s': perfect(shown)}, dataset, 'test', hidden=True)['s']
  assert any(of_face.image.any() for of_face in score.worst)  # The frames themselves are black.


def test_masks_for_another_number_of_frames_are_refused(frames):
  shown = [example('a', 1, face((70, 50), 60))]
  with pytest.raises(ValueError, match='1 frames have got masks for 0'):
    whole_frames.evaluate({'s': lambda images, poses: []}, frames(*shown), 'test')
