"""Builds the 300VW-Mask dataset from the command line.

python -m tfds_300vw --config=primary --manual_dir=~/300vw --data_dir=~/tensorflow_datasets
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import pathlib
import sys
from collections.abc import Sequence

import tensorflow_datasets as tfds
from absl import logging

from tfds_300vw import others, placing
from tfds_300vw.option_files import read_bad_frames, read_splits
from tfds_300vw.options import ClipOptions
from tfds_300vw.the300vw_mask.the300vw_mask_dataset_builder import (
  SOURCES,
  Builder,
  MaskConfig,
  fingerprint,
)
from tfds_300vw.workers import LeftOut

HOW = {  # Flags of ClipOptions: type and help.
  'clip_length': (int, 'frames of a clip; 5 for stills, 10 for whole frames'),
  'fraction': (float, "share of each video's clips that is kept"),
  'seed': (int, 'seeds the split, the choice of clips and the noise on the boxes'),
  'face_margin': (float, "side of the face crop over the mean side of the landmarks' box"),
  'face_window': (int, "frames for which a video's face box stays fixed"),
  'face_shift': (
    float,
    "largest shift of a video's face box in every split, as a share of its side",
  ),
  'region_margin': (float, "side of an eye or mouth box over the region's larger side"),
  'box_window': (int, 'frames for which an eye or mouth box stays fixed'),
  'box_shift': (float, 'largest shift of a training box, as a share of its side'),
  'box_scale': (float, "largest relative change of a training box's side"),
  'frame_side': (int, 'longest side of a whole frame, pixels'),
  'jpeg_quality': (int, 'of the stored frames, 95 to 100'),
  'camera_motion': (float, 'strength of the motion that makes clips of stills, 0 to 1'),
}


def main(arguments: Sequence[str] | None = None) -> int:
  """Builds one config and says what came of it.

  Args:
    arguments: Of the command line; None takes the process's own.

  Returns:
    0, or 1 after printing what is wrong in one sentence.
  """
  flags = parser().parse_args(arguments)
  logging.set_verbosity(logging.ERROR)
  try:
    build(flags)
  except (ValueError, OSError, RuntimeError) as error:
    print(f'error: {error}', file=sys.stderr)
    return 1
  return 0


def parser() -> argparse.ArgumentParser:
  """The command line."""
  found = argparse.ArgumentParser(
    prog='python -m tfds_300vw',
    description='Builds the 300VW-Mask dataset for TFDS.',
    epilog=Builder.MANUAL_DOWNLOAD_INSTRUCTIONS,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  add = found.add_argument
  add('--config', default='primary', choices=list(Builder.builder_configs), help='what to build')
  add('--name', help='what to call the result; needed where an option below is not the default')
  add('--manual_dir', required=True, type=path, help='where the videos or the unpacked zip are')
  add('--data_dir', default='~/tensorflow_datasets', type=path, help='where the dataset goes')
  add('--workers', type=int, default=os.cpu_count() or 1, help='processes (default: one a core)')
  add('--keep_going', action='store_true', help='leave unusable videos out; list them at the end')
  add(
    '--splits', type=path, help='JSON file: {"train": ["001", …], "validation": […], "test": […]}'
  )
  add('--bad_frames', type=path, help='text file; a line "031 120-140" leaves those frames out')
  add('--others', type=path, help='JSON file of boxes that hold unannotated faces of whole frames')
  add('--file_format', default='array_record', choices=['array_record', 'tfrecord'])
  defaults = ClipOptions()
  for name, (kind, meaning) in HOW.items():
    default = getattr(defaults, name)
    add(f'--{name}', type=kind, help=f'{meaning} (default: {default})')  # None is the config's.
  return found


def path(text: str) -> pathlib.Path:
  """A path in which `~` may stand for the home directory."""
  return pathlib.Path(text).expanduser()


def build(flags: argparse.Namespace) -> None:
  """Builds the dataset that the flags describe, unless it is there already.

  Raises:
    ValueError: the data or the flags are unusable, or another dataset stands in the way.
    OSError: a file is missing, or cannot be read or written.
  """
  config = named_config(flags)
  if not flags.manual_dir.is_dir() or not any(flags.manual_dir.iterdir()):
    raise FileNotFoundError(
      f'There is nothing in {flags.manual_dir}.\n\n{Builder.MANUAL_DOWNLOAD_INSTRUCTIONS}'
    )
  left_out: list[LeftOut] | None = [] if flags.keep_going else None
  builder = Builder(
    config=config,
    data_dir=flags.data_dir,
    num_workers=flags.workers,
    left_out=left_out,
    file_format=flags.file_format,
  )
  if pathlib.Path(builder.data_dir).exists():
    refuse_another(builder, flags.manual_dir, config)
    print(f'Already built: {builder.data_dir}')
  else:
    builder.download_and_prepare(
      download_config=tfds.download.DownloadConfig(manual_dir=flags.manual_dir)
    )
    placing.settle(pathlib.Path(builder.data_dir))
  print(summary(builder))
  for video in left_out or ():
    print(f'left out {video.video_id}: {video.reason}')
  for folder in pathlib.Path(builder.data_dir).parent.glob('incomplete.*'):
    print(f'{folder} is from an interrupted build; delete it unless one is under way.')


def named_config(flags: argparse.Namespace) -> MaskConfig:
  """The config that the flags ask for: one of the dataset's own, or the user's under another name.

  Raises:
    ValueError: options differ from the config's and have no name, or it is taken.
    OSError: a file of options cannot be read.
  """
  config = Builder.builder_configs[flags.config]
  given = {name: getattr(flags, name) for name in HOW if getattr(flags, name) is not None}
  options = dataclasses.replace(
    config.options,
    splits=flags.splits and read_splits(flags.splits),
    bad_frames=read_bad_frames(flags.bad_frames) if flags.bad_frames else {},
    others=others.read(flags.others) if flags.others else {},
    **given,
  )
  if options == config.options and flags.name in (None, config.name):
    return config
  if flags.name is None or flags.name in Builder.builder_configs:
    raise ValueError(
      f'These options are not those of {config.name!r}: give the result a name of its own, '
      f'for instance --name={config.name}_mine.'
    )
  description = f'{config.description} With options of the user.'
  return dataclasses.replace(config, name=flags.name, description=description, options=options)


def refuse_another(builder: Builder, manual_dir: pathlib.Path, config: MaskConfig) -> None:
  """Refuses to pass a dataset of other options or other videos off as the one asked for.

  Raises:
    ValueError: they differ; the message says in what.
  """
  wanted = json.loads(json.dumps(config.options.recorded()))
  # A dataset that is older than an option has what is now its default.
  built = ClipOptions().recorded() | builder.info.metadata['options']
  differing = [
    f'{name} {built[name]!r}, not {wanted[name]!r}'
    for name in wanted
    if built[name] != wanted[name]
  ]
  if (
    fingerprint(SOURCES[config.source].find(manual_dir, config.options))
    != (builder.info.metadata['fingerprint'])
  ):
    differing.append(f'other videos than those in {manual_dir}')
  if config.source == 'stills' and 'clip_starts' not in builder.info.metadata:
    differing.append('the older split, which divided photographs')
  if differing:
    raise ValueError(
      f'{builder.data_dir} was built with {"; ".join(differing)}. '
      'Delete it, or give another --data_dir.'
    )


def summary(builder: Builder) -> str:
  """Says where the dataset is, what is in each split and how to read it."""
  lines = [builder.data_dir]
  for name, split in builder.info.splits.items():
    lines.append(f'  {name:<11}{split.num_examples:>6} clips {split.num_bytes / 2**20:>9.1f} MiB')
  lines.append(
    f"Read it: import tfds_300vw; tfds.builder('{builder.name}/{builder.builder_config.name}', "
    f"data_dir='{builder.data_dir_root}').as_data_source('train')"
  )
  return '\n'.join(lines)


if __name__ == '__main__':
  sys.exit(main())
