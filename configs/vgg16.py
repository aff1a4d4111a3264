"""FCN-VGG16 (Table 2; Long et al. 2015): VGG-16, its classifier as convolutions, skips down to 8.

  python run.py --config=configs/vgg16.py --workdir=runs/vgg16 --config.data.data_dir=data

--config.model.head=fcn32 or fcn16 has fewer skips. It is meant to begin with Keras's ImageNet
weights: --config.model.pretrained=vgg16_weights_tf_dim_ordering_tf_kernels.h5, whose dense layers
become fc6 and fc7. Expected on 300VW-Mask: about what fcn.py reaches, as the paper's text says.
"""

from ml_collections import ConfigDict

from configs import primary


def get_config() -> ConfigDict:
  config = primary.get_config()
  config.stages = ('fcn',)
  config.model.update(
    trunk='vgg16', blocks=(2, 3, 3, 3), dilate=False, head='fcn8', head_features=4096
  )
  config.fcn.learning_rate = 1e-4  # The paper's 0.001 is for batch norm, which VGG has not.
  return config
