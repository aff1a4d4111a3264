"""TFDS's own test of the builder; test_dataset_builder.py runs it where TensorFlow is installed."""

import os

import tensorflow_datasets as tfds

import tfds_300vw


class The300vwMaskTest(tfds.testing.DatasetBuilderTestCase):
  """Builds every config from the small trees in $MANUAL_DIR and reads it back."""

  DATASET_CLASS = tfds_300vw.Builder
  EXAMPLE_DIR = os.environ['MANUAL_DIR']
  BUILDER_CONFIG_NAMES_TO_TEST = ['primary', 'eyes', 'mouth']
  SPLITS = {'train': 4, 'validation': 1, 'test': 1}


class The300vwMaskReleasedTest(tfds.testing.DatasetBuilderTestCase):
  """The same for the authors' zip."""

  DATASET_CLASS = tfds_300vw.Builder
  EXAMPLE_DIR = os.environ['MANUAL_DIR']
  BUILDER_CONFIG_NAMES_TO_TEST = ['released_primary', 'released_eyes', 'released_mouth']
  SPLITS = {'train': 3, 'validation': 1, 'test': 1}


if __name__ == '__main__':
  tfds.testing.test_main()
