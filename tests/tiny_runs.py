"""Runs so small that they take seconds: a dataset, a configuration and a network."""

import functools
import pathlib
import tempfile

import flax.linen as nn
import jax
import jax.numpy as jnp
from PIL import Image
from small_datasets import moving_faces, write_released, write_video

from configs import primary
from fmx.models.conv_lstm import ConvLSTM, initial_carry
from tfds_300vw import __main__ as command
from tfds_300vw import annotations

DATASET = 'the300vw_mask/released_primary'
FRAMES = 'the300vw_mask/stills_frames+the300vw_mask/frames_all'
REGIONS = ('primary', 'eyes', 'mouth')
VIDEOS = {
  'train': {'001': range(31, 41), '002': [*range(1, 8), *range(20, 26)]},
  'val': {'003': range(1, 13)},
  'test': {'004': range(1, 7), '005': range(1, 4)},  # The second is shorter than a window.
}
OVERRIDES = {
  'log_every': 1,
  'data.dataset': DATASET,
  'data.image_size': 32,
  'data.workers': 0,
  'data.augmentation.flip': 0.5,
  'data.augmentation.noise': 5.0,
  'model.width': 4,
  'model.stem': 4,
  'model.blocks': (1, 1, 1, 1),
  'fcn.epochs': 2,
  'fcn.batch_size': 4,
  'fcn.learning_rate': 0.01,  # So that a few steps make a difference to be seen.
  'convlstm.epochs': 3,
  'convlstm.batch_size': 2,
  'evaluation.batch_size': 4,
}

FINDER = {
  'finder.widths': (4, 4, 4, 4),
  'finder.blocks': (0, 0, 1, 0),
  'finder.features': 4,
  'finder.side': 64,
  'finder.batch_size': 4,
  'finder.steps': 2,
  'finder.drawn_faces': 2,
}


@functools.cache
def data_dir():
  """The folder of a prepared dataset of a few frames; it lasts as long as this process."""
  folder = tempfile.TemporaryDirectory()
  _kept.append(folder)
  root = pathlib.Path(folder.name)
  write_released(root / 'released', videos=VIDEOS)
  for region in REGIONS:
    command.main(
      [
        f'--config=released_{region}',
        '--workers=1',
        f'--manual_dir={root / "released"}',
        f'--data_dir={root / "data"}',
      ]
    )
  for number in range(1, 4):
    write_video(root / f'videos/00{number}', 12, seed=number)
  command.main(
    [
      '--config=frames',
      '--workers=1',
      f'--manual_dir={root / "videos"}',
      f'--data_dir={root / "data"}',
    ]
  )
  return root / 'data'


@functools.cache
def frames_dir():
  """The folder of prepared whole frames, of photographs and of videos; it lasts likewise."""
  folder = tempfile.TemporaryDirectory()
  _kept.append(folder)
  root = pathlib.Path(folder.name)
  for number in range(1, 7):  # The fifth tests, one validates; the first has two faces.
    image, landmarks = next(moving_faces(1, 96, 112, number))
    (root / 'photographs').mkdir(exist_ok=True)
    for index in range(1, 3 if number == 1 else 2):
      path = root / f'photographs/{number}_{index}.jpg'
      Image.fromarray(image).save(path)
      annotations.write_pts(path.with_suffix('.pts'), landmarks - (index - 1) * 20)
  for number in range(1, 4):  # One for each split.
    write_video(root / f'videos/{number:03d}', 11, seed=number)
  for flags in (
    ['--config=stills_frames', f'--manual_dir={root / "photographs"}'],
    ['--config=frames', '--name=frames_all', '--fraction=1', f'--manual_dir={root / "videos"}'],
  ):
    command.main([*flags, '--workers=1', f'--data_dir={root / "data"}'])
  return root / 'data'


_kept = []


def flags(**overrides):
  """The flags of `run.py`, less --workdir; in the names of options, __ stands for a dot."""
  options = OVERRIDES | {'data.data_dir': data_dir()} | _with_dots(overrides)
  return ['--config=configs/primary.py', *(f'--config.{n}={v}' for n, v in options.items())]


def flags_of_all(**overrides):
  """The flags of `run.py` that train a network for each region and a finder, less --workdir."""
  found = ['--config=configs/all.py', f'--config.data_dir={data_dir()}']
  found += [f'--config.models.finder.{name}={value}' for name, value in FINDER.items()]
  for region in REGIONS:
    options = OVERRIDES | {'data.dataset': f'the300vw_mask/released_{region}'}
    options |= _with_dots(overrides)
    found += [f'--config.models.{region}.{name}={value}' for name, value in options.items()]
  return found


def config(**overrides):
  """The same as `flags`, as a configuration; batches for four devices."""
  config = primary.get_config()
  options = OVERRIDES | {'data.data_dir': str(data_dir()), 'convlstm.batch_size': 4}
  config.update_from_flattened_dict(options | _with_dots(overrides))
  return config.lock()


def _with_dots(overrides):
  return {name.replace('__', '.'): value for name, value in overrides.items()}


class TinyHead(nn.Module):
  """The paper's head, with its names."""

  num_classes: int
  temporal: bool

  @nn.compact
  def __call__(self, x, carry):
    if not self.temporal:
      return None, nn.Dense(self.num_classes, name='conv6')(x)
    return ConvLSTM(self.num_classes, name='convlstm')(x, carry)


class TinySegmenter(nn.Module):
  """A convolution with batch norm in the place of the trunk."""

  num_classes: int
  temporal: bool
  axis_name: str | None = None

  @nn.compact
  def __call__(self, video, carry=None, train=False):
    x = nn.Conv(6, (1, 5, 5), (1, 8, 8), use_bias=False, name='conv')(
      video.astype(jnp.float32) / 127.5 - 1
    )
    norm = nn.BatchNorm(use_running_average=not train, axis_name=self.axis_name, name='norm')
    carry, x = TinyHead(self.num_classes, self.temporal, name='head')(nn.relu(norm(x)), carry)
    return jax.image.resize(x, (*video.shape[:-1], self.num_classes), 'bilinear'), carry

  def initial_carry(self, clips, size):
    if not self.temporal:
      return None
    return initial_carry((clips, *(-(-side // 8) for side in size), self.num_classes))


def build(config, num_classes, *, temporal, image_size, axis_name=None):
  """Takes the place of `segmenter.build`."""
  del config, image_size
  return TinySegmenter(num_classes, temporal, axis_name)
