"""Weights as trainings leave them, of tiny networks with random variables."""

import json
import types

import jax
import jax.numpy as jnp
import numpy as np

from fmx import pretrained, weights
from fmx.models import segmenter
from fmx.models.finder import FinderNetwork
from tfds_300vw import face_mask

OPTIONS = {
  'trunk': 'resnet50',
  'width': 4,
  'blocks': (1, 1, 1),
  'stem': 4,
  'pool_margin': (1, 1),
  'dilate': True,
  'memory': 'top',
  'head': 'fine',
  'head_features': 8,
  'kernel_size': (1, 1),
  'peepholes': False,
}
SIZE = 32  # Pixels.


FINDER = {'widths': (4, 4, 4, 4), 'blocks': (1, 1, 1, 1), 'features': 4}


def model(region, *, temporal=False):
  """A network for a region whose output differs from pixel to pixel; or 'finder'."""
  if region == 'finder':
    finder = FinderNetwork(**FINDER)
    variables = variables_of(finder, jnp.zeros((1, 64, 64, 3)))
    return weights.FinderModel(finder, variables, FINDER, {'dataset': 'a/b'})
  names = face_mask.class_names(region)
  config = types.SimpleNamespace(**OPTIONS, dtype='float32')
  network = segmenter.build(config, len(names), temporal=temporal, image_size=SIZE)
  return weights.Model(
    network=network,
    variables=variables_of(network, jnp.zeros((1, 1, SIZE, SIZE, 3))),
    region=region,
    class_names=names,
    image_size=SIZE,
    clip_length=5,
    margin=None,
    options=OPTIONS,
    trained={'dataset': 'a/b'},
  )


def variables_of(network, frames):
  """Random ones."""
  shapes = jax.eval_shape(network.init, jax.random.key(0), frames)
  rng = np.random.default_rng(len(jax.tree.leaves(shapes)))
  return jax.tree.map(lambda x: drawn(x.shape, rng), dict(shapes))


def drawn(shape, rng):
  """Kernels that keep the size of what goes through, and vectors that could be any batch norm's."""
  if len(shape) > 1:
    return (rng.normal(size=shape) / np.sqrt(np.prod(shape[:-1]))).astype(np.float32)
  return (1 + 0.1 * rng.uniform(size=shape)).astype(np.float32)


def training(folder, *regions):
  """Leaves what a training of those regions leaves; returns the folder."""
  models = {region: model(region) for region in regions}
  if 'primary' in models:
    models['fcn'] = model('primary', temporal=False)
  weights.save(folder / 'weights', models)
  for region in regions:
    stage = folder / region / 'fcn'
    (stage / 'checkpoints/7').mkdir(parents=True)
    (stage / 'checkpoints/7/config.json').write_text('{}')
    (stage / 'metrics.jsonl').write_text('{"step": 1, "loss": 2.5}\n{"step": 2, "loss": null}\n')
    config = {'data': {'data_dir': '/home/me/data', 'dataset': 'a/b', 'size': [3, '~/x/y.onnx']}}
    (folder / region / 'config.json').write_text(json.dumps(config))
    results = {'FCN': {'miou': 0.5, 'clips': {'somebody': 1}}}
    (folder / region / 'results.json').write_text(json.dumps(results))
  return folder


def shipped(folder, *regions):
  """Puts networks of those names where a package has them; returns the folder."""
  weights.save(folder, {region: model(region) for region in regions}, half=True)
  checksums = {name: of['sha256'] for name, of in weights.read_description(folder).items()}
  release = {'version': '7', 'sha256': checksums}
  (folder / pretrained.RELEASE).write_text(json.dumps(release))
  return folder
