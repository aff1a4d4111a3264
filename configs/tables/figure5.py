"""Fig. 5: face masks of the baseline-FCN, the primary model and all together.

  python run.py --config=configs/tables/figure5.py --workdir=runs/tables --config.data_dir=data

It needs the datasets of eyes and mouth too.
"""

from ml_collections import ConfigDict

from configs.tables import networks

TABLE = {
  'name': 'figure5',
  'title': 'Figure 5: face masks',
  'kind': 'pictures',
  'rows': (
    ('baseline-FCN', networks.TOGETHER, 'FCN', None),
    ('primary', networks.TOGETHER, 'ConvLSTM-FCN', None),
    ('primary + zoomed-in', networks.TOGETHER, 'ConvLSTM-FCN + zoomed-in models', None),
  ),
  'claims': (),
  'note': 'Of each test video the clip on which the baseline-FCN is worst, its middle frame.',
}


def get_config() -> ConfigDict:
  return networks.plan(TABLE)
