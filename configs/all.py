"""The paper's whole system: primary, eyes and mouth, then a finder, and their weights.

  for region in primary eyes mouth; do
    python -m tfds_300vw --config=$region --manual_dir=300vw --data_dir=data
  done
  python -m tfds_300vw --config=frames --manual_dir=300vw --data_dir=data
  python run.py --config=configs/all.py --workdir=runs/faces --config.data_dir=data

The options of each are those of its own configuration: --config.models.eyes.fcn.epochs=40.
Expected on 300VW-Mask (test, mIoU in %): 63.76 for the three together, as the paper's text says.
"""

from ml_collections import ConfigDict

from configs import eyes, finder, mouth, primary


def get_config() -> ConfigDict:
  config = together(
    primary=primary.get_config(),
    eyes=eyes.get_config(),
    mouth=mouth.get_config(),
    finder=finder.get_config(),
  )
  config.models.finder.data.dataset = 'the300vw_mask/frames'
  return config


def together(**models: ConfigDict) -> ConfigDict:
  """One configuration for several models that share the folder of their data.

  Args:
    **models: The configuration of each, by region.
  """
  config = ConfigDict()
  config.job = 'train_all'
  config.data_dir = models['primary'].data.data_dir
  config.models = models
  for model in config.models.values():
    model.data.data_dir = config.get_ref('data_dir')
  return config
