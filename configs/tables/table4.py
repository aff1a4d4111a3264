"""Table 4: the gain over the baseline-FCN at each of the five frames of a window.

python run.py --config=configs/tables/table4.py --workdir=runs/tables --config.data_dir=data
"""

from ml_collections import ConfigDict

from configs.tables import networks

TABLE = {
  'name': 'table4',
  'title': 'Table 4: gain over the baseline-FCN by position in the window',
  'kind': 'positions',
  'rows': (
    ('baseline-FCN', networks.FCN, 'FCN', None),
    ('Adam', networks.ADAM, 'ConvLSTM-FCN', None),
    ('RMSprop', networks.RMSPROP, 'ConvLSTM-FCN', None),
  ),
  'claims': (
    ('With Adam the last four frames gain more than the first', 'Adam', 'baseline-FCN', 'later'),
    (
      'With RMSprop the last four frames gain more than the first',
      'RMSprop',
      'baseline-FCN',
      'later',
    ),
  ),
  'note': '',
}


def get_config() -> ConfigDict:
  return networks.plan(TABLE)
