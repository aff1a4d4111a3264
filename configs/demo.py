"""From nothing to masks in minutes: draws faces, builds the dataset, trains, evaluates, draws.

  python run.py --config=configs/demo.py --workdir=demo

A narrow network at a small size on drawn faces. It shows what the ConvLSTM adds to the FCN where a
single frame does not suffice; its numbers say nothing about real faces.
"""

from ml_collections import ConfigDict

from configs import primary


def get_config() -> ConfigDict:
  config = primary.get_config()
  config.job = 'demo'
  config.data.image_size = 96
  config.data.workers = 0
  config.model.width = 16
  config.model.blocks = (1, 1, 1, 1)
  config.model.head = 'fine'
  config.model.head_features = 32
  config.fcn.epochs = 8
  config.convlstm.epochs = 6
  config.convlstm.batch_size = 4
  config.evaluation.batch_size = 8
  return config
