"""300VW-Mask: a dataset of face masks in video for TensorFlow Datasets.

Importing this package registers the dataset, so that `tfds.builder('the300vw_mask/primary')` finds
it. It needs neither TensorFlow nor jax.
"""

from tfds_300vw.the300vw_mask.the300vw_mask_dataset_builder import Builder, MaskConfig

__all__ = ['Builder', 'MaskConfig']
