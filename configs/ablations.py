"""What each choice of the recipe of whole faces is worth: short trainings with one change each.

  python run.py --config=configs/ablations.py --workdir=runs/ablations \\
    --config.base.data.data_dir=data --config.base.model.pretrained=open-nsfw.onnx

Data as for configs/upright.py. A run takes about ten minutes on a core; the networks are far from
trained to the end, so the differences say which choice helps early, not what the networks that ship
would lose. One seed each: --config.base.seed=1 gives another. Expected: docs/results.md.
"""

from ml_collections import ConfigDict

from configs import upright


def get_config() -> ConfigDict:
  config = ConfigDict()
  config.job = 'study'
  config.photographs = 'the300vw_mask/stills_frames'
  config.base = upright.face()
  config.base.data.image_size = 96
  config.base.fcn.epochs = 10
  # Pairs: a name, and the options that are changed.
  config.runs = (
    ('the recipe', ()),
    ('random weights', (('model.pretrained', ''),)),
    ('nothing in front', (('data.spoiling.occluders', 0.0), ('data.spoiling.glasses', 0.0))),
    ('cross-entropy alone', (('fcn.loss', 'cross_entropy'),)),
    ('soft edges', (('data.view.fineness', 2),)),
    ('the last weights, no mean', (('fcn.average', 0.0),)),
    ('photographs alone', (('data.view.people', 1.0),)),
    ('good light and camera', tuple((f'data.spoiling.{name}', 0.0) for name in CAMERA)),
    ('windows that hardly vary', (('data.view.scale', 0.05), ('data.view.shift', 0.02),
                                  ('data.view.roll', 2.0))),
    ('no pieces of pictures in front', (('data.spoiling.donors', 0.0),)),
    ('small things in front', (('data.spoiling.occluder_size', 0.4),)),
    ('no window without a face', (('data.view.empty', 0.0),)),
    ('one rate for trunk and head', (('fcn.gamma', 1.0),)),
  )  # fmt: skip
  return config


CAMERA = (
  'brightness',
  'contrast',
  'color',
  'gamma',
  'gray',
  'blur',
  'motion_blur',
  'low_resolution',
  'noise',
  'jpeg',
)
