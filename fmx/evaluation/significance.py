"""Whether a model is better than the baseline by more than chance (section 4.3)."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from scipy import stats

from fmx.evaluation.confusion import mean_iou

LEVEL = 0.05  # The paper calls a smaller p significant.
NUM_GROUPS = 10  # The paper's, for its 80 clips.


class Comparison(NamedTuple):
  """A paired t-test over groups of clips."""

  p: float  # Two-sided.
  miou: np.ndarray  # [groups], in [0, 1].
  baseline_miou: np.ndarray  # [groups], in [0, 1].

  @property
  def significant(self) -> bool:
    """Whether the difference, in either direction, is beyond chance at the paper's level."""
    return self.p < LEVEL


def group_clips(
  clips: Iterable[str], num_groups: int = NUM_GROUPS, seed: int = 0
) -> list[list[str]]:
  """Deals clips into groups whose sizes differ by one at most.

  The paper does not say how it groups. Here the sorted ids are shuffled by the seed and dealt out
  in turn, so the groups depend on the ids and the seed alone, and a subject's clips are spread.

  Args:
    clips: Ids of clips.
    num_groups: How many groups; fewer clips make as many groups as clips.
    seed: Of the shuffle.

  Returns:
    A list of lists of ids.

  Raises:
    ValueError: fewer than two groups are possible.
  """
  clips = sorted(clips)
  num_groups = min(num_groups, len(clips))
  if num_groups < 2:
    raise ValueError(
      f'A paired t-test needs two groups of clips, but {len(clips)} clips make {num_groups}.'
    )
  shuffled = [clips[i] for i in np.random.default_rng(seed).permutation(len(clips))]
  return [shuffled[start::num_groups] for start in range(num_groups)]


def compare(
  counts: Mapping[str, np.ndarray],
  baseline: Mapping[str, np.ndarray],
  *,
  num_groups: int = NUM_GROUPS,
  seed: int = 0,
) -> Comparison:
  """Tests the groups' mIoU against the baseline's by a paired t-test.

  Args:
    counts: [K, K] pixels of each clip, by id: 'clips' of `protocol.summarize`.
    baseline: The same of the baseline, on the same clips.
    num_groups: As in `group_clips`.
    seed: As in `group_clips`.

  Returns:
    The p value and the groups' mIoU; p is 1 if the two are equal in every group. A group in which
    only background occurs is left out of the test; p is nan if that leaves fewer than two.

  Raises:
    ValueError: the clips differ, or are fewer than two.
  """
  if counts.keys() != baseline.keys():
    stranger = sorted(counts.keys() ^ baseline.keys())[0]
    raise ValueError(
      f'Only one of the two models was evaluated on clip {stranger}; evaluate both on one split.'
    )
  groups = group_clips(counts, num_groups, seed)
  ours, theirs = (
    np.array([mean_iou(np.sum([of[clip] for clip in group], axis=0)) for group in groups])
    for of in (counts, baseline)
  )
  if np.array_equal(ours, theirs, equal_nan=True):
    return Comparison(1.0, ours, theirs)
  return Comparison(float(stats.ttest_rel(ours, theirs, nan_policy='omit').pvalue), ours, theirs)
