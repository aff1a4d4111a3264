"""The finder: a small network that sees where faces are in a whole frame.

  python -m tfds_300vw --config=stills_frames --manual_dir=stills --data_dir=data
  python -m tfds_300vw --config=frames --name=frames_all --fraction=1 --manual_dir=300vw \\
    --data_dir=data
  python run.py --config=configs/finder.py --workdir=runs/finder --config.data.data_dir=data

Faces in these pictures that nobody annotated count as background unless --config.finder.others
names the file that `python -m fmx.finding.unannotated` made. Expected: docs/results.md.
"""

from ml_collections import ConfigDict

from configs import primary


def get_config() -> ConfigDict:
  config = primary.get_config()
  config.job = 'train_finder'
  config.data.dataset = 'the300vw_mask/stills_frames+the300vw_mask/frames_all'
  config.data.workers = 0
  return config
