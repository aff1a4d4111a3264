import collections

import pytest

from fmx.extraction.shots import Shot
from fmx.many.pool import Task
from fmx.many.schedule import Schedule
from fmx.many.worker import Cut, Done, Failed, Piece, Video
from fmx.stopping import Stopped

A, B = Video('a.mp4', 'out/a'), Video('b.mp4', 'out/b')
SHOTS = [Shot(0, 10), Shot(10, 20), Shot(20)]


class Pool:
  """Workers that say what they are told to; all tasks in flight end at once, the last first."""

  def __init__(self, workers, answers):
    self._workers, self._answers = workers, answers
    self.busy, self.begun = [], []

  def free(self):
    return self._workers - len(self.busy)

  def begin(self, task):
    assert self.free()
    self.busy.append(task)
    self.begun.append((task.method, task.video.address, *(shot.start for shot in shots(task))))

  def answers(self, seconds):
    ended, self.busy = self.busy[::-1], []
    return [(task, self._answers(task)) for task in ended]


def shots(task):
  return task.more if task.method == 'shot' else ()


def done(frames=5):
  return Done({}, frames, 1.0)


def told(pool, videos=(A, B), tries=3, asked=lambda: 0):
  """What is told of each video, and the frames that are counted."""
  found, frames = [], []
  schedule = Schedule(videos, tries, lambda *of: found.append(of), frames.append)
  schedule.run(pool, asked)
  assert pool.busy == []
  return {video.address: (answer, seconds) for video, answer, seconds in found}, sum(frames)


def test_each_video_is_begun_once_and_told_of_once():
  pool = Pool(1, lambda task: done())
  assert told(pool) == ({'a.mp4': (done(), 1.0), 'b.mp4': (done(), 1.0)}, 10)
  assert pool.begun == [('begin', 'a.mp4'), ('begin', 'b.mp4')]


def of_shots(task):
  """The answers of a video of three shots and of a short one."""
  if task.video == B:
    return done()
  answers = {'begin': Cut(SHOTS, 1.0), 'shot': Piece(7, 2.0), 'join': done(0)}
  return answers[task.method]


@pytest.mark.parametrize('workers', [1, 2, 5])
def test_shots_come_before_other_videos_and_are_joined_when_all_are_there(workers):
  pool = Pool(workers, of_shots)
  found, frames = told(pool)
  # Cutting 1, three shots of 2, joining 1: what all workers did.
  assert (found['a.mp4'], frames) == ((done(0), 8.0), 3 * 7 + 5)
  order = [begun for begun in pool.begun if begun[1] == 'a.mp4']
  assert [one[0] for one in order] == ['begin', 'shot', 'shot', 'shot', 'join']
  assert sorted(one[2] for one in order[1:4]) == [0, 10, 20]
  if workers == 1:
    assert pool.begun[-1] == ('begin', 'b.mp4')


def test_what_a_lost_worker_was_at_is_done_once_more():
  lost = collections.Counter()

  def answers(task):
    lost[task.method] += 1
    return None if lost[task.method] == 1 else of_shots(task)

  pool = Pool(2, answers)
  found, frames = told(pool)
  assert {address: type(answer) for address, (answer, _) in found.items()} == {
    'a.mp4': Done, 'b.mp4': Done
  }  # fmt: skip
  assert frames == 3 * 7 + 5
  assert collections.Counter(pool.begun)['shot', 'a.mp4', 0] == 1
  assert len(pool.begun) == 1 + 3 + 1 + 1 + 3  # One more of each method.


def test_a_video_that_ends_its_workers_fails_and_the_rest_goes_on():
  pool = Pool(1, lambda task: None if task.video == A else done())
  found, _ = told(pool, tries=2)
  assert found['a.mp4'][0].reason.startswith('a.mp4: 2 workers ended over it')
  assert found['b.mp4'][0] == done()
  assert pool.begun.count(('begin', 'a.mp4')) == 2


def test_a_shot_that_cannot_be_extracted_is_told_once_and_the_others_are_let_go():
  def answers(task):
    return Failed('it is damaged') if shots(task) == (SHOTS[2],) else of_shots(task)

  pool = Pool(3, answers)
  found, _ = told(pool)
  assert found['a.mp4'][0] == Failed('it is damaged')
  assert not any(begun[0] == 'join' for begun in pool.begun)
  pool = Pool(1, lambda task: Failed('all are') if task.method == 'shot' else of_shots(task))
  assert told(pool)[0]['a.mp4'][0] == Failed('all are')
  assert sum(begun[0] == 'shot' for begun in pool.begun) == 1


def test_it_stops_when_it_is_asked_to():
  pool = Pool(1, lambda task: done())
  with pytest.raises(Stopped, match='what is done is kept') as stopped:
    told(pool, asked=lambda: 15)
  assert stopped.value.status == 143
  assert pool.begun == [('begin', 'a.mp4')]


def test_a_task_is_a_call_of_the_worker_s_method():
  class Worker:
    def shot(self, *arguments):
      return arguments

  assert Task('shot', A, (SHOTS[1],)).done_by(Worker()) == (A, SHOTS[1])
