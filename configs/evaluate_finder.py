"""Says which faces a finder misses, and with the extra `peers` two detectors of others.

  python run.py --config=configs/evaluate_finder.py --workdir=results/finder \\
    --config.weights=runs/finder/weights --config.data.data_dir=data \\
    --config.finder_evaluation.peers="('libfacedetection', 'CenterFace')"

Held-out photographs, upright and turned; their faces cut out tightly; parts of them without a face.
"""

from ml_collections import ConfigDict

from configs import finder


def get_config() -> ConfigDict:
  config = finder.get_config()
  config.job = 'evaluate_finder'
  return config
