"""The front door.

python run.py --config=configs/primary.py --workdir=runs/primary [--config.fcn.epochs=40 …]

Without arguments it shows what there is to do.
"""

import importlib
import logging
import pathlib
import sys

from absl import app, flags
from ml_collections import config_flags

_CONFIG = config_flags.DEFINE_config_file('config', help_string='A file in configs/.')
_WORKDIR = flags.DEFINE_string(
  'workdir',
  None,
  'Where checkpoints, pictures and results go; masks go to VIDEO_masks unless another is given.',
)
_TRACEBACK = flags.DEFINE_bool('traceback', False, 'Shows where an error comes from.')
_COMPILATION_CACHE = flags.DEFINE_bool(
  'compilation_cache', True, "Keeps what is compiled in the user's cache directory."
)
_COORDINATOR = flags.DEFINE_string('coordinator', None, 'host:port of process 0, of several.')
_PROCESS_COUNT = flags.DEFINE_integer('process_count', None, 'How many processes there are.')
_PROCESS_ID = flags.DEFINE_integer('process_id', None, 'Which of them this is, from 0.')
# The function of each job; only the one that is asked for is imported, with what it needs.
JOBS = {
  'train': 'fmx.jobs:train',
  'train_finder': 'fmx.finder_jobs:train',
  'train_all': 'fmx.jobs:train_all',
  'evaluate': 'fmx.jobs:evaluate',
  'evaluate_finder': 'fmx.finder_jobs:evaluate',
  'extract': 'fmx.extraction.job:run',
  'extract_many': 'fmx.many.job:run',
  'export': 'fmx.export_job:run',
  'app': 'fmx.app.job:run',
  'study': 'fmx.study:run',
  'tables': 'fmx.paper.job:run',
  'benchmark': 'fmx.benchmark.job:run',
  'demo': 'fmx.demo:run',
}
EXAMPLES = """\
fmx: face masks in video. What to do, and the command for it:

masks of a small clip        python -m fmx --demo
masks of a video             python run.py --config=configs/extract.py --workdir=out --config.video=clip.mp4
  of many videos             python run.py --config=configs/extract_many.py --workdir=out --config.videos='in/*.mp4'
  in a browser, or a webcam  python run.py --config=configs/app.py
train on drawn faces         python run.py --config=configs/demo.py --workdir=demo-train
draw videos of faces         python -m fmx.drawing faces
a dataset out of them        python -m tfds_300vw --config=primary --manual_dir=faces --data_dir=data
train without a GPU          python run.py --config=configs/small.py --workdir=runs/small --config.data.data_dir=data
  faces, eyes and mouth      python run.py --config=configs/faces.py --workdir=runs/faces --config.data_dir=data
train as the paper           python run.py --config=configs/primary.py --workdir=runs/primary --config.data.data_dir=data
  faces, eyes and mouth      python run.py --config=configs/all.py --workdir=runs/faces --config.data_dir=data
  its baseline alone         python run.py --config=configs/fcn.py --workdir=runs/fcn --config.data.data_dir=data
  FCN with VGG16             python run.py --config=configs/vgg16.py --workdir=runs/vgg16 --config.data.data_dir=data
  DeepLab with a CRF         python run.py --config=configs/deeplab.py --workdir=runs/deeplab --config.data.data_dir=data
  eyes alone                 python run.py --config=configs/eyes.py --workdir=runs/eyes --config.data.data_dir=data
  mouth alone                python run.py --config=configs/mouth.py --workdir=runs/mouth --config.data.data_dir=data
train as those that ship     python run.py --config=configs/upright.py --workdir=runs/upright --config.data_dir=data
  what finds the faces       python run.py --config=configs/finder.py --workdir=runs/finder --config.data.data_dir=data
  which faces it misses      python run.py --config=configs/evaluate_finder.py --workdir=results/finder --config.weights=runs/finder/weights --config.data.data_dir=data
  a memory behind them       python run.py --config=configs/memory.py --workdir=runs/memory --config.data.data_dir=data
evaluate weights             python run.py --config=configs/evaluate.py --workdir=results --config.weights=runs/faces --config.data.data_dir=data
  what each choice is worth  python run.py --config=configs/ablations.py --workdir=runs/ablations --config.base.data.data_dir=data
tables of the paper          python run.py --config=configs/tables/all.py --workdir=runs/tables --config.data_dir=data
networks for other programs  python run.py --config=configs/export.py --workdir=exported --config.format=onnx
time this machine            python run.py --config=configs/benchmark.py --workdir=runs/benchmark

Interrupted, the same command goes on where it was. The head of each file in configs/ says which
datasets it needs; configs/primary.py explains every option, and any is set on the command line, for
instance --config.fcn.epochs=40. --help lists the flags, docs/ has more."""  # noqa: E501


def main(arguments: list[str]) -> int | str:
  """Does the job that the configuration names; returns what `sys.exit` takes."""
  if len(arguments) > 1:
    return f'error: unexpected {arguments[1]!r}: options begin with --.'
  # Only now: a misspelt flag need not wait for jax.
  from fmx import caching, devices, terminal
  from fmx.workdir import folder_of

  config = _CONFIG.value
  if config.job not in JOBS:
    return f'error: job is {config.job!r}; it must be one of {", ".join(JOBS)}.'
  module, _, name = JOBS[config.job].partition(':')
  workdir = pathlib.Path(_WORKDIR.value or folder_of(config.video)).expanduser()
  with terminal.Ending(workdir, traceback=_TRACEBACK.value) as ending:
    if _COMPILATION_CACHE.value:
      caching.keep_compiled()
    devices.keep_memory()
    devices.connect(_COORDINATOR.value, _PROCESS_COUNT.value, _PROCESS_ID.value)
    terminal.talk(logging.INFO if devices.is_first_process() else logging.WARNING)
    run = getattr(importlib.import_module(module), name)
    run(config, None if config.job == 'app' and not _WORKDIR.value else workdir)
  return ending.status


def parse(arguments: list[str]) -> list[str]:
  """Parses the flags; a mistake in one is a sentence, and no flag at all asks for the examples."""
  if len(arguments) == 1:
    print(EXAMPLES)
    sys.exit()
  try:
    rest = flags.FLAGS(arguments)
    if _CONFIG.value is None or not (_WORKDIR.value or _CONFIG.value.job in ('extract', 'app')):
      sys.exit(
        'error: give both --config=configs/FILE.py and --workdir=FOLDER; without any flag run.py '
        'shows examples.'
      )
    _ = _CONFIG.value.job  # A file that could not be loaded says so only now.
  except (AttributeError, KeyError) as error:
    (cause,) = error.args  # What names the option, and the nearest one if there is one.
    name = cause.args[0] if isinstance(cause, KeyError) else cause
    sys.exit(f'error: there is no option {one_line(name)}')
  except (TypeError, ValueError, OSError, flags.Error) as error:
    sys.exit(f'error: {one_line(str(error))}')
  return rest


def one_line(text: str) -> str:
  """A library's message on one line; of a list of attempts, why the last one failed."""
  lines = [line.strip() for line in text.splitlines()]
  return lines[-1] if len(lines) > 2 else '. '.join(lines)


if __name__ == '__main__':
  app.run(main, flags_parser=parse)
