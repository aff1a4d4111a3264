"""Table 3: only the ConvLSTM learns, by Adam or by RMSprop.

python run.py --config=configs/tables/table3.py --workdir=runs/tables --config.data_dir=data
"""

from ml_collections import ConfigDict

from configs.tables import networks

TABLE = {
  'name': 'table3',
  'title': 'Table 3: a frozen FCN and a ConvLSTM, by optimiser',
  'kind': 'comparison',
  'rows': (
    ('baseline-FCN', networks.FCN, 'FCN', 54.50),
    ('Adam', networks.ADAM, 'ConvLSTM-FCN', None),
    ('RMSprop', networks.RMSPROP, 'ConvLSTM-FCN', None),
  ),
  'claims': (
    ('Adam improves the FCN', 'Adam', 'baseline-FCN', 'mIoU'),
    ('RMSprop improves the FCN', 'RMSprop', 'baseline-FCN', 'mIoU'),
  ),
  'note': '',
}


def get_config() -> ConfigDict:
  return networks.plan(TABLE)
