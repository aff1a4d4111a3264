"""Table 2: the five baselines.

python run.py --config=configs/tables/table2.py --workdir=runs/tables --config.data_dir=data
"""

from ml_collections import ConfigDict

from configs.tables import networks

TABLE = {
  'name': 'table2',
  'title': 'Table 2: baseline approaches',
  'kind': 'comparison',
  'rows': (
    ('Face tracker', networks.TRACKER, '68-landmark tracker', 60.09),
    ('DeepLab-V2', networks.DEEPLAB, 'FCN + dense CRF', None),
    ('FCN-VGG16', networks.VGG, 'FCN', None),
    ('FCN-ResNet50', networks.FCN, 'FCN', 54.50),
    ('FCN-ResNet50 + temporal smoothing', networks.FCN, 'FCN + temporal smoothing', None),
  ),
  'claims': (
    ('The face tracker has the highest mIoU', 'Face tracker', 'FCN-ResNet50', 'mIoU'),
    ('The face tracker is worse on facial skin', 'FCN-ResNet50', 'Face tracker', 'facial_skin'),
    ('DeepLab-V2 surpasses FCN-ResNet50', 'DeepLab-V2', 'FCN-ResNet50', 'mIoU'),
    ('DeepLab-V2 is better on eyes', 'DeepLab-V2', 'FCN-ResNet50', 'eyes'),
    ('DeepLab-V2 is better on inner mouths', 'DeepLab-V2', 'FCN-ResNet50', 'inner_mouth'),
    (
      'Temporal smoothing does not improve the FCN',
      'FCN-ResNet50',
      'FCN-ResNet50 + temporal smoothing',
      'mIoU',
    ),
  ),
  'note': (
    'The tracker needs dlib (extra landmarks). VGG-16 begins at random unless ImageNet weights are '
    'given, as do all networks here; the paper does not say what its networks began with.'
  ),
  'baseline': 'FCN-ResNet50',
}


def get_config() -> ConfigDict:
  return networks.plan(TABLE)
