import types

import numpy as np
import pytest

from fmx.finding.tracks import Course
from fmx.finding.verification import Evidence
from fmx.labelling.faces import FaceState, Sight
from fmx.labelling.verdicts import verdicts_of
from tfds_300vw.pose import Pose

FACE = Evidence(True, False, np.zeros(3), True, True)
SURE = Evidence(True, False, np.zeros(3), False, True)  # Half of one, of which the network is sure.
HALF = Evidence(False, False, np.zeros(3), False, True)  # Eyes, say, and a hand before the mouth.
NONE = Evidence(False, False, np.zeros(3), False, False)
HERE = Pose(200.0, 100.0, 80.0, 0.0)
SEEN = Sight(HERE, np.zeros((5, 2)), np.zeros((8, 8, 5)), 0.9, np.zeros((24, 24, 3)))


def verdicts(
  *evidence,
  seen=True,
  before=(),
  poses=None,
  find=0.9,
  masks=None,
  given=False,
  pixel=1.0,
  failures=0,
):
  poses, length = poses or [HERE] * len(evidence), len(evidence)
  points, is_seen = np.zeros((length, 5, 2)), np.full(length, seen)
  course = Course(7, tuple(poses), points, is_seen, find, given, failures)
  sure = masks or [0.9] * length
  reading = types.SimpleNamespace(
    course=course, evidence=evidence, confidence=np.float32(sure), probs=np.float32([pixel])
  )
  return verdicts_of(reading, {key: FaceState(None, {}, SEEN) for key in before})


@pytest.mark.parametrize(
  ('evidence', 'before', 'expected'),
  [
    ((HALF, HALF), (), [None, None]),  # No face begins like that.
    ((HALF, FACE, HALF, NONE), (), ['good', 'good', 'good', None]),
    ((HALF, NONE), (7,), ['good', None]),  # It was there in the window before.
    ((HALF,), (6,), [None]),  # Another one was.
  ],
)
def test_a_face_that_was_seen_well_may_be_half_hidden(evidence, before, expected):
  assert verdicts(*evidence, before=before) == expected


@pytest.mark.parametrize(
  ('pose', 'expected'),
  [
    (Pose(210.0, 90.0, 90.0, 0.3), 'good'),
    (Pose(230.0, 100.0, 80.0, 0.0), None),  # 30 of 80 pixels away.
    (Pose(200.0, 100.0, 80.0, 0.6), None),  # Turned by 34 degrees.
    (Pose(200.0, 100.0, 80.0, 6.2), 'good'),  # By -5.
  ],
)
def test_half_a_face_that_leapt_or_turned_is_none(pose, expected):
  assert verdicts(FACE, HALF, before=(7,), poses=[HERE, pose]) == ['good', expected]
  assert verdicts(HALF, before=(7,), poses=[pose]) == [expected]


def test_half_a_face_may_begin_but_no_other_takes_its_place():
  turned = Pose(210.0, 110.0, 75.0, 2.9)  # The forehead of a hanging head, taken for a chin.
  assert verdicts(SURE) == ['good']
  assert verdicts(SURE, before=(7,), poses=[turned]) == [None]
  assert verdicts(FACE, SURE, poses=[HERE, turned]) == ['good', None]
  assert verdicts(FACE, before=(7,), poses=[turned]) == ['good']


def test_half_a_face_may_move_on_little_by_little():
  poses = [Pose(200.0 + 20 * step, 100.0, 80.0, 0.4 * step) for step in range(1, 6)]
  assert verdicts(*[HALF] * 5, before=(7,), poses=poses) == ['good'] * 5


def test_what_the_finder_does_not_see_is_not_known_by_half():
  assert verdicts(FACE, HALF, seen=False, before=(7,)) == [None, None]


@pytest.mark.parametrize(
  ('find', 'masks', 'expected'),
  [
    (0.9, (0.7, 0.7, 0.7), ['good'] * 3),  # The finder is sure.
    (0.5, (0.7, 0.92, 0.93), ['good'] * 3),  # Most masks are.
    (0.5, (0.7, 0.7, 0.93), [None] * 3),
    (0.5, (0.89, 0.89, 0.89), ['good'] * 3),
  ],
)
def test_a_face_begins_where_finder_or_masks_are_sure(find, masks, expected):
  says = {'find': find, 'masks': masks}
  assert verdicts(FACE, FACE, FACE, **says) == expected
  assert verdicts(FACE, FACE, FACE, **says, before=(6,)) == expected  # Another one is known.
  assert verdicts(FACE, FACE, FACE, **says, before=(7,)) == ['good'] * 3
  assert verdicts(FACE, FACE, FACE, **says, given=True) == ['good'] * 3


@pytest.mark.parametrize(
  ('failures', 'find', 'mask', 'expected'),
  [
    (0, 0.61, 0.8, 'good'),
    (1, 0.61, 0.8, None),
    (2, 0.67, 0.8, 'good'),
    (0, 0.5, 0.883, 'good'),
    (1, 0.5, 0.883, None),
    (1, 0.5, 0.887, 'good'),
    (99, 0.76, 0.8, 'good'),  # There is an end to it.
    (99, 0.5, 0.91, 'good'),
  ],
)
def test_what_looked_like_no_face_before_must_look_more_like_one(failures, find, mask, expected):
  assert verdicts(FACE, find=find, masks=[mask], failures=failures) == [expected]
  assert verdicts(FACE, find=find, masks=[mask], failures=failures, before=(7,)) == ['good']


@pytest.mark.parametrize(
  ('find', 'masks', 'expected'),
  [
    (0.5, (0.8, 0.95, 0.8, 0.8), ['good', 'good', None, None]),
    (0.5, (0.8, 0.80, 0.9, 0.9), ['good'] * 4),
    (0.7, (0.8, 0.80, 0.8, 0.8), ['good'] * 4),
  ],
)
def test_a_face_that_turned_more_than_a_head_can_must_be_sure(find, masks, expected):
  rolls = (0.3, 6.0, 1.2, 4.0)  # 17, -16, 69 and -131 degrees.
  poses = [Pose(200.0, 100.0, 80.0, roll) for roll in rolls]
  assert verdicts(*[FACE] * 4, poses=poses, find=find, masks=masks, before=(7,)) == expected


def test_only_frames_with_a_face_say_how_sure_its_masks_are():
  evidence, sure = (NONE, NONE, FACE), (0.5, 0.5, 0.9)
  assert verdicts(*evidence, find=0.5, masks=sure) == [None, None, 'good']
  assert verdicts(NONE, find=0.5, masks=[0.5]) == [None]


def test_a_network_that_is_never_sure_does_not_keep_a_face_from_beginning():
  bounded = 0.649  # The largest of five probabilities if logits are between -1 and 1.
  assert verdicts(FACE, find=0.5, masks=[0.6], pixel=bounded) == ['good']
