"""The front door.

python run.py --config=configs/primary.py --workdir=runs/primary [--config.fcn.epochs=40 …]
"""

import logging
import pathlib
import sys

from absl import app, flags
from absl import logging as absl_logging
from ml_collections import config_flags

_CONFIG = config_flags.DEFINE_config_file('config', help_string='A file in configs/.')
_WORKDIR = flags.DEFINE_string('workdir', None, 'Where checkpoints, pictures and results go.')
_TRACEBACK = flags.DEFINE_bool('traceback', False, 'Shows where an error comes from.')
_COORDINATOR = flags.DEFINE_string('coordinator', None, 'host:port of process 0, of several.')
_PROCESS_COUNT = flags.DEFINE_integer('process_count', None, 'How many processes there are.')
_PROCESS_ID = flags.DEFINE_integer('process_id', None, 'Which of them this is, from 0.')
STOPPED = 143  # The exit status of a process that SIGTERM ended.


def main(arguments: list[str]) -> int | str:
  """Does the job that the configuration names; returns what `sys.exit` takes."""
  if len(arguments) > 1:
    raise app.UsageError(f'unexpected {arguments[1]!r}: options begin with --.')
  from fmx import benchmark, demo, devices, jobs  # Only now: a misspelt flag need not wait for jax.

  talk()
  try:
    devices.connect(_COORDINATOR.value, _PROCESS_COUNT.value, _PROCESS_ID.value)
    config, workdir = _CONFIG.value, pathlib.Path(_WORKDIR.value).expanduser()
    match config.job:
      case 'train':
        jobs.train(config, workdir)
      case 'evaluate':
        jobs.evaluate(config, workdir)
      case 'benchmark':
        benchmark.run(config, workdir)
      case 'demo':
        demo.run(config, workdir)
      case job:
        return f'error: job is {job!r}; it must be train, evaluate, benchmark or demo.'
  except jobs.Stopped as stopped:
    print(stopped, file=sys.stderr)
    return STOPPED
  except (ValueError, OSError) as error:
    if _TRACEBACK.value:
      raise
    return f'error: {error}'
  return 0


def talk() -> None:
  """Lets fmx say what it does, and the libraries only what is wrong."""
  absl_logging.set_verbosity(absl_logging.WARNING)
  logger, handler = logging.getLogger('fmx'), logging.StreamHandler()
  handler.setFormatter(logging.Formatter('%(message)s'))
  logger.addHandler(handler)
  logger.setLevel(logging.INFO)
  logger.propagate = False


def parse(arguments: list[str]) -> list[str]:
  """Parses the flags; a mistake in one is a sentence."""
  try:
    return flags.FLAGS(arguments)
  except (AttributeError, KeyError, TypeError, ValueError, OSError, flags.Error) as error:
    sys.exit(f'error: {str(error).splitlines()[0] if str(error) else repr(error)}')


if __name__ == '__main__':
  flags.mark_flags_as_required(['config', 'workdir'])
  app.run(main, flags_parser=parse)
