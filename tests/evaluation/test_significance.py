import numpy as np
import pytest

from fmx.evaluation import significance


def clip_counts(shared, missed):
  """A clip of background and one class, with IoU shared / (shared + missed)."""
  return np.array([[10, 0], [missed, shared]])


def make_clips(shared):
  return {f'c{i:02}': clip_counts(s, 100 - s) for i, s in enumerate(shared)}


def test_p_by_hand():
  # Two groups of one clip: IoU 0.5 and 0.6 against 0.4 and 0.3: differences 0.1 and 0.3.
  # Mean 0.2, standard error sqrt(0.02) / sqrt(2) = 0.1, t = 2 with one degree of freedom.
  # Student's t with 1 degree is Cauchy: p = 1 - 2 · atan(2) / pi.
  test = significance.compare(make_clips([50, 60]), make_clips([40, 30]))
  assert test.p == pytest.approx(1 - 2 * np.arctan(2) / np.pi)
  assert not test.significant
  np.testing.assert_allclose(sorted(test.miou), [0.5, 0.6])


def test_a_steady_gain_is_significant_and_the_same_gain_in_disorder_is_not():
  rng = np.random.default_rng(0)
  base = rng.integers(30, 60, size=80)
  steady = base + rng.integers(2, 5, size=80)
  disorder = rng.permutation(steady)
  baseline = make_clips(base)
  assert significance.compare(make_clips(steady), baseline).p < 1e-4
  assert significance.compare(make_clips(disorder), baseline).p > 0.01


def test_eighty_clips_make_ten_groups_of_eight_with_every_clip_once():
  clips = [f'c{i}' for i in range(80)]
  groups = significance.group_clips(clips)
  assert [len(group) for group in groups] == [8] * 10
  assert sorted(sum(groups, [])) == sorted(clips)


def test_groups_differ_by_one_clip_at_most():
  assert sorted(map(len, significance.group_clips(map(str, range(23))))) == [2] * 7 + [3] * 3


def test_the_groups_depend_on_ids_and_seed_alone():
  clips = [f'c{i}' for i in range(30)]
  groups = significance.group_clips(clips)
  assert significance.group_clips(reversed(clips)) == groups
  assert significance.group_clips(clips, seed=1) != groups


def test_a_group_sums_counts_before_the_ratio():
  # One group would hold a clip of 10 pixels and one of 1000: the large one decides.
  clips = {'a': clip_counts(10, 0), 'b': clip_counts(0, 1000), 'c': clip_counts(5, 5)}
  test = significance.compare(clips, clips, num_groups=2)
  for group, miou in zip(significance.group_clips(clips, 2), test.miou):
    counts = sum(clips[clip] for clip in group)
    assert miou == pytest.approx(counts[1, 1] / counts[1].sum())


def test_fewer_clips_than_groups_make_a_group_of_each():
  assert len(significance.compare(make_clips([1, 2, 3]), make_clips([2, 2, 2])).miou) == 3


def test_equal_models_are_not_different():
  clips = make_clips([40, 50, 60])
  assert significance.compare(clips, clips).p == 1


def test_groups_without_a_face_are_left_out():
  empty = {'z': np.diag([9, 0])}
  ours, theirs = make_clips([50, 60]), make_clips([40, 30])
  expected = significance.compare(ours, theirs).p
  assert significance.compare(ours | empty, theirs | empty).p == pytest.approx(expected)


def test_one_clip_is_too_few():
  with pytest.raises(ValueError, match='needs two groups of clips, but 1 clips make 1'):
    significance.compare(make_clips([1]), make_clips([2]))


def test_other_clips_are_refused():
  with pytest.raises(ValueError, match='Only one of the two models was evaluated on clip c02'):
    significance.compare(make_clips([1, 2, 3]), make_clips([1, 2]))
