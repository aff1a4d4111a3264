"""Which loss trains the second stage, and what weight decay does to it: more than Table 5 asks.

  python run.py --config=configs/tables/losses.py --workdir=runs/losses0 --config.data_dir=data \\
    --config.scale=small

The ConvLSTM behind a frozen FCN, and with the FCN at a twentieth of its rate; without `l2` unless
said otherwise, for Adam makes it heavier the smaller the loss is, and SegLoss is small. Another
seed: --config.base.seed=1. The small scale has the fine head at 96 pixels; with the paper's at 160
it is --config=configs/tables/losses.py:coarse,160. What came out is in docs/paper.md.
"""

from ml_collections import ConfigDict

from configs.tables import networks

FORMS = {
  'cross-entropy': 'cross_entropy',
  'IoU loss': 'soft_iou',
  'cross-entropy + IoU loss': 'cross_entropy_iou',
  'SegLoss Eq. 8': 'seg_loss_hinge',
  'SegLoss Eq. 9': 'seg_loss_linear',
  'SegLoss with logarithms': 'seg_loss_log',
}
DECAYS = {'l2 of 1e-4': {'l2': 1e-4}, 'AdamW, 0.02': {'decay': 0.02}}
DECAYING = ('cross-entropy', 'SegLoss Eq. 9', 'SegLoss with logarithms')
TRAINED = ('cross-entropy', 'IoU loss', 'SegLoss Eq. 9', 'SegLoss with logarithms')
_FROZEN, _SLOW = 'frozen', 'γ = 0.05'


def _second_stage(loss: str, gamma: float, **options: float) -> networks.Changes:
  changes = {'loss': FORMS[loss], 'gamma': gamma, 'l2': 0.0, **options}
  start = (('stages', ('convlstm',)), ('trained_fcn', networks.FCN))
  return (*start, *((f'convlstm.{name}', value) for name, value in changes.items()))


NETWORKS = {
  networks.FCN: networks.NETWORKS[networks.FCN],
  **{f'{loss}, {_FROZEN}': _second_stage(loss, 0.0) for loss in FORMS},
  **{
    f'{loss}, {_FROZEN}, {title}': _second_stage(loss, 0.0, **options)
    for title, options in DECAYS.items()
    for loss in DECAYING
  },
  **{f'{loss}, {_SLOW}': _second_stage(loss, 0.05) for loss in TRAINED},
}
TABLE = {
  'name': 'losses',
  'title': 'Losses of the second stage, with and without weight decay',
  'kind': 'comparison',
  'rows': tuple(
    (name, name, 'FCN' if name == networks.FCN else 'ConvLSTM-FCN', None) for name in NETWORKS
  ),
  'claims': tuple(
    (f'SegLoss with logarithms beats {loss}, {title}', f'SegLoss with logarithms, {title}',
     f'{loss}, {title}', 'mIoU')
    for title in (_FROZEN, _SLOW)
    for loss in ('cross-entropy', 'IoU loss', 'SegLoss Eq. 9')
  ),
  'note': 'No table of the paper. The sentences are ours.',
}  # fmt: skip


def get_config(model: str = '') -> ConfigDict:
  """All second stages; `model` in place of the scale's: a head, or a head and a side in pixels."""
  config = networks.plan(TABLE, known=NETWORKS)
  head, _, side = model.partition(',')
  if side and not side.isdecimal():
    raise ValueError(f'losses.py:{model}: {side!r} is no number of pixels, as in coarse,160.')
  changes: networks.Changes = (('model.head', head),) if head else ()
  changes += (('data.image_size', int(side)),) if side else ()
  for scale in config.scales.values():
    scale.all = (*scale.all, *changes)
  return config
