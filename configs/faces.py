"""All three models on real faces without a GPU: videos and stills together, narrow, fine head.

  for region in primary eyes mouth; do
    python -m tfds_300vw --config=$region --name=${region}_all --fraction=1 --manual_dir=300vw \\
      --data_dir=data
    python -m tfds_300vw --config=stills_$region --manual_dir=stills --data_dir=data
  done
  python run.py --config=configs/faces.py --workdir=runs/faces --config.data_dir=data

What it reached on a small set of real videos and stills, and in what time, is in docs/results.md.
"""

from ml_collections import ConfigDict

from configs import all as all_models
from configs import small


def get_config() -> ConfigDict:
  config = all_models.together(primary=model('primary'), eyes=model('eyes'), mouth=model('mouth'))
  config.models.primary.model.update(width=24, stem=24)
  config.models.mouth.data.image_size = 96  # As fine as 150 pixels over a face.
  return config


def model(region: str) -> ConfigDict:
  """One region's network, trained on the clips of videos and those made of stills."""
  config = small.get_config()
  config.data.dataset = f'the300vw_mask/{region}_all+the300vw_mask/stills_{region}'
  config.data.workers = 0
  config.data.augmentation.update(shift=0.08, scale=0.2, blur=1.0, noise=6.0, occlusion=0.25)
  config.fcn.epochs = 4
  config.convlstm.epochs = 1
  config.convlstm.batch_size = 4
  config.convlstm.loss = 'cross_entropy'
  config.convlstm.gamma = 0.2
  return config
