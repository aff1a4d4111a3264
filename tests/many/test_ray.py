"""Real clusters of Ray on this machine, and a command that starts one."""

import contextlib
import csv
import functools
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
import tiny_weights
from drawn_scenes import Video
from many_workers import SlowWorker
from small_extractions import write_video

from configs import extract_many
from fmx.many import job

ray = pytest.importorskip('ray', reason="needs Ray: pip install -e '.[cluster]'")
psutil = pytest.importorskip('psutil', reason='needs psutil')
ROOT = pathlib.Path(__file__).parents[2]
SHOT_FRAMES = 20


def scenes(*lengths):
  """Frames of shots in front of different walls."""
  walls = [(30, 30, 30), (210, 190, 40), (40, 90, 220)]
  video = Video()
  for wall, length in zip(walls, lengths):
    for i in range(length):
      video.add({'Ann': (118 + i % 5, 75, 56)}, wall)
  return video.frames


@pytest.fixture(scope='module')
def clips(tmp_path_factory):
  """Five short videos, one of three shots, and one that is none."""
  folder = tmp_path_factory.mktemp('clips')
  for i in range(5):
    write_video(folder / f'clip{i}.mp4', scenes(20 + i))
  write_video(folder / 'long.mp4', scenes(24, 22, 30), sound='aac')
  (folder / 'none.mp4').write_text('no video')
  return folder


def made(clips, tmp_path, **changes):
  config = extract_many.get_config()
  weights = tmp_path / 'weights'  # Nobody reads them, but they must not change meanwhile.
  weights.mkdir(exist_ok=True)
  config.videos, config.weights = str(clips), str(weights)
  config.extraction.engine = 'xla'
  config.update_from_flattened_dict({n.replace('__', '.'): v for n, v in changes.items()})
  return config.lock()


def slow(config):
  return functools.partial(SlowWorker, config.copy_and_resolve_references(), SHOT_FRAMES)


def whole(config):
  """Makes workers that cut no video."""
  return functools.partial(SlowWorker, config, 1000, seconds=0.0)


def states(workdir):
  path = workdir / 'manifest.csv'
  if not path.exists():
    return {}
  with open(path, newline='') as file:
    return {pathlib.Path(row['video']).stem: row['state'] for row in csv.DictReader(file)}


def masks(workdir):
  files = sorted(workdir.glob('*/masks/*.png'))
  return {str(file.relative_to(workdir)): file.read_bytes() for file in files}


@contextlib.contextmanager
def nodes(count):
  """A head that works nothing and so many other nodes, each with a core; gives their raylets."""
  from ray.cluster_utils import Cluster

  small = {'object_store_memory': 80 * 2**20}
  cluster = Cluster(initialize_head=True, head_node_args={'num_cpus': 0, **small})
  try:
    added = [cluster.add_node(num_cpus=1, **small) for _ in range(count)]
    cluster.wait_for_nodes()
    yield (
      cluster.address,
      [node.all_processes['raylet'][0].process.pid for node in added],
    )
  finally:
    cluster.shutdown()


def kill_machine(raylet):
  """What the loss of a machine is to the others: all of its processes end at once."""
  process = psutil.Process(raylet)
  for one in [process, *process.children(recursive=True)]:
    with contextlib.suppress(psutil.NoSuchProcess):
      one.kill()  # SIGKILL.


def test_the_work_of_a_machine_that_is_killed_is_done_by_the_other(clips, tmp_path, monkeypatch):
  monkeypatch.setenv('RAY_USAGE_STATS_ENABLED', '0')
  monkeypatch.setenv('PYTHONPATH', f'{ROOT}{os.pathsep}{ROOT}/tests')  # Of the workers.
  monkeypatch.setattr(job, '_worker', slow)
  out, here, killed = tmp_path / 'out', tmp_path / 'here', []
  with nodes(2) as (address, raylets):

    def kill_in_the_middle():
      # The folders of videos say it at once, the manifest when there is time for it.
      while (number := len(list(out.glob('*/summary.json')))) < 2:
        time.sleep(0.02)
      kill_machine(raylets[1])
      killed.append(number)

    killer = threading.Thread(target=kill_in_the_middle, daemon=True)
    killer.start()
    rows = job.run(made(clips, tmp_path, cluster=address), out)
    killer.join()
  with monkeypatch.context() as patch:
    patch.setattr(job, '_worker', whole)
    job.run(made(clips, tmp_path, many__pool='here'), here)
  assert killed[0] < 6  # So not all were done.
  assert {row.state for row in rows if not row.video.endswith('none.mp4')} == {'done'}
  assert states(out)['none'] == 'failed'
  assert sum(int(row.good or 0) for row in rows) > 150
  assert masks(out) == masks(here)
  assert len(masks(out)) == sum(20 + i for i in range(5)) + 76


@pytest.fixture
def command(clips, tmp_path):
  """Starts the command with tiny networks."""
  weights = tiny_weights.training(tmp_path / 'training', 'primary', 'finder')

  def start(*options):
    environment = os.environ | {'RAY_TMPDIR': str(tmp_path)}
    line = [
      sys.executable, 'run.py', '--config=configs/extract_many.py', f'--workdir={tmp_path}/out',
      f'--config.videos={clips}/*[012e].mp4', f'--config.weights={weights}',
      '--config.many.workers=1', '--config.extraction.engine=xla', *options,
    ]  # fmt: skip
    return subprocess.Popen(
      line, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )

  return start


def test_a_command_without_a_cluster_starts_workers_that_nobody_else_can_reach(command, tmp_path):
  running = command()
  listening = set()
  while running.poll() is None and 'done' not in states(tmp_path / 'out').values():
    for process in children(running.pid):
      with contextlib.suppress(psutil.Error):
        found = process.net_connections(kind='inet')
        listening |= {c.laddr.ip for c in found if c.status == psutil.CONN_LISTEN}
    time.sleep(0.4)
  running.send_signal(signal.SIGTERM)
  left = children(running.pid)
  output, errors = running.communicate()
  assert running.returncode == 143, errors
  assert errors.splitlines()[-1].startswith('Stopped; what is done is kept')
  assert 'Traceback' not in errors
  assert listening <= {'127.0.0.1', '::1', '::ffff:127.0.0.1'}
  assert listening
  psutil.wait_procs(left, timeout=20)
  assert not [process for process in left if process.is_running()]
  before = states(tmp_path / 'out')
  assert {'done', 'waiting'} <= set(before.values())
  again = command('--config.many.pool=here')  # The rest is done in whatever way.
  output, errors = again.communicate()
  assert again.returncode == 0, errors
  assert f'4 videos, {list(before.values()).count("done")} of them done before.' in errors
  assert '3 videos are done, 1 failed' in output
  assert len(masks(tmp_path / 'out')) == 20 + 21 + 22


def children(process):
  try:
    return psutil.Process(process).children(recursive=True)
  except psutil.NoSuchProcess:
    return []


def test_an_address_at_which_nobody_is_is_told_at_once(clips, tmp_path):
  with socket.socket() as free:
    free.bind(('127.0.0.1', 0))
    address = f'127.0.0.1:{free.getsockname()[1]}'
    with pytest.raises(ValueError, match=f'No cluster answers at {address}'):
      job.run(made(clips, tmp_path, cluster=address), tmp_path / 'out')
