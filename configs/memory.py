"""A memory behind the network of whole faces that ships: gates that know when to trust the past.

  python -m tfds_300vw --config=primary --name=primary_all --fraction=1 --manual_dir=300vw \\
    --data_dir=data
  python run.py --config=configs/memory.py --workdir=runs/memory --config.data.data_dir=data

The network stays as it is and only its memory learns, on clips of which three frames in ten are
spoiled; 40 minutes on a core. The folder of weights has the other networks too:
`fmx clip.mp4 --weights runs/memory`. What came of it is in docs/results.md.
"""

import pathlib

from ml_collections import ConfigDict

from configs import upright

SHIPPED = pathlib.Path(__file__).parents[1] / 'fmx/pretrained/weights'


def get_config() -> ConfigDict:
  config = upright.face()
  config.stages = ('convlstm',)
  config.trained_fcn = str(SHIPPED)
  config.data.dataset = 'the300vw_mask/primary_all'
  config.data.clip_length = 10
  config.data.spoiled_frames = 0.3
  config.data.augmentation.update(flip=0.5, scale=0.2, shift=0.08, rotation=15.0)
  config.data.augmentation.update(brightness=0.15, contrast=0.25, color=0.1)
  config.model.memory = 'fine'
  config.convlstm.update(
    epochs=12,
    batch_size=4,
    loss='cross_entropy_iou',
    schedule='cosine',
    l2=0.0,
    decay=0.02,
    average=0.99,
    result='last',
    gamma=0.0,  # Of the network's rate: it is frozen.
  )
  config.evaluation.update(batch_size=6, state='stream', spoiled=True)
  return config
