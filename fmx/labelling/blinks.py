"""When an eye blinks, from how far it is open over time."""

import collections

import numpy as np

BEGIN, END = (
  0.55,
  0.7,
)  # Shares of the usual opening: a blink begins below one, ends above the other.
AROUND = 5.0  # Seconds before and after a frame whose median opening is the usual one.
# Of the face's height. An eye that is usually less open is closed or cast down most of the time,
# and what it does besides is noise.
LEAST = 0.03
# Seconds. A closed eye may vanish from a mask; one that is gone for longer is hidden.
LONGEST_GAP = 0.5


def blinks(times: np.ndarray, openings: np.ndarray) -> list[bool | None]:
  """Says of each frame whether an eye blinks in it.

  A blink begins where the eye is open less than 0.55 as far as usual, and ends where it is open
  more than 0.7 as far: an eye on the verge does not flicker. What is usual is the median of the
  eye's own openings in the ten seconds around.

  Args:
    times: Seconds, ascending [N]: of the frames in which the face has a mask.
    openings: Shares of the face's height [N]; NaN where the eye has no mask.

  Returns:
    N answers; None where it cannot be told: the eye is hidden, or usually closed.
  """
  openings = with_closed(times, openings)
  usual, lid = running_median(times, openings), Lid()
  return [lid(*each) for each in zip(times, openings, usual)]


class Lid:
  """An eye from frame to frame, whose usual opening is known."""

  def __init__(self) -> None:
    self._is_closed, self._before = False, -np.inf

  def __call__(self, time: float, opening: float, usual: float) -> bool | None:
    """Whether it blinks; None where that cannot be told."""
    if np.isnan(opening) or not usual >= LEAST:
      return None
    was_closed = self._is_closed and time - self._before <= LONGEST_GAP
    self._is_closed = bool(opening < (END if was_closed else BEGIN) * usual)
    self._before = time
    return self._is_closed


class Watch:
  """An eye before a camera: what is usual is the median of the last seconds alone."""

  def __init__(self) -> None:
    self._lid = Lid()
    self._past: collections.deque[tuple[float, float]] = collections.deque()

  def __call__(self, time: float, opening: float | None) -> bool | None:
    """Whether it blinks; None where that cannot be told.

    Args:
      time: Seconds, later than those before.
      opening: Share of the face's height; None where the eye has no mask.
    """
    while self._past and time - self._past[0][0] > AROUND:
      self._past.popleft()
    if opening is not None:
      self._past.append((time, opening))
    elif self._past and time - self._past[-1][0] <= LONGEST_GAP:
      opening = 0.0  # It is gone for a moment: closed.
    if opening is None:
      return None
    return self._lid(time, opening, float(np.median([value for _, value in self._past])))


def with_closed(times: np.ndarray, openings: np.ndarray) -> np.ndarray:
  """The same with 0 for an eye that is gone for a moment, between two frames in which it is seen.

  Args:
    times: As for `blinks`.
    openings: Likewise.
  """
  seen = np.flatnonzero(~np.isnan(openings))
  filled = openings.copy()
  for first, last in zip(seen[:-1], seen[1:]):
    if times[last] - times[first] <= LONGEST_GAP:
      filled[first + 1 : last] = 0
  return filled


def running_median(times: np.ndarray, values: np.ndarray) -> np.ndarray:
  """The median of the values from `AROUND` before to `AROUND` after each; NaN do not count.

  Args:
    times: Seconds, ascending [N].
    values: [N].

  Returns:
    [N]; NaN where there is no value.
  """
  is_value = ~np.isnan(values)
  known, at = values[is_value], times[is_value]
  first = np.searchsorted(at, times - AROUND, 'left')
  stop = np.searchsorted(at, times + AROUND, 'right')
  return np.array([np.median(known[i:j]) if i < j else np.nan for i, j in zip(first, stop)])
