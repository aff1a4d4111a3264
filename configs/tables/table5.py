"""Table 5: cross-entropy, the IoU loss and SegLoss, its forms with several g.

python run.py --config=configs/tables/table5.py --workdir=runs/tables --config.data_dir=data
"""

from ml_collections import ConfigDict

from configs.tables import networks

TABLE = {
  'name': 'table5',
  'title': 'Table 5: losses, with a frozen FCN',
  'kind': 'comparison',
  'rows': (
    ('baseline-FCN', networks.FCN, 'FCN', 54.50),
    ('Cross-entropy', networks.ADAM, 'ConvLSTM-FCN', None),
    ('IoU loss', networks.IOU, 'ConvLSTM-FCN', None),
    *(
      (f'SegLoss Eq. 8, g = {g:g}', networks.hinge(g), 'ConvLSTM-FCN', None)
      for g in networks.MARGINS
    ),
    *(
      (f'SegLoss Eq. 9, g = {g:g}', networks.linear(g), 'ConvLSTM-FCN', None)
      for g in networks.MARGINS
    ),
    ('SegLoss with logarithms (ours)', networks.LOG, 'ConvLSTM-FCN', None),
  ),
  'claims': (
    ('The IoU loss beats cross-entropy', 'IoU loss', 'Cross-entropy', 'mIoU'),
    ('SegLoss (Eq. 9, g = 0) beats cross-entropy', 'SegLoss Eq. 9, g = 0', 'Cross-entropy', 'mIoU'),
    ('SegLoss (Eq. 9, g = 0) beats the IoU loss', 'SegLoss Eq. 9, g = 0', 'IoU loss', 'mIoU'),
    ('SegLoss (Eq. 8, g = 0) beats the IoU loss', 'SegLoss Eq. 8, g = 0', 'IoU loss', 'mIoU'),
    ('Eq. 9 is best at g = 0', 'SegLoss Eq. 9, g = 0', 'SegLoss Eq. 9, g = 0.1', 'mIoU'),
  ),
  'note': 'Which g the paper tried is lost, but for Eq. 9 with g = 0.',
}


def get_config() -> ConfigDict:
  return networks.plan(TABLE)
