import types

import numpy as np
import pytest

from fmx.finding.verification import Evidence
from fmx.labelling import window

FACE = Evidence(True, False, np.zeros(3), True, True)
HALF = Evidence(False, False, np.zeros(3), False, True)  # Eyes, say, and a hand before the mouth.
NONE = Evidence(False, False, np.zeros(3), False, False)


def verdicts(*evidence, seen=True, before=()):
  course = types.SimpleNamespace(key=7, is_seen=np.full(len(evidence), seen))
  reading = types.SimpleNamespace(course=course, evidence=evidence)
  return window._verdicts(reading, dict.fromkeys(before))


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


def test_what_the_finder_does_not_see_is_not_known_by_half():
  assert verdicts(FACE, HALF, seen=False, before=(7,)) == [None, None]
