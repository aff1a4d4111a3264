"""Who does the tasks: here a worker in this process; `fmx.many.ray_pool` has those of Ray."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from fmx.many.worker import Answer, Video, Worker


class Task(NamedTuple):
  """A call of a worker's method.

  Attributes:
    method: 'begin', 'shot' or 'join' of `Worker`.
    video: Of which.
    more: The other arguments.
  """

  method: str
  video: Video
  more: tuple[Any, ...] = ()

  def done_by(self, worker: Worker) -> Answer:
    """What the worker says."""
    return getattr(worker, self.method)(self.video, *self.more)


class Pool(Protocol):
  """Workers that take a task at a time each."""

  def free(self) -> int:
    """How many tasks would be begun at once."""

  def begin(self, task: Task) -> None:
    """Gives a task to a worker that is free."""

  def answers(self, seconds: float) -> Sequence[tuple[Task, Answer | None]]:
    """Waits for tasks to end, so long at most; None is the answer of a worker that is lost."""


class Here:
  """One worker, in this process."""

  def __init__(self, worker: Callable[[], Worker]):
    """Says how to make it."""
    self._worker = worker()
    self._task: Task | None = None

  def free(self) -> int:
    """As `Pool.free`."""
    return int(self._task is None)

  def begin(self, task: Task) -> None:
    """As `Pool.begin`; the work is done while somebody waits for it."""
    self._task = task

  def answers(self, seconds: float) -> Sequence[tuple[Task, Answer | None]]:
    """As `Pool.answers`, but waits as long as it takes."""
    del seconds
    task, self._task = self._task, None
    return [(task, task.done_by(self._worker))] if task else []
