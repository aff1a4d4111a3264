"""From nothing to masks in minutes: draws faces, builds the dataset, trains, evaluates, draws.

  python run.py --config=configs/demo.py --workdir=demo

A narrow network at a small size on drawn faces, most of whose frames are spoilt in one way or
another. As in the paper the two stages differ in memory and in loss, and the table shows both at
once: here nearly all of the gain is the loss's. --config.convlstm.loss=cross_entropy leaves the
memory alone. The numbers say nothing about real faces.
"""

from ml_collections import ConfigDict

from configs import primary


def get_config() -> ConfigDict:
  config = primary.get_config()
  config.job = 'demo'
  config.data.image_size = 64
  config.data.workers = 0
  config.model.width = 8
  config.model.blocks = (1, 1, 1, 1)
  config.model.head = 'fine'
  config.model.head_features = 24

  config.fcn.epochs = 15
  config.fcn.learning_rate = 0.003
  config.convlstm.epochs = 8
  config.convlstm.loss = 'soft_iou'  # SegLoss's linear form collapses at this gamma.
  config.convlstm.gamma = 1.0
  config.evaluation.batch_size = 8

  config.demo.num_videos = 240  # Many people, a third of a second of each.
  config.demo.num_frames = 10
  config.demo.size = 96
  spoil(config.demo.difficulty)
  return config


def spoil(difficulty: ConfigDict) -> None:
  """Spoils more than half of the frames, most of them alone: their neighbours are good."""
  difficulty.occlusions = 5.0
  difficulty.long_occlusions = 0.0
  difficulty.occlusion_frames = (1, 2)
  difficulty.event_frames = (1, 1)
  difficulty.motion_blurs = 2.0
  difficulty.motion_blur_length = 0.4
  difficulty.defocusings = 1.0
  difficulty.defocus_radius = 0.08
  difficulty.darkenings = 6.0
  difficulty.darkest = 0.0
  difficulty.flashes = 2.0
  difficulty.flash_gain = 8.0
  difficulty.dropouts = 9.0
  difficulty.dropout_blocks = 2
  difficulty.noise = 5.0
  difficulty.poor_video = 0.0
