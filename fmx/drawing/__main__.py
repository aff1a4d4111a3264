"""Draws videos of faces, in the layout of 300VW.

python -m fmx.drawing faces [--num_videos=12]
"""

import argparse
import os

from fmx.drawing.videos import write_dataset


def main() -> None:
  """Draws videos from the command line."""
  parser = argparse.ArgumentParser(
    prog='python -m fmx.drawing', description='Draws face videos in the layout of 300VW.'
  )
  parser.add_argument('directory', help='where to write; made if it does not exist')
  parser.add_argument('--num_videos', type=int, default=12)
  parser.add_argument('--num_frames', type=int, default=90, help='of each video')
  parser.add_argument('--size', type=int, default=256, help='pixels, roughly')
  parser.add_argument('--seed', type=int, default=0)
  parser.add_argument('--workers', type=int, default=os.cpu_count() or 1, help='processes')
  options = vars(parser.parse_args())
  try:
    write_dataset(options.pop('directory'), **options)
  except ValueError as error:
    parser.error(str(error))


if __name__ == '__main__':
  main()
