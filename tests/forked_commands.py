"""Runs of `run.py` in processes of their own, which can be killed, without importing jax for each.

A server process imports everything once and forks for each command. A command may have a tiny
network in place of the real one, and may be killed or sent a signal at a chosen moment.
"""

import errno
import gc
import json
import os
import pathlib
import runpy
import signal
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent


class Commands:
  """The server; use it as a context manager."""

  def __init__(self, folder):
    self._folder, self._number = folder, 0

  def __enter__(self):
    environment = os.environ | {
      'PYTHONPATH': f'{ROOT}{os.pathsep}{ROOT / "tests"}',
      'JAX_COMPILATION_CACHE_DIR': str(self._folder / 'compiled'),
      'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0',
      'JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES': '-1',
    }
    self._server = subprocess.Popen(
      [sys.executable, __file__],
      cwd=ROOT,
      env=environment,
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      text=True,
    )
    return self

  def __exit__(self, *exception):
    self._server.stdin.close()
    self._server.wait()

  def start(self, *arguments, **how):
    """Starts a command and returns its number; see `run`."""
    self._number += 1
    self._say({'arguments': arguments, 'output': self._path(self._number), **how})
    return int(self._server.stdout.readline())

  def wait(self, process):
    """Waits for a started command; returns its exit status (negative: a signal) and its output."""
    self._say({'wait': process})
    number, status = json.loads(self._server.stdout.readline())
    return status, pathlib.Path(self._path(number)).read_text()

  def run(self, *arguments, **how):
    """Runs one command to its end.

    Args:
      *arguments: Of `run.py`.
      **how: devices: how many virtual ones; tiny: whether the network is a tiny one;
        kill_at: the change of files in the workdir, counted from 1, before which it is killed;
        full_at: the change from which on the disk is full;
        stop_at: (signal name, stage, step) after which it sends itself that signal; poison_at:
        (stage, step) whose loss becomes NaN.

    Returns:
      Its exit status (negative: the signal that ended it), and stdout and stderr together.
    """
    return self.wait(self.start(*arguments, **how))

  def _path(self, number):
    return str(self._folder / f'output-{number}.txt')

  def _say(self, message):
    self._server.stdin.write(json.dumps(message) + '\n')
    self._server.stdin.flush()


def serve():
  """Answers the lines on stdin until it ends."""
  import tiny_runs  # noqa: F401

  from fmx import demo, jobs  # noqa: F401

  # A command that ends would else copy every page on which something is counted: a second each.
  gc.collect()
  gc.freeze()
  numbers = {}
  for line in iter(sys.stdin.readline, ''):
    message = json.loads(line)
    if 'wait' in message:
      _, status = os.waitpid(message['wait'], 0)
      answer = json.dumps([numbers.pop(message['wait']), os.waitstatus_to_exitcode(status)])
    else:
      process = os.fork()
      if process == 0:
        return message
      number = int(pathlib.Path(message['output']).stem.partition('-')[2])
      numbers[process] = number
      answer = str(process)
    print(answer, flush=True)
  return None


def command(message):
  """Is the command that a message describes."""
  output = os.open(message['output'], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
  import tiny_runs

  from fmx.models import segmenter

  for descriptor in (1, 2):
    os.dup2(output, descriptor)
  os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
  devices = message.get('devices', 1)
  os.environ['XLA_FLAGS'] += f' --xla_force_host_platform_device_count={devices}'
  if message.get('tiny', True):
    segmenter.build = tiny_runs.build
  if {'kill_at', 'full_at'} & message.keys():
    watch_files(message)
  if 'stop_at' in message or 'poison_at' in message:
    watch_steps(message)
  sys.argv = ['run.py', *message['arguments']]
  runpy.run_path('run.py', run_name='__main__')


def watch_files(message):
  """Counts what Python is about to change in the workdir, and kills this process when told to."""
  workdir = next(a for a in message['arguments'] if a.startswith('--workdir=')).partition('=')[2]
  changes = 0

  def audit(event, arguments):
    nonlocal changes
    if event not in ('open', 'os.rename', 'os.mkdir', 'os.remove', 'os.rmdir'):
      return
    path, mode = str(arguments[0]), str(arguments[1]) if len(arguments) > 1 else ''
    if not path.startswith(workdir) or (event == 'open' and mode in ('r', 'rb', 'None')):
      return
    changes += 1
    if changes == message.get('kill_at'):
      os.kill(os.getpid(), signal.SIGKILL)
    if changes >= message.get('full_at', changes + 1) and event in ('open', 'os.mkdir'):
      raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

  sys.addaudithook(audit)


def watch_steps(message):
  """Sends this process a signal, or makes the loss NaN, at the step that the message names."""
  from fmx.train.epoch import EpochMetrics

  add = EpochMetrics.add

  def watched(self, step, metrics, windows):
    stage = self._stage.name
    if message.get('poison_at') == [stage, step]:
      metrics = metrics.replace(loss=float('nan'), finite=False)
    add(self, step, metrics, windows)
    if message.get('stop_at', [])[1:] == [stage, step]:
      os.kill(os.getpid(), getattr(signal, message['stop_at'][0]))

  EpochMetrics.add = watched


if __name__ == '__main__':
  request = serve()
  if request is not None:
    command(request)
