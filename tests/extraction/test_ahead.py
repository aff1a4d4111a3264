import contextlib
import threading
import time

import pytest

from fmx.extraction.ahead import ahead

LONG = 30  # Seconds after which something that was waited for does not come.


def threads():
  """Names of the threads that `ahead` has started and that are there still."""
  return [thread.name for thread in threading.enumerate() if thread.name.startswith('test')]


def counting(stop, *, closed=None, pause=0.0):
  try:
    for number in range(stop):
      time.sleep(pause)
      yield number
  finally:
    if closed is not None:
      closed.append(threading.current_thread().name)


@pytest.mark.parametrize('size', [1, 2, 7, 40])
@pytest.mark.parametrize(('producing', 'taking'), [(0, 0), (0.002, 0), (0, 0.002)])
def test_items_keep_their_order_whoever_is_slower(size, producing, taking):
  found = []
  for number in ahead(counting(20, pause=producing), size, 'test'):
    time.sleep(taking)
    found.append(number)
  assert found == list(range(20))
  assert threads() == []


def test_none_and_no_items_at_all_are_fine():
  assert list(ahead((item for item in (None, 0, None)), 2, 'test')) == [None, 0, None]
  assert list(ahead(counting(0), 2, 'test')) == []
  assert threads() == []


@pytest.mark.parametrize('size', [1, 3])
def test_never_more_than_so_many_items_are_prepared(size):
  taken, most, is_full = [0], [0], threading.Event()

  def watched():
    for number in range(50):
      most[0] = max(most[0], number + 1 - taken[0])
      if most[0] == size:
        is_full.set()
      yield number

  with contextlib.closing(ahead(watched(), size, 'test')) as items:
    for number in items:
      taken[0] = number + 1
      if number == 5:
        assert is_full.wait(LONG)  # It does work ahead.
  assert most[0] <= size + 1  # One is asked for before it is told that another was taken.


def test_the_next_item_is_prepared_while_one_is_at_work():
  is_next_begun = threading.Event()

  def two():
    yield 1
    is_next_begun.set()
    yield 2

  with contextlib.closing(ahead(two(), 1, 'test')) as items:
    assert next(items) == 1
    assert is_next_begun.wait(LONG)


@pytest.mark.parametrize('size', [1, 4])
def test_an_error_comes_behind_the_items_that_precede_it(size):
  def broken():
    yield from range(5)
    raise OSError('the disk is gone')

  found = []
  with pytest.raises(OSError, match='the disk is gone'):  # noqa: PT012
    for number in ahead(broken(), size, 'test'):
      found.append(number)
  assert found == list(range(5))
  assert threads() == []


def test_an_error_of_the_first_stage_comes_through_the_second():
  def broken():
    yield from range(3)
    raise ValueError('frame 3 is no frame')

  def doubled(items):
    for number in items:
      yield 2 * number

  found = []
  with pytest.raises(ValueError, match='frame 3 is no frame'):  # noqa: PT012
    for number in ahead(doubled(ahead(broken(), 2, 'test')), 1, 'test'):
      found.append(number)
  assert found == [0, 2, 4]
  assert threads() == []


@pytest.mark.parametrize('pause', [0, 0.01])
def test_who_stops_in_the_midst_leaves_no_thread_behind(pause):
  closed, made = [], []

  def doubled(items):
    with contextlib.closing(items):
      for number in items:
        made.append(number)
        yield 2 * number

  first = ahead(counting(10_000, closed=closed, pause=pause), 3, 'test')
  with contextlib.closing(ahead(doubled(first), 2, 'test')) as items:
    assert [next(items), next(items)] == [0, 2]
  assert threads() == []
  assert len(closed) == 1  # The innermost generator, too.
  assert len(made) <= 2 + 2
  assert list(items) == []


def test_an_error_of_the_consumer_ends_the_thread():
  closed = []

  def consume():
    with contextlib.closing(ahead(counting(100, closed=closed), 3, 'test')) as items:
      next(items)
      raise RuntimeError('no more')

  with pytest.raises(RuntimeError, match='no more'):
    consume()
  assert len(closed) == 1
  assert threads() == []


def test_nothing_begins_before_it_is_asked_for():
  closed = []
  with contextlib.closing(ahead(counting(3, closed=closed), 2, 'test')):
    assert threads() == []
  assert closed == []
