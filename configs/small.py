"""A quarter of the width at 128 px, with the fine head and augmentation: trains without a GPU.

  python run.py --config=configs/small.py --workdir=runs/small --config.data.data_dir=data

What it reached on a small set of real videos, and in what time, is in docs/results.md.
"""

from ml_collections import ConfigDict

from configs import primary


def get_config() -> ConfigDict:
  config = primary.get_config()
  config.data.image_size = 128
  config.data.augmentation.update(
    flip=0.5, scale=0.15, shift=0.05, rotation=15.0, brightness=0.2, contrast=0.2, color=0.1
  )
  config.model.width = config.model.stem = 16
  config.model.head = 'fine'
  config.fcn.epochs = 20
  config.convlstm.epochs = 6
  config.evaluation.batch_size = 4
  return config
