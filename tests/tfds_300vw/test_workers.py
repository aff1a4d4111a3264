import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = """
import pathlib, sys
from small_datasets import SleepingVideo
from tfds_300vw import workers
if __name__ == '__main__':
  list(workers.produce([SleepingVideo()] * 2, pathlib.Path(sys.argv[1]), num_workers=2))
"""


@pytest.mark.skipif(not Path('/proc/self').exists(), reason='There is no /proc to find workers in.')
def test_workers_end_when_their_process_is_killed(tmp_path):
  program = tmp_path / 'program.py'
  program.write_text(PROGRAM)
  (tmp_path / 'spool').mkdir()
  where = os.pathsep.join([str(Path(__file__).parents[1]), str(Path(__file__).parents[2])])
  process = subprocess.Popen(
    [sys.executable, program, tmp_path / 'spool'],
    env=os.environ | {'PYTHONPATH': where},
    stderr=subprocess.DEVNULL,
    start_new_session=True,  # Its workers share the session, which is how they are found.
  )
  wait_for(lambda: len(list((tmp_path / 'spool').iterdir())) == 2)
  assert len(of_session(process.pid)) > 2
  os.kill(process.pid, signal.SIGKILL)
  process.wait()
  wait_for(lambda: not of_session(process.pid))


def wait_for(condition, seconds=60):
  end = time.monotonic() + seconds
  while not condition():
    assert time.monotonic() < end
    time.sleep(0.1)


def of_session(session):
  """Ids of the living processes of a session."""
  found = []
  for status in Path('/proc').glob('[0-9]*/stat'):
    try:
      state, _, _, of = status.read_text().rpartition(')')[2].split()[:4]
    except (OSError, ValueError):
      continue
    if int(of) == session and state != 'Z':
      found.append(status.parent.name)
  return found
