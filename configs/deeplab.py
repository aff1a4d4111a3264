"""DeepLab-V2 with VGG-16 (Table 2; Chen et al. 2018): ASPP on dilated features, then a dense CRF.

  python run.py --config=configs/deeplab.py --workdir=runs/deeplab --config.data.data_dir=data

It is meant to begin with Keras's ImageNet weights:
--config.model.pretrained=vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5. Expected on 300VW-Mask:
more than fcn.py and vgg16.py on eyes and inner mouth, as the paper's text says.
"""

from ml_collections import ConfigDict

from configs import vgg16


def get_config() -> ConfigDict:
  config = vgg16.get_config()
  config.model.update(dilate=True, head='aspp', head_features=1024)
  config.evaluation.dense_crf.apply = True
  return config
