"""The networks of the paper's tables, each as what it changes of configs/primary.py, at two scales.

Which γ and g there are beside those of the paper's text is ours: the cells of its tables are lost.
"""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from configs import deeplab, primary, vgg16

Changes = tuple[tuple[str, Any], ...]  # Pairs of an option and its value.
GAMMAS = (0.01, 0.02, 0.05, 0.1)
MARGINS = (0.0, 0.1, 0.5)
REGIONS = {'eyes': 'eye', 'mouth': 'mouth'}  # By the dataset's name, the paper's.

FCN = 'baseline-FCN'
VGG, DEEPLAB = 'FCN-VGG16', 'DeepLab-V2'
ADAM, RMSPROP = 'frozen, cross-entropy, Adam', 'frozen, cross-entropy, RMSprop'
IOU, LOG = 'frozen, IoU loss', 'frozen, SegLoss with logarithms'
TRACKER, TOGETHER = 'landmark tracker', 'primary + zoomed-in'


def hinge(margin: float) -> str:
  return f'frozen, SegLoss Eq. 8, g = {margin:g}'


def linear(margin: float) -> str:
  return f'frozen, SegLoss Eq. 9, g = {margin:g}'


def primary_model(gamma: float) -> str:
  return f'primary, γ = {gamma:g}'


def zoomed_fcn(region: str) -> str:
  return f'{region} FCN'


def zoomed_model(region: str, gamma: float) -> str:
  return f'{region}, γ = {gamma:g}'


def _fcn(*changes: tuple[str, Any]) -> Changes:
  return (('stages', ('fcn',)), *changes)


def _convlstm(fcn: str, gamma: float, *changes: tuple[str, Any]) -> Changes:
  """A second stage; `trained_fcn` names the network that it begins with."""
  start = (('stages', ('convlstm',)), ('trained_fcn', fcn), ('convlstm.gamma', gamma))
  return (*start, *changes)


def _of(config: ConfigDict) -> Changes:
  """What another configuration changes of the primary one's network, rate and dense CRF."""
  changes = [('stages', config.stages), ('fcn.learning_rate', config.fcn.learning_rate)]
  options = ('trunk', 'blocks', 'dilate', 'head', 'head_features')
  changes += [(f'model.{option}', config.model[option]) for option in options]
  return (*changes, ('evaluation.dense_crf.apply', config.evaluation.dense_crf.apply))


def _frozen(loss: str, **options: Any) -> Changes:
  changes = {'loss': loss} | options
  return _convlstm(FCN, 0.0, *((f'convlstm.{name}', value) for name, value in changes.items()))


NETWORKS: dict[str, Changes] = {
  FCN: _fcn(),
  VGG: _of(vgg16.get_config()),
  DEEPLAB: _of(deeplab.get_config()),
  ADAM: _frozen('cross_entropy'),
  RMSPROP: _frozen('cross_entropy', optimizer='rmsprop'),
  IOU: _frozen('soft_iou'),
  LOG: _frozen('seg_loss_log'),
  **{hinge(g): _frozen('seg_loss_hinge', margin=g) for g in MARGINS},
  **{linear(g): _frozen('seg_loss_linear', margin=g) for g in MARGINS},
  **{primary_model(gamma): _convlstm(FCN, gamma) for gamma in GAMMAS},
}
for _name, _region in REGIONS.items():
  _data = ('data.dataset', f'the300vw_mask/{_name}')
  NETWORKS[zoomed_fcn(_region)] = _fcn(_data)
  for _gamma in GAMMAS:
    NETWORKS[zoomed_model(_region, _gamma)] = _convlstm(zoomed_fcn(_region), _gamma, _data)

# Evaluated together: by what each network is to the others (a name of `fmx.weights`), and how.
SYSTEMS: dict[str, tuple[tuple[tuple[str, str], ...], Changes]] = {
  TRACKER: ((('primary', FCN),), (('evaluation.landmarks', True),)),
  TOGETHER: (
    (
      ('fcn', FCN),
      ('primary', primary_model(0.05)),
      ('eyes', zoomed_model('eye', 0.02)),
      ('mouth', zoomed_model('mouth', 0.02)),
    ),
    (),
  ),
}

# A core's worth of the same. The fine head has unbounded logits, and the augmentation is ours.
SMALL: Changes = (
  ('data.image_size', 96),
  ('data.workers', 0),
  ('data.augmentation.flip', 0.5),
  ('data.augmentation.scale', 0.15),
  ('data.augmentation.shift', 0.05),
  ('data.augmentation.rotation', 15.0),
  ('data.augmentation.brightness', 0.2),
  ('data.augmentation.contrast', 0.2),
  ('data.augmentation.color', 0.1),
  ('model.width', 16),
  ('model.stem', 16),
  ('model.head', 'fine'),
  ('fcn.epochs', 16),
  ('convlstm.epochs', 5),
  ('convlstm.batch_size', 4),
  ('evaluation.batch_size', 4),
)
# What the small scale changes of single networks after that.
SMALL_OF: tuple[tuple[str, Changes], ...] = (
  (VGG, (('model.head_features', 128),)),
  (DEEPLAB, (('model.head_features', 64),)),
)


def plan(*tables: Mapping[str, Any], known: Mapping[str, Changes] = NETWORKS) -> ConfigDict:
  """The configuration of the job 'tables'.

  Args:
    *tables: What is to be in the report, in this order; `fmx.paper.plan.Table` says what each has.
    known: The networks that there are.
  """
  names = {source for table in tables for _, source, *_ in table['rows']}
  systems = {name: SYSTEMS[name] for name in SYSTEMS if name in names}
  names |= {network for parts, _ in systems.values() for _, network in parts}
  names |= {dict(known[name]).get('trained_fcn', name) for name in names & set(known)}
  config = ConfigDict()
  config.job = 'tables'
  config.scale = 'paper'  # Or 'small': a key of `scales`.
  config.base = primary.get_config()
  config.data_dir = config.base.data.data_dir
  config.base.data.data_dir = config.get_ref('data_dir')
  config.pretrained = {'resnet50': '', 'vgg16': ''}  # What FCNs begin with, by their trunk.
  # What a scale changes of all networks, before what the networks change themselves, and of some.
  config.scales = {
    'paper': {'all': (), 'some': ()},
    'small': {'all': SMALL, 'some': SMALL_OF},
  }
  config.runs = tuple((name, known[name]) for name in known if name in names)
  config.systems = tuple((name, *systems[name]) for name in systems)
  config.tables = tuple(tuple(sorted(table.items())) for table in tables)
  return config
