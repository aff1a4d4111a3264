"""The paper's zoomed-in model of the eyes (Sect. 4.2): FCN, then ConvLSTM-FCN with gamma = 0.02.

python -m tfds_300vw --config=eyes --manual_dir=300vw --data_dir=data
python run.py --config=configs/eyes.py --workdir=runs/eyes --config.data.data_dir=data
"""

from ml_collections import ConfigDict

from configs import primary


def get_config() -> ConfigDict:
  config = primary.get_config()
  config.data.dataset = 'the300vw_mask/eyes'
  config.convlstm.gamma = 0.02
  return config
