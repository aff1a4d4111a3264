"""The baseline FCN alone (Table 2, FCN-ResNet50): 80 epochs of cross-entropy on still frames.

  python run.py --config=configs/fcn.py --workdir=runs/fcn --config.data.data_dir=data

Expected on 300VW-Mask (test, mIoU in %): 54.50.
"""

from ml_collections import ConfigDict

from configs import primary


def get_config() -> ConfigDict:
  config = primary.get_config()
  config.stages = ('fcn',)
  return config
