import threading

from fmx.app.turns import Turns


def test_workers_take_turns_in_the_order_in_which_they_came():
  turns, order, ready = Turns(), [], threading.Event()

  def work(name):
    for _ in range(3):
      with turns.turn():
        order.append(name)
        if name == 'a':
          ready.set()
        _until(lambda: len(turns._queue) == alive())  # All others wait again.
      with lock:
        left[name] -= 1

  lock, left = threading.Lock(), {'a': 3, 'b': 3, 'c': 3}

  def alive():
    with lock:
      return sum(count > 0 for count in left.values())

  threads = [threading.Thread(target=work, args=(name,)) for name in 'abc']
  with turns.turn():
    for number, thread in enumerate(threads, 2):
      thread.start()
      _until(lambda number=number: len(turns._queue) == number)
  for thread in threads:
    thread.join()
  assert ''.join(order) == 'abcabcabc'


def test_one_works_at_a_time_and_an_error_ends_its_turn():
  turns, inside, most = Turns(), [0], [0]

  def work():
    for _ in range(50):
      try:
        with turns.turn():
          inside[0] += 1
          most[0] = max(most[0], inside[0])
          inside[0] -= 1
          raise KeyError
      except KeyError:
        pass

  threads = [threading.Thread(target=work) for _ in range(4)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  assert most == [1]
  assert not turns._queue


def _until(is_so):
  while not is_so():
    pass
