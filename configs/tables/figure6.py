"""Fig. 6: mean and deviation of each subject's frames.

  python run.py --config=configs/tables/figure6.py --workdir=runs/tables --config.data_dir=data

It needs the datasets of eyes and mouth too.
"""

from ml_collections import ConfigDict

from configs.tables import networks

TABLE = {
  'name': 'figure6',
  'title': 'Figure 6: mean IoU and standard deviation over the frames of each subject',
  'kind': 'subjects',
  'rows': (
    ('baseline-FCN', networks.TOGETHER, 'FCN', None),
    ('primary', networks.TOGETHER, 'ConvLSTM-FCN', None),
    ('primary + zoomed-in', networks.TOGETHER, 'ConvLSTM-FCN + zoomed-in models', None),
  ),
  'claims': (),
  'note': '',
}


def get_config() -> ConfigDict:
  return networks.plan(TABLE)
