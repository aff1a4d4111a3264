"""Workers as actors of Ray: on this machine, or on those of a cluster that was started before."""

import contextlib
import importlib.util
import logging
import os
import pathlib
import shutil
import socket
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fmx import caching
from fmx.many.pool import Task
from fmx.many.worker import Answer, Worker

_OBJECT_STORE = 100 * 2**20  # Bytes. What workers and this process tell each other is small.
_MOST_IN_A_ROW = 20  # Workers that may be lost with none that does a task in between.
_QUIET = {'RAY_USAGE_STATS_ENABLED': '0'}
_ALONE = {'RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER': '0'}  # Then all of it listens on 127.0.0.1 only.
_logger = logging.getLogger(__name__)


class Actor:
  """A worker in a process of its own."""

  def __init__(self, worker: Callable[[], Worker], cpus: int):
    """Says how to make the worker, and how many cores are its own."""
    os.environ['OMP_NUM_THREADS'] = os.environ['NPROC'] = str(cpus)  # ONNX Runtime's and XLA's.
    caching.keep_compiled()
    self._worker = worker()

  def ready(self) -> None:
    """Answers when the actor is there."""

  def do(self, task: Task) -> Answer:
    """Does a task."""
    return task.done_by(self._worker)


class RayPool:
  """Actors that are made anew where they are lost.

  A machine that is gone takes its actors along. New ones wait until there is room for them, and
  meanwhile the others do the work.
  """

  def __init__(self, worker: Callable[[], Worker], workers: int, cpus: int):
    """Asks for actors.

    Args:
      worker: How each makes its worker; can be pickled.
      workers: How many; 0 for as many as there is room for.
      cpus: Cores of each. Where there are GPUs, each has one of its own too.

    Raises:
      ValueError: the cluster has no room for a single one.
    """
    import ray

    self._ray = ray
    room = ray.cluster_resources()
    gpus = int(room.get('GPU', 0))
    most = gpus or int(room.get('CPU', 0) // cpus)
    if not (workers or most):
      raise ValueError(
        f'The cluster has {room.get("CPU", 0):g} cores, and a worker needs {cpus}: set '
        '--config.many.cpus, or add machines.'
      )
    made = ray.remote(num_cpus=cpus, num_gpus=int(gpus > 0), max_restarts=0, max_task_retries=0)
    self._new = lambda: made(Actor).remote(worker, cpus)
    self._free: list[Any] = []
    self._ended_in_a_row = 0
    # What each actor is at, by what it will answer; None until it is there.
    self._busy: dict[Any, tuple[Any, Task | None]] = {}
    if workers > most:
      _logger.warning('There is room for %d of %d workers; the others wait for it.', most, workers)
    for _ in range(workers or most):
      self._add()

  def free(self) -> int:
    """As `Pool.free`."""
    return len(self._free)

  def begin(self, task: Task) -> None:
    """As `Pool.begin`."""
    actor = self._free.pop()
    self._busy[actor.do.remote(task)] = actor, task

  def answers(self, seconds: float) -> Sequence[tuple[Task, Answer | None]]:
    """As `Pool.answers`."""
    ended, _ = self._ray.wait(list(self._busy), timeout=seconds)
    return [answer for reference in ended for answer in self._ended(reference)]

  def _ended(self, reference: Any) -> Iterator[tuple[Task, Answer | None]]:
    actor, task = self._busy.pop(reference)
    try:
      answer = self._ray.get(reference)
    except self._ray.exceptions.RayTaskError as error:
      raise error.cause from error  # As if the worker were here.
    except self._ray.exceptions.RayError as error:
      self._replace(error)
      answer = None
    else:
      self._free.append(actor)
      self._ended_in_a_row = 0
    if task is not None:
      yield task, answer

  def _replace(self, error: Exception) -> None:
    self._ended_in_a_row += 1
    if self._ended_in_a_row > _MOST_IN_A_ROW:
      raise OSError(
        f'Workers end before they do anything; is fmx on all machines? The last said: {error}'
      ) from error
    _logger.warning('A worker is lost; another one takes its place. %s', _first_line(error))
    self._add()

  def _add(self) -> None:
    actor = self._new()
    self._busy[actor.ready.remote()] = actor, None


@contextlib.contextmanager
def started(cluster: str) -> Iterator[None]:
  """Starts Ray on this machine, or joins a cluster; leaves it or ends it with the context.

  Args:
    cluster: Its address as `ray start` says it, or 'auto' on one of its machines; '' for this
      machine alone.

  Raises:
    ValueError: Ray is not installed, or no cluster answers.
  """
  if importlib.util.find_spec('ray') is None:
    raise ValueError(
      "Many videos side by side need Ray: pip install 'fmx[cluster]', or take them one after "
      'another with --config.many.pool=here.'
    )
  _check_that_it_answers(cluster)
  os.environ.update(_QUIET if cluster else _QUIET | _ALONE)  # Before the import.
  import ray

  options: dict[str, Any] = {'logging_level': logging.ERROR, 'log_to_driver': False}
  with contextlib.ExitStack() as stack, warnings.catch_warnings():
    warnings.simplefilter('ignore', RuntimeWarning)  # Of forks, in which Ray only starts programs.
    try:
      if cluster:
        ray.init(address=cluster, **options)
      else:
        # Not TemporaryDirectory: Ray still writes there for a moment. Short: sockets are in it.
        folder = pathlib.Path(tempfile.mkdtemp(prefix='fmx-'))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        ray.init(
          include_dashboard=False,
          object_store_memory=_OBJECT_STORE,
          _temp_dir=str(folder),
          **options,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
      place = f'the cluster {cluster!r}' if cluster else 'this machine'
      raise ValueError(f'Ray does not start on {place}: {_first_line(error)}') from error
    stack.callback(ray.shutdown)
    yield


def _check_that_it_answers(cluster: str) -> None:
  """Raises ValueError where nobody is at a host:port; Ray would try for minutes."""
  host, _, port = cluster.rpartition(':')
  if not port.isdecimal() or '/' in host:
    return  # 'auto', or an address of another kind.
  try:
    socket.create_connection((host, int(port)), timeout=10).close()
  except OSError as error:
    raise ValueError(
      f'No cluster answers at {cluster} ({error}): take the address that `ray start --head` said.'
    ) from error


def _first_line(error: Exception) -> str:
  return (str(error).strip().splitlines() or [type(error).__name__])[0]
