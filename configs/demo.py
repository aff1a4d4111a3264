"""From nothing to masks in minutes: draws faces, builds the dataset, trains, evaluates, draws.

  python run.py --config=configs/demo.py --workdir=demo-train

A narrow network at a small size, to show what memory is worth. About four frames in ten are
spoilt, most of them alone, and the crop stays where it is for a clip, off-centre by chance: a
spoilt frame does not tell where its face is, the frames before it do. Both stages have the same
loss, so that they differ in memory alone, and the gain over the FCN must grow from the first frame
of a window, which has no past. The numbers say nothing about real faces.
"""

from ml_collections import ConfigDict

from configs import primary


def get_config() -> ConfigDict:
  config = primary.get_config()
  config.job = 'demo'
  config.data.image_size = 64
  config.data.workers = 0
  config.data.augmentation.flip = 0.5
  config.model.width = config.model.stem = 8
  config.model.blocks = (1, 1, 1, 1)
  config.model.head = 'fine'
  config.model.head_features = 24
  config.model.kernel_size = (3, 3)

  config.fcn.epochs = 12
  config.fcn.learning_rate = 0.004
  config.convlstm.epochs = 16
  config.convlstm.batch_size = 4
  config.convlstm.loss = 'cross_entropy'  # Not SegLoss: the two stages differ in memory alone.
  config.convlstm.learning_rate = 0.012
  config.convlstm.gamma = 1 / 3
  config.evaluation.batch_size = 8

  config.demo.num_videos = 480  # Many people, a sixth of a second of each.
  config.demo.num_frames = 5
  config.demo.size = 96
  spoil(config.demo.difficulty)
  return config


def spoil(difficulty: ConfigDict) -> None:
  """Spoils about four frames in ten, so that little of the face is left, and nothing else."""
  difficulty.occlusions = 0.0
  difficulty.long_occlusions = 0.0
  difficulty.event_frames = (1, 1)
  difficulty.motion_blurs = 1.0
  difficulty.motion_blur_length = 1.0
  difficulty.defocusings = 4.0
  difficulty.defocus_radius = 0.6
  difficulty.darkenings = 0.0
  difficulty.flashes = 8.0
  difficulty.flash_gain = 30.0
  difficulty.dropouts = 3.0
  difficulty.dropout_blocks = 2
  difficulty.noise = 5.0
  difficulty.poor_video = 0.0
