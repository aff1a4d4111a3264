"""Evaluates the best checkpoint of a stage by the paper's protocol.

  python run.py --config=configs/evaluate.py --workdir=results/primary \\
    --config.checkpoint=runs/primary/convlstm --config.data.data_dir=data

The network is that of the run; dataset, split and batch size are those given here.
"""

from ml_collections import ConfigDict

from configs import primary


def get_config() -> ConfigDict:
  config = primary.get_config()
  config.job = 'evaluate'
  return config
