"""The job 'extract_many' of `run.py`: the masks of many videos, and a manifest of all."""

import contextlib
import functools
import hashlib
import json
import logging
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
from ml_collections import ConfigDict

from fmx.extraction import job as extraction
from fmx.many import manifest, ray_pool, storage
from fmx.many.manifest import DONE, FAILED, WAITING, Manifest, Row
from fmx.many.pool import Here, Pool
from fmx.many.schedule import Schedule
from fmx.many.worker import Done, Failed, Video, Worker
from fmx.stopping import stop_requests
from fmx.summary import Progress
from fmx.workdir import claim_many, held

_logger = logging.getLogger(__name__)


def run(config: ConfigDict, workdir: pathlib.Path) -> list[Row]:
  """Extracts the masks of many videos; the same command goes on where it was interrupted.

  Args:
    config: As `configs/extract_many.py`: `videos`, `cluster`, `many`, and what an extraction takes.
    workdir: Gets `manifest.csv`, and unless `many.out` says otherwise a folder for each video.

  Returns:
    The rows of the manifest of the videos that were named.

  Raises:
    ValueError: an option is out of its range, there is no video, or the workdir is another run's.
    OSError: something cannot be read or written.
    Stopped: the process was asked to stop.
  """
  check(config)
  if config.many.pool == 'ray':
    jax.config.update('jax_platforms', 'cpu')  # This process plans; GPUs are the workers'.
  videos = storage.listed(config.videos)
  with held(workdir):
    claim_many(workdir, ingredients(config))
    found = rows(config, videos, manifest.read(workdir))
    named = [found[address] for address in videos]
    to_do = [row for row in named if row.state == WAITING]
    _logger.info('%d videos, %d of them done before.', len(named), len(named) - len(to_do))
    table = Manifest(workdir, found)
    table.write()
    if to_do:
      with POOLS[config.many.pool](config) as pool, stop_requests() as asked:
        out = storage.absolute(config.many.out or str(workdir)).rstrip('/')
        tasks = {Video(row.video, f'{out}/{row.folder}'): row for row in to_do}
        _work(tasks, config.many.tries, pool, asked, table)
  _tell(named, workdir)
  return named


def check(config: ConfigDict) -> None:
  """Looks at the options before anything is done.

  Raises:
    ValueError: one is out of its range.
    FileNotFoundError: no weights are named, and none ship with this copy of fmx.
  """
  extraction.check(config)
  many = config.many
  if many.pool not in POOLS:
    raise ValueError(f'many.pool is {many.pool!r}; it must be {" or ".join(map(repr, POOLS))}.')
  for name, least in (('workers', 0), ('cpus', 1), ('tries', 1), ('shot_frames', 100)):
    if many[name] < least:
      raise ValueError(f'many.{name} is {many[name]}; it must be {least} or more.')
  if config.extraction.box:
    raise ValueError('extraction.box is of one video; extract that alone with configs/extract.py.')


def ingredients(config: ConfigDict) -> dict[str, Any]:
  """What decides the masks of whichever video, as JSON."""
  of_network = config.extraction.method == 'network'
  of_weights = extraction.identity_of(config.weights) if of_network else None
  made_of = {'weights': of_weights, 'extraction': config.extraction.to_dict()}
  return json.loads(json.dumps(made_of))  # JSON has no tuples.


def rows(config: ConfigDict, videos: Sequence[str], known: Mapping[str, Row]) -> dict[str, Row]:
  """A row for each video: that of an earlier run where it is done, else one that waits.

  Args:
    config: Of the run.
    videos: Their addresses.
    known: What earlier runs left, by address; those that are not among the videos stay.
  """
  made_of = ingredients(config) | {'drawn': [config.contact_sheet, config.plot]}
  networks = network_version(config)
  taken = {row.folder for row in known.values()}
  found = dict(known)
  for address in videos:
    folder = known[address].folder if address in known else _folder(address, taken)
    taken.add(folder)
    try:
      key = _short(made_of | {'video': storage.identity(address)})
    except (ValueError, OSError):
      key = ''  # The worker will say what is wrong.
    if address not in known or known[address].state != DONE or known[address].key != key:
      found[address] = Row(address, folder, networks=networks, key=key)
  return found


def network_version(config: ConfigDict) -> str:
  """What the manifest says of the networks."""
  if config.extraction.method != 'network':
    return config.extraction.method
  return f'{extraction.named(config.weights)} {_short(extraction.identity_of(config.weights))}'


@contextlib.contextmanager
def here(config: ConfigDict) -> Iterator[Pool]:
  """One worker in this process."""
  yield Here(_worker(config))


@contextlib.contextmanager
def on_ray(config: ConfigDict) -> Iterator[Pool]:
  """Workers of Ray."""
  with ray_pool.started(config.cluster):
    yield ray_pool.RayPool(_worker(config), config.many.workers, config.many.cpus)


POOLS: dict[str, Callable[[ConfigDict], contextlib.AbstractContextManager[Pool]]] = {
  'ray': on_ray,
  'here': here,
}


def _worker(config: ConfigDict) -> Callable[[], Worker]:
  return functools.partial(Worker, config.copy_and_resolve_references(), config.many.shot_frames)


def _work(
  tasks: Mapping[Video, Row], tries: int, pool: Pool, asked: Callable[[], int], table: Manifest
) -> None:
  """Has videos extracted and their rows filled in."""
  progress = Progress(len(tasks), name='video')
  ended = 0
  progress.update(0, 0)

  def tell(video: Video, answer: Done | Failed, seconds: float) -> None:
    nonlocal ended
    ended += 1
    row = tasks[video]
    _fill(row, answer, seconds)
    table.changed()
    if row.state == FAILED:
      go_on = progress.pause()
      _logger.warning('%s', row.reason)
      go_on()
    progress.update(ended, 0)

  schedule = Schedule(tasks, tries, tell, lambda frames: progress.update(ended, frames))
  try:
    schedule.run(pool, asked)
  finally:
    progress.close()
    table.write()


def _fill(row: Row, answer: Done | Failed, seconds: float) -> None:
  row.seconds = f'{seconds:.3f}'
  if isinstance(answer, Failed):
    row.state, row.reason = FAILED, answer.reason
    return
  totals, verdicts = answer.summary['totals'], answer.summary['totals']['verdicts']
  row.state, row.reason = DONE, answer.summary['video']['damage'] or ''
  row.frames, row.faces = str(totals['frames']), str(len(totals['frames_by_face']))
  row.frames_without_face = str(totals['frames_without_face'])
  row.good, row.refound, row.bridged, row.doubtful = (
    str(verdicts[verdict]) for verdict in ('good', 'refound', 'bridged', 'doubtful')
  )
  row.lost = str(sum(totals['frames_lost'].values()))


def _folder(address: str, taken: set[str]) -> str:
  """The name of a video's folder: its own less the suffix, and something more if that is taken."""
  name = pathlib.PurePath(address.rpartition('/')[2]).stem or 'video'
  return f'{name}-{_short(address)}' if name in taken else name


def _short(value: Any) -> str:
  text = json.dumps(value, sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()[:12]


def _tell(named: Sequence[Row], workdir: pathlib.Path) -> None:
  failed = sum(row.state == FAILED for row in named)
  print(
    f'{len(named) - failed} videos are done, {failed} failed; {workdir / manifest.MANIFEST} has a '
    'row for each. The same command tries again what failed.'
  )
