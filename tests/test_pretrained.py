"""The networks that ship: how they are made, and what is said where there are none."""

import json
import pathlib

import drawn_scenes
import jax
import numpy as np
import pytest
import small_extractions
import tiny_weights

from configs import extract
from fmx import FaceMaskExtractor, pretrained, weights
from fmx.example import clip
from fmx.extraction import job
from fmx.pretrained import making

REGIONS = ('finder', 'primary')
SHIPS = pretrained.FOLDER.is_dir()


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
  return tiny_weights.training(tmp_path_factory.mktemp('trained') / 'run', *REGIONS)


@pytest.fixture(scope='module')
def made(trained, tmp_path_factory):
  """A folder as it ships."""
  to = tmp_path_factory.mktemp('package') / 'weights'
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(making, 'MOST_PIXELS', 0.02)  # Random networks sit on the fence.
    making.make([trained / 'weights'], '7', to, logs=[trained])
  return to


@pytest.fixture
def shipped(made, monkeypatch):
  """The same in the package's place."""
  monkeypatch.setattr(pretrained, 'FOLDER', made)
  return made


@pytest.fixture
def nothing_ships(tmp_path, monkeypatch):
  monkeypatch.setattr(pretrained, 'FOLDER', tmp_path / 'weights')


def read(path):
  return json.loads(path.read_text())


def test_what_ships_are_the_networks_that_were_trained_rounded(trained, made):
  exact, loaded = weights.load(trained), weights.load(made)
  assert exact.keys() == {'finder', 'primary', 'fcn'}
  assert loaded.keys() == {'finder', 'primary'}
  for name, model in loaded.items():
    for value, wanted in zip(
      jax.tree.leaves(model.variables), jax.tree.leaves(exact[name].variables), strict=True
    ):
      assert value.dtype == np.float32
      rtol, atol = (2**-11, 2**-25) if value.ndim > 1 else (0, 0)
      np.testing.assert_allclose(value, wanted, rtol=rtol, atol=atol)
    assert model.network == exact[name].network


def test_version_checksums_and_rounding_are_told(made, trained):
  release = read(made / 'release.json')
  assert release['version'] == '7'
  assert release['sha256'].keys() == release['rounding'].keys() == {'finder', 'primary'}
  for change in release['rounding'].values():
    assert 0 < change['output'] < making.MOST_CHANGE
  assert 0 <= release['rounding']['primary']['pixels'] < 0.02
  names = {path.name for path in made.iterdir()}
  assert names == {
    'weights.json', 'primary.npz', 'finder.npz', 'release.json', 'recipe.json', 'log.json'
  }  # fmt: skip
  assert [path.name for path in made.parent.iterdir()] == ['weights']


def test_recipe_and_log_come_along_without_the_places_of_a_machine(made):
  recipe, log = read(made / 'recipe.json'), read(made / 'log.json')
  assert recipe.keys() == {'run/primary/config.json', 'run/finder/config.json'}
  assert recipe['run/finder/config.json'] == {
    'data': {'data_dir': 'data', 'dataset': 'a/b', 'size': [3, 'y.onnx']}
  }
  assert log['run/primary/fcn/metrics.jsonl'] == [
    {'step': 1, 'loss': 2.5}, {'step': 2, 'loss': None}
  ]  # fmt: skip
  assert log['run/primary/results.json'] == {'FCN': {'miou': 0.5}}


def test_rounding_that_changes_too_much_is_refused_and_the_old_stays(trained, made, monkeypatch):
  before = sorted(path.read_bytes() for path in made.iterdir())
  for change in ({'output': 0.0, 'pixels': 0.01}, {'output': 0.03}, {'output': float('nan')}):
    monkeypatch.setattr(making, 'changes', lambda model, change=change: change)
    with pytest.raises(ValueError, match='finder: float16 kernels change too much'):
      making.make([trained], '8', made)
  assert sorted(path.read_bytes() for path in made.iterdir()) == before


def test_what_is_too_large_is_refused(trained, tmp_path, monkeypatch):
  monkeypatch.setattr(making, 'changes', lambda model: {'output': 0.0})
  monkeypatch.setattr(making, 'LARGEST', 10_000)
  with pytest.raises(ValueError, match='are too much: at most 0.01 MB'):
    making.make([trained], '8', tmp_path / 'weights')
  assert list(tmp_path.iterdir()) == []


def test_networks_of_several_trainings_go_together_once_each(trained, tmp_path):
  eye = tiny_weights.training(tmp_path / 'eye', 'eye')
  primary = tiny_weights.training(tmp_path / 'primary', 'primary')
  assert list(making.gather([trained, eye])) == ['finder', 'primary', 'eye']
  with pytest.raises(ValueError, match="eye holds 'eye', and so does a folder before it"):
    making.gather([eye, trained, eye])
  for missing, folder in (('primary', eye), ('finder', primary)):
    with pytest.raises(ValueError, match=f'there is no network {missing!r} there'):
      making.gather([folder])


def test_the_networks_that_ship_are_what_an_extractor_takes_by_itself(shipped):
  frames = np.stack(small_extractions.pictures(5))
  ours = list(FaceMaskExtractor(box=(4, 4, 44, 44))(frames))
  theirs = list(FaceMaskExtractor(shipped, box=(4, 4, 44, 44))(frames))
  assert len(ours) == 5
  for one, other in zip(ours, theirs, strict=True):
    np.testing.assert_array_equal(one.labels, other.labels)


def test_a_damaged_file_is_told(shipped, tmp_path, monkeypatch):
  damaged = tmp_path / 'weights'
  damaged.mkdir()
  for path in shipped.iterdir():
    content = path.read_bytes()
    if path.name == 'finder.npz':
      content = content[:-1]
    (damaged / path.name).write_bytes(content)
  monkeypatch.setattr(pretrained, 'FOLDER', damaged)
  with pytest.raises(OSError, match=r'finder\.npz is damaged \(its SHA-256 begins with'):
    FaceMaskExtractor()


def test_without_networks_one_sentence_says_what_to_do(nothing_ships):
  for attempt in (FaceMaskExtractor, lambda: job.check(extract.get_config())):
    with pytest.raises(FileNotFoundError, match='No trained networks came with this copy of fmx'):
      attempt()
  assert pretrained.caption() == 'no networks'


def test_masks_of_shipped_networks_go_on_after_another_installation(shipped, made):
  config = extract.get_config()
  first = job.identity_of(config.weights)
  for path in made.iterdir():
    path.touch()
  assert job.identity_of(config.weights) == first
  assert pretrained.caption() == 'networks 7 (finder, primary)'


def test_the_terms_have_what_they_must():
  terms = ' '.join((pathlib.Path(pretrained.__file__).parent / 'TERMS.md').read_text().split())
  for text in (
    'for research only and not commercially',
    'Copyright 2016, Yahoo Inc.',
    'must retain the above copyright notice',
    'must reproduce the above copyright notice',
    'EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE',
    '300-W',
    'The code of fmx is MIT',
  ):
    assert text in terms.replace('> ', '')


@pytest.mark.skipif(not SHIPS, reason='no networks ship with this copy')
def test_the_networks_that_ship_are_whole_and_small():
  folder = pretrained.folder()
  models = weights.load(folder)  # Checks every SHA-256.
  assert {'finder', 'primary'} <= models.keys()
  assert 'fcn' not in models
  release = pretrained.release()
  assert release['sha256'] == {
    name: entry['sha256'] for name, entry in weights.read_description(folder).items()
  }
  assert all(making.acceptable(change) for change in release['rounding'].values())
  assert making.size_of(folder) < 25e6
  texts = [path.read_text() for path in folder.glob('*.json')]
  assert len(texts) == 4
  assert not any(place in text for text in texts for place in ('/home/', '/root/', '/tmp/', '"~/'))


POOR_LIGHT = {
  'dark': lambda frame: 0.03 * frame,
  'fog': lambda frame: 190 + 0.08 * frame,
  'red': lambda frame: frame * (0.4, 0.02, 0.02),
}


@pytest.fixture(scope='module')
def portrait():
  """Frames of the embedded clip, their masks, and who made them."""
  extract_from = FaceMaskExtractor()
  frames = [frame for frame, _ in zip(clip.frames(), range(10))]
  return frames, [masks.labels for masks in extract_from(frames)], extract_from


@pytest.mark.skipif(not SHIPS, reason='no networks ship with this copy')
@pytest.mark.parametrize('light', POOR_LIGHT)
def test_masks_hold_in_poor_light(light, portrait):
  frames, in_fair_light, extract_from = portrait
  dim = [np.rint(POOR_LIGHT[light](frame)).astype(np.uint8) for frame in frames]
  for masks, expected in zip(extract_from(dim), in_fair_light, strict=True):
    assert drawn_scenes.iou(masks.labels > 0, expected > 0) > 0.85
    for class_id in (2, 3):  # Eyes and lips.
      assert drawn_scenes.iou(masks.labels == class_id, expected == class_id) > 0.5
