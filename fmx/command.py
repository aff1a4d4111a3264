"""The command `fmx`: from a video to masks, with the networks that ship.

fmx clip.mp4
"""

import argparse
import logging
import pathlib
import sys
from collections.abc import Sequence
from typing import NoReturn

import fmx
from fmx import pretrained

DEMO = 'astronaut.mp4'


class Parser(argparse.ArgumentParser):
  """Whose errors are one line."""

  def error(self, message: str) -> NoReturn:
    """Ends the program."""
    self.exit(2, f'error: {message}; fmx --help says more.\n')


def main() -> None:
  """Runs the command."""
  sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int | str:
  """Extracts the masks that the arguments ask for; returns what `sys.exit` takes."""
  parser = make_parser()
  options = parser.parse_args(arguments)
  if options.version:
    print(f'fmx {fmx.__version__}, {pretrained.caption()}')
    return 0
  if bool(options.video) == options.demo:
    parser.error('name a video, as in fmx clip.mp4, or see fmx --demo')
  # Only now: a misspelt option need not wait for jax.
  from configs import extract
  from fmx import caching, terminal
  from fmx.example import clip
  from fmx.extraction import job
  from fmx.workdir import folder_of

  workdir = pathlib.Path(options.out or folder_of(options.video or DEMO)).expanduser()
  config = extract.get_config()
  config.video = options.video or str(workdir / DEMO)
  config.weights = options.weights
  config.contact_sheet = options.contact_sheet or options.demo
  config.extraction.update(
    max_faces=options.faces,
    masks=options.masks,
    box=tuple(options.box or ()),
    outputs=options.outputs or config.extraction.outputs,
    finder=options.finder,
    engine=options.engine,
    bridge=options.bridge,
    steadiness=options.steadiness,
    skip=options.skip,
  )
  config.plot = options.plot
  terminal.talk(logging.INFO)
  if not options.no_compilation_cache:
    caching.keep_compiled()
  with terminal.Ending(workdir, traceback=options.traceback) as ending:
    job.check(config)
    if options.demo and not (workdir / DEMO).exists():
      clip.write_clip(workdir / DEMO)
    job.run(config.lock(), workdir)
  return ending.status


def make_parser() -> Parser:
  """The options that there are."""
  parser = Parser(
    prog='fmx',
    allow_abbrev=False,
    description='Extracts the masks of the face in a video: facial skin, eyes, outer and inner '
    'mouth. Stopped in any way, the same command goes on where it was.',
    epilog='The networks that ship may be used for research only, not commercially: '
    f'{pretrained.FOLDER.with_name("TERMS.md")}.',
  )
  parser.add_argument('video', nargs='?', help='a video, a folder of frames, or one picture')
  parser.add_argument(
    '--out',
    '--workdir',
    metavar='FOLDER',
    help='where everything goes; without it, clip.mp4 gives clip_masks in the current folder',
  )
  parser.add_argument(
    '--faces', type=int, default=1, metavar='N', help='how many, the largest (default: 1)'
  )
  parser.add_argument(
    '--box',
    type=int,
    nargs=4,
    metavar=('X0', 'Y0', 'X1', 'Y1'),
    help='of the face in the first frame, pixels; without it, faces are found',
  )
  parser.add_argument(
    '--masks',
    choices=('png', 'video'),
    default='png',
    help='a file each frame, or one lossless video (default: png)',
  )
  parser.add_argument(
    '--outputs',
    type=lambda names: tuple(names.split(',')),
    metavar='NAME,…',
    help='any of overlay, masks, measurements, cutout and coco (default: the first three)',
  )
  parser.add_argument(
    '--finder',
    default='auto',
    metavar='NAME',
    help='own, or CenterFace or libfacedetection beside it (extra peers; default: own)',
  )
  parser.add_argument('--contact-sheet', action='store_true', help='draws frames on one page')
  parser.add_argument('--plot', action='store_true', help='draws the measurements over time')
  parser.add_argument(
    '--weights', default='', metavar='FOLDER', help='other networks than those that ship'
  )
  parser.add_argument(
    '--engine',
    choices=('auto', 'xla', 'onnxruntime', 'openvino'),
    default='auto',
    help='what runs the networks; auto: the quickest that is installed',
  )
  parser.add_argument(
    '--bridge',
    type=int,
    default=4,
    metavar='N',
    help='frames in a row in which a lost face has the masks around them, 0 to 4 (default: 4)',
  )
  parser.add_argument(
    '--steadiness',
    type=float,
    default=0.8,
    metavar='SHARE',
    help='of each mask that is the one before, taken along with the picture (default: 0.8)',
  )
  parser.add_argument(
    '--skip',
    type=int,
    default=2,
    metavar='N',
    help='frames in a row that no network looks at where faces hardly change, 0 to 2 (default: 2)',
  )
  parser.add_argument(
    '--no-compilation-cache', action='store_true', help='compiles all anew and keeps nothing'
  )
  parser.add_argument('--demo', action='store_true', help='does it with a clip of its own')
  parser.add_argument('--traceback', action='store_true', help='shows where an error comes from')
  parser.add_argument('--version', action='store_true', help='of fmx and its networks')
  return parser
