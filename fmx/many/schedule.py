"""What is done next: videos, the shots of those that are long, and their joining."""

import collections
import logging
from collections.abc import Callable, Iterable

from fmx.extraction.shots import Shot
from fmx.many.pool import Pool, Task
from fmx.many.worker import Answer, Cut, Done, Failed, Piece, Video
from fmx.stopping import Stopped

_TURN = 0.5  # Seconds from one look at what was asked for to the next.
_logger = logging.getLogger(__name__)

# Told of a video that is done or failed: its seconds of work come along.
Tell = Callable[[Video, Done | Failed, float], None]


class Schedule:
  """All tasks, in the order in which they are done."""

  def __init__(self, videos: Iterable[Video], tries: int, tell: Tell, count: Callable[[int], None]):
    """Begins with videos of which nothing is known.

    Args:
      videos: In order.
      tries: How many workers may be lost over one task.
      tell: Is told of each video, once.
      count: Is told of frames that were labelled.
    """
    self._tasks = collections.deque(Task('begin', video) for video in videos)
    self._tries, self._tell, self._count = tries, tell, count
    self._lost: collections.Counter[tuple[str, str, int]] = collections.Counter()
    self._shots: dict[Video, list[Shot]] = {}  # Of videos that were cut.
    self._left: collections.Counter[Video] = collections.Counter()  # Of these.
    self._seconds: collections.Counter[Video] = collections.Counter()
    self._over: set[Video] = set()

  def run(self, pool: Pool, asked: Callable[[], int]) -> None:
    """Has all of it done.

    Args:
      pool: Of workers.
      asked: Gives the signal that asks to stop; 0 for none.

    Raises:
      Stopped: the process was asked to stop.
    """
    running = 0
    while self._tasks or running:
      while self._tasks and pool.free():
        task = self._tasks.popleft()
        if task.video not in self._over:
          pool.begin(task)
          running += 1
      for task, answer in pool.answers(_TURN):
        running -= 1
        if task.video not in self._over:
          self._take(task, answer)
      if number := asked():
        raise Stopped(
          'Stopped; what is done is kept, and the same command goes on from there.', 128 + number
        )

  def _take(self, task: Task, answer: Answer | None) -> None:
    video = task.video
    if isinstance(answer, Done | Cut | Piece):
      self._seconds[video] += answer.seconds  # type: ignore[assignment]
    match answer:
      case None:
        self._try_again(task)
      case Cut(shots):
        self._shots[video], self._left[video] = shots, len(shots)
        # First, so that what was begun comes to its end.
        self._tasks.extendleft(Task('shot', video, (shot,)) for shot in reversed(shots))
      case Piece(frames):
        self._count(frames)
        self._left[video] -= 1
        if not self._left[video]:
          self._tasks.appendleft(Task('join', video, (self._shots[video],)))
      case Done(_, frames):
        self._count(frames)
        self._end(video, answer)
      case Failed():
        self._end(video, answer)

  def _try_again(self, task: Task) -> None:
    """Does a task once more whose worker was lost, unless it seems to be the task's fault."""
    start = task.more[0].start if task.method == 'shot' else 0
    name = task.method, task.video.address, start
    self._lost[name] += 1
    if self._lost[name] >= self._tries:
      self._end(
        task.video,
        Failed(
          f'{task.video.address}: {self._tries} workers ended over it (memory, or a decoder).'
        ),
      )
    else:
      _logger.warning('%s: once more, with another worker.', task.video.address)
      self._tasks.appendleft(task)

  def _end(self, video: Video, answer: Done | Failed) -> None:
    self._over.add(video)
    self._shots.pop(video, None)
    self._tell(video, answer, self._seconds.pop(video, 0.0))
