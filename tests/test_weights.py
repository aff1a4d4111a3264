"""Weights travel in one folder and load without any other file."""

import json
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from fmx import tree_file, weights
from fmx.models import segmenter
from tfds_300vw import face_mask

OPTIONS = {
  'trunk': 'resnet50',
  'width': 4,
  'blocks': (1, 1, 1, 1),
  'stem': 4,
  'pool_margin': (1, 1),
  'dilate': True,
  'memory': 'top',
  'head': 'fine',
  'head_features': 8,
  'kernel_size': (1, 1),
  'peepholes': True,
}


def make_model(region, *, temporal=True, margin=None, **options):
  options = OPTIONS | options
  names = face_mask.class_names(region)
  config = types.SimpleNamespace(**options, dtype='float32')
  network = segmenter.build(config, len(names), temporal=temporal, image_size=32)
  shapes = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 1, 32, 32, 3)))
  rng = np.random.default_rng(len(region) + temporal)
  variables = jax.tree.map(lambda x: rng.normal(size=x.shape).astype(x.dtype), shapes)
  variables = {'batch_stats': {}} | variables  # As trainings have them.
  trained = {'dataset': 'a/b'}
  return weights.Model(network, variables, region, names, 32, 5, margin, options, trained)


@pytest.fixture(scope='module')
def models():
  return {
    'primary': make_model('primary'),
    'fcn': make_model('primary', temporal=False),
    'eyes': make_model('eyes', head='coarse'),
    'eye': make_model(
      'eye', temporal=False, margin=2.4, blocks=(1, 1, 1), pool_margin=(0, 1), dilate=False
    ),
    'mouth': make_model('mouth', temporal=False, trunk='vgg16', head='aspp'),
  }


@pytest.fixture
def folder(models, tmp_path):
  weights.save(tmp_path / 'faces', models)
  return tmp_path / 'faces'


def edit(folder, change):
  description = json.loads((folder / 'weights.json').read_text())
  change(description)
  (folder / 'weights.json').write_text(json.dumps(description))


def test_what_was_saved_is_loaded_wherever_the_folder_went(models, folder, tmp_path):
  folder = folder.rename(tmp_path / 'elsewhere')
  loaded = weights.load(folder, dtype='float32')
  assert loaded.keys() == models.keys()
  for name, model in models.items():
    assert loaded[name].network == model.network
    jax.tree.map(np.testing.assert_array_equal, loaded[name].variables, model.variables)
    assert loaded[name].class_names == face_mask.class_names(model.region)
    assert (loaded[name].image_size, loaded[name].clip_length) == (32, 5)
    assert loaded[name].trained == {'dataset': 'a/b'}
    assert loaded[name].margin == model.margin
    assert loaded[name].options == model.options


def test_networks_are_traced_once_and_what_is_kept_of_it_may_be_damaged(
  folder, tmp_path, monkeypatch
):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  traced, trace = [], jax.eval_shape
  monkeypatch.setattr(jax, 'eval_shape', lambda *args: traced.append(1) or trace(*args))
  weights.load(folder)
  kept = sorted((tmp_path / 'cache/fmx/shapes').iterdir())
  assert len(kept) == 5
  assert traced
  traced.clear()
  weights.load(folder)
  assert not traced
  edit(folder, lambda d: d['models']['fcn']['network'].update(width=8))
  with pytest.raises(ValueError, match='where the network described in'):
    weights.load(folder)
  for path, content in zip(kept, (b'', b'[1]', b'{"a": 1}', b'\xff', b'null')):
    path.write_bytes(content)
  edit(folder, lambda d: d['models']['fcn']['network'].update(width=4))
  assert weights.load(folder).keys() == {'primary', 'fcn', 'eyes', 'eye', 'mouth'}


def test_the_folder_of_a_training_holds_them_too(models, tmp_path):
  weights.save(tmp_path / 'run/weights', models)
  assert weights.load(tmp_path / 'run').keys() == models.keys()


@pytest.mark.parametrize('option', ['trunk', 'memory'])
def test_weights_of_before_there_was_a_choice_load(folder, models, option):
  for name in ('primary', 'eye'):
    edit(folder, lambda d, name=name: d['models'][name]['network'].pop(option))
  loaded = weights.load(folder, dtype='float32')
  for name, model in loaded.items():
    assert model.network == models[name].network
    assert model.options == models[name].options


def test_what_cannot_be_put_in_place_leaves_what_was_there(folder, models, monkeypatch):
  weights.save(folder, models)
  before = {path.name: path.read_bytes() for path in folder.iterdir()}

  def refuse(partial, path):
    raise OSError('no space left')

  monkeypatch.setattr(weights.placing, 'place', refuse)
  with pytest.raises(OSError, match='no space'):
    weights.save(folder, {'primary': models['primary']})
  assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
  assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_second_time_replaces_the_first(folder, models):
  weights.save(folder, {'primary': models['primary']})
  assert list(weights.load(folder)) == ['primary']
  assert [path.name for path in folder.parent.iterdir()] == ['faces']


def test_a_folder_of_something_else_is_left_alone(models, tmp_path):
  (tmp_path / 'precious').write_text('')
  with pytest.raises(FileExistsError, match='exists and holds no weights'):
    weights.save(tmp_path, models)
  assert [path.name for path in tmp_path.iterdir()] == ['precious']


def test_what_fails_half_way_leaves_the_old_weights(folder, models, monkeypatch):
  def fail(path, tree, *, half):
    raise OSError('the disk is full')

  monkeypatch.setattr(weights.tree_file, 'save', fail)
  with pytest.raises(OSError, match='the disk is full'):
    weights.save(folder, models)
  assert weights.load(folder).keys() == models.keys()
  assert [path.name for path in folder.parent.iterdir()] == ['faces']


def test_a_network_under_another_s_name_is_refused(models, tmp_path):
  with pytest.raises(ValueError, match="'mouth' is of 'eyes'"):
    weights.save(tmp_path / 'faces', {'mouth': models['eyes']})


def test_no_weights_get_one_sentence(tmp_path):
  with pytest.raises(FileNotFoundError, match='holds no weights'):
    weights.load(tmp_path)


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (lambda d: d.update(version=2), r"version 2; this program reads 'fmx weights' version 3"),
    (lambda d: d.update(format='other'), "is 'other' version 3"),
    (lambda d: d.pop('format'), 'does not describe weights'),
    (lambda d: d.update(models={}), 'describes no network'),
    (lambda d: d['models']['eyes'].pop('image_size'), "does not say all of 'eyes'"),
    (lambda d: d['models']['eye'].pop('margin'), "does not say all of 'eye'"),
    (lambda d: d['models']['eye']['network'].pop('pool_margin'), "'eye' as this program cannot"),
    (lambda d: d['models']['eye']['network'].update(blocks=[1, 1]), r'model.blocks is \(1, 1\)'),
    (lambda d: d['models']['eye'].update(image_size=40), 'must be a multiple of 16'),
    (lambda d: d['models']['eyes'].update(region='mouth'), "describes 'eyes' as this program can"),
    (lambda d: d['models']['eyes']['input'].update(channels='RGB'), 'as this program cannot run'),
    (lambda d: d['models']['eyes']['network'].update(depth=3), 'as this program cannot run it'),
    (lambda d: d['models']['eyes'].update(class_names=['a', 'b']), "'eyes' has the classes a, b"),
    (lambda d: d['models']['eyes']['network'].update(width=8), r'bn0/mean is \(16,\), where the'),
    (lambda d: d['models']['eyes']['network'].update(head='x'), "model.head is 'x'"),
  ],
)
def test_a_description_that_does_not_fit_is_refused(folder, change, message):
  edit(folder, change)
  with pytest.raises(ValueError, match=message):
    weights.load(folder)


def test_a_file_that_is_no_json_is_named(folder):
  (folder / 'weights.json').write_text('{')
  with pytest.raises(ValueError, match='weights.json does not describe weights'):
    weights.load(folder)


def test_damaged_variables_are_noticed(folder):
  path = folder / 'eyes.npz'
  content = bytearray(path.read_bytes())
  content[len(content) // 2] ^= 1
  path.write_bytes(content)
  with pytest.raises(
    OSError, match=r'eyes\.npz is damaged \(its SHA-256 begins with [0-9a-f]{12},'
  ):
    weights.load(folder)


def test_a_missing_file_is_named(folder):
  (folder / 'eyes.npz').unlink()
  with pytest.raises(FileNotFoundError, match=r'eyes\.npz is missing'):
    weights.load(folder)


def test_half_the_precision_takes_half_the_room(models, folder, tmp_path):
  weights.save(tmp_path / 'half', models, half=True)
  for name, model in weights.load(tmp_path / 'half').items():
    exact = traverse_util.flatten_dict(dict(models[name].variables), sep='/')
    for path, array in traverse_util.flatten_dict(dict(model.variables), sep='/').items():
      assert array.dtype == np.float32
      wanted = exact[path]
      if wanted.ndim > 1:
        wanted = wanted.astype(np.float16).astype(np.float32)
      np.testing.assert_array_equal(array, wanted, err_msg=path)
  small, large = ((path / 'primary.npz').stat().st_size for path in (tmp_path / 'half', folder))
  assert small < 0.7 * large


def test_what_float16_cannot_hold_is_refused_but_in_vectors(tmp_path):
  large = np.array([1e6, -2.0], np.float32)
  checksum = tree_file.save(tmp_path / 'a.npz', {'a': {'var': large}}, half=True)
  np.testing.assert_array_equal(tree_file.load(tmp_path / 'a.npz', checksum)['a']['var'], large)
  for value in (1e6, np.nan):
    with pytest.raises(ValueError, match='a/kernel has a value of .*, which float16 cannot hold'):
      tree_file.save(tmp_path / 'b.npz', {'a': {'kernel': np.full((1, 1), value)}}, half=True)


def test_the_same_variables_give_the_same_file(models, tmp_path):
  checksums = {
    tree_file.save(tmp_path / name, models['eyes'].variables) for name in ('one.npz', 'two.npz')
  }
  assert len(checksums) == 1
