"""Puts trained networks into the package, for its maintainers.

python -m fmx.pretrained runs/faces runs/finder --version=1
"""

import argparse
import pathlib
import sys

from fmx import pretrained
from fmx.pretrained import making


def main() -> None:
  """Makes what ships from the command line."""
  parser = argparse.ArgumentParser(
    prog='python -m fmx.pretrained',
    description='Puts the networks of trainings into the package: kernels as float16, with '
    'checksums, the configurations and the numbers of the training.',
  )
  parser.add_argument(
    'folders', nargs='+', type=pathlib.Path, help='workdirs of trainings, or folders of weights'
  )
  parser.add_argument(
    '--logs',
    nargs='+',
    type=pathlib.Path,
    default=[],
    help='workdirs, if the weights lie elsewhere',
  )
  parser.add_argument('--version', required=True, help='of what ships')
  parser.add_argument(
    '--to', type=pathlib.Path, default=pretrained.FOLDER, help='default: %(default)s'
  )
  options = parser.parse_args()
  try:
    release = making.make(options.folders, options.version, options.to, logs=options.logs)
  except (ValueError, OSError) as error:
    sys.exit(f'error: {error}')
  for name, change in release['rounding'].items():
    pixels = f', {change["pixels"]:.3%} of the pixels' if 'pixels' in change else ''
    print(f'{name}: rounding changes {change["output"]:.2%} of the output{pixels}.')
  if not making.configurations([*options.folders, *options.logs]):
    print('No config.json was found: recipe.json and log.json say nothing. Give --logs.')
  print(f'{making.size_of(options.to) / 1e6:.1f} MB in {options.to}.')


if __name__ == '__main__':
  main()
