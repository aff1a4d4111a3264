"""Files and folders that have their names are whole after the power went off, whenever it did."""

import contextlib
import json
import os
import pickle
import sys
from operator import attrgetter

import jax.numpy as jnp
import numpy as np
import pytest
import tiny_weights
from power_loss import EAGER, EXTREMES, LAZY, Disk

from configs import primary
from fmx import jobs, weights, workdir
from fmx.checkpoint import Checkpoints
from fmx.extraction import outputs
from fmx.labelling.frame_masks import FrameMasks
from fmx.summary import Summary
from tfds_300vw import face_mask, placing
from tfds_300vw.video_writer import VideoWriter

pytestmark = pytest.mark.skipif(sys.platform != 'linux', reason='looks into /proc')


@pytest.fixture
def root(tmp_path):
  (tmp_path / 'root').mkdir()
  return tmp_path / 'root'


@pytest.fixture
def disk(root, monkeypatch):
  """What the disk holds of the folder; a function, to be called when all is prepared."""
  made = []

  def begin():
    made.append(Disk(root, monkeypatch))
    return made[-1]

  yield begin
  for one in made:
    one.close()


def old_or_new(name, *contents):
  """A check that a file is one of these, None standing for its absence."""

  def check(disk):
    for extreme in EXTREMES:
      assert disk.left(extreme).get(name) in contents, extreme

  return check


def naive(path, content):
  """What most programs do."""
  partial = path.with_suffix('.partial')
  partial.write_bytes(content)
  os.replace(partial, path)


def test_the_simulation_finds_that_a_file_loses_its_content_or_its_name(disk, root):
  (root / 'a').write_bytes(b'old')
  found = disk()
  naive(root / 'a', b'new')
  assert found.left(EAGER) == {'a': b''}  # The name is there, what was written is not.
  assert found.left(LAZY) == {'a': b'old'}


def test_the_simulation_looks_at_every_moment(disk, root):
  (root / 'a').write_bytes(b'old')
  found = disk()
  found.at_every_moment(old_or_new('a', b'old', b'new'))
  with pytest.raises(AssertionError, match=EAGER):
    naive(root / 'a', b'new')


def test_content_that_is_synced_without_its_name_is_lost_too(disk, root):
  found = disk()
  with open(root / 'a', 'wb') as file:
    file.write(b'new')
    file.flush()
    os.fsync(file.fileno())
  assert found.left(LAZY) == {}
  placing.sync_name(root / 'a')
  assert found.left(LAZY) == {'a': b'new'}


@pytest.mark.parametrize('old', [None, b'old'])
@pytest.mark.parametrize('new', ['new \N{GREEK SMALL LETTER ALPHA}', b''])
def test_a_file_that_is_written_is_as_it_was_or_whole_and_stays(disk, root, old, new):
  if old is not None:
    (root / 'a').write_bytes(old)
  content = new.encode() if isinstance(new, str) else new
  found = disk()
  found.at_every_moment(old_or_new('a', old, content))
  placing.write(root / 'a', new)
  for extreme in EXTREMES:
    assert found.left(extreme) == {'a': content}


def test_a_write_that_fails_leaves_what_was_there(disk, root, monkeypatch):
  (root / 'a').write_bytes(b'old')
  found = disk()

  def refuse(*arguments):
    raise OSError('no room')

  monkeypatch.setattr(os, 'replace', refuse)
  with pytest.raises(OSError, match='no room'):
    placing.write(root / 'a', b'new')
  assert os.listdir(root) == ['a']
  assert found.left(LAZY) == {'a': b'old'}


def test_a_folder_has_all_its_files_when_it_has_its_name(disk, root):
  partial = root / 'unfinished/b'
  (partial / 'deeper').mkdir(parents=True)
  (partial / 'one').write_bytes(b'1')
  (partial / 'deeper/two').write_bytes(b'2')
  found = disk()
  found.at_every_moment(old_or_new('b/deeper/two', None, b'2'))
  (partial / 'deeper/three').write_bytes(b'3')
  placing.place(partial, root / 'b')
  expected = {'b/one': b'1', 'b/deeper/two': b'2', 'b/deeper/three': b'3'}
  for extreme in EXTREMES:
    assert expected.items() <= found.left(extreme).items()


def test_what_is_put_into_new_folders_is_found_again(disk, root):
  found = disk()
  placing.make_folder(root / 'a/b/c')
  placing.make_folder(root / 'a/b/c')
  placing.write(root / 'a/b/c/d', 'x')
  assert found.left(LAZY) == {'a/b/c/d': b'x'}


def test_file_systems_that_cannot_sync_folders_are_put_up_with(root, monkeypatch):
  real = os.fsync

  def only_files(descriptor):
    if os.path.isdir(f'/proc/self/fd/{descriptor}'):
      raise OSError(22, 'Invalid argument')
    real(descriptor)

  monkeypatch.setattr(os, 'fsync', only_files)
  placing.write(root / 'a', b'x')
  assert (root / 'a').read_bytes() == b'x'

  def none(descriptor):
    raise OSError(22, 'Invalid argument')

  monkeypatch.setattr(os, 'fsync', none)
  with pytest.raises(OSError, match='Invalid argument'):
    placing.write(root / 'a', b'y')
  assert (root / 'a').read_bytes() == b'x'


def test_results_and_the_configuration_of_a_run(disk, root):
  found = disk()
  workdir.claim(root / 'runs/one', primary.get_config())
  jobs.write_json(root / 'runs/one/results.json', {'miou': 0.5})
  for extreme in EXTREMES:
    left = found.left(extreme)
    assert json.loads(left['runs/one/results.json']) == {'miou': 0.5}
    assert json.loads(left['runs/one/config.json'])['seed'] == 0


def test_an_output_of_an_extraction(disk, root):
  found = disk()
  found.at_every_moment(old_or_new('out/coco.json', None, b'[]'))
  with workdir.finishing(root / 'out', 'coco.json') as path:
    path.write_text('[]')
  for extreme in EXTREMES:
    assert found.left(extreme)['out/coco.json'] == b'[]'


def test_an_extraction_goes_on_from_a_part_with_all_masks_of_it(disk, root, tmp_path):
  labels = np.ones((4, 5), np.uint8)
  parts = root / 'out/unfinished/parts'
  masks = outputs.PngMasks(root / 'out', 'masks', attrgetter('labels'), face_mask.COLORS)

  def timed(name):
    return contextlib.nullcontext()

  def check(disk):
    """Whichever parts are there, their state is whole and their masks are there too."""
    for extreme in EXTREMES:
      left = disk.left(extreme)
      folders = {name.split('/')[3] for name in left if name.endswith('/frames.jsonl')}
      numbers = [int(folder) for folder in folders if folder.isdecimal()]
      for number in numbers:
        assert left[f'out/unfinished/masks/{number}.png'].startswith(b'\x89PNG'), extreme
      if numbers:
        assert (
          pickle.loads(left[f'out/unfinished/parts/{max(numbers):06d}/state.pickle']) == 'state'
        )

  found = disk()
  found.at_every_moment(check)
  for number in (1, 2):
    writer = outputs.PartWriter(parts, number, {'masks': masks}, timed)
    writer.add(outputs.Labelled(str(number), None, FrameMasks(0, labels, labels, (), False)), {})
    writer.finish('state')
  for at, extreme in enumerate(EXTREMES):
    restored = found.restore(extreme, tmp_path / str(at)) / 'out/unfinished/parts'
    assert [part.stop for part in outputs.read_parts(restored)[0]] == [1, 2]
  found.at_every_moment(None)
  masks.finish([], None)
  for extreme in EXTREMES:
    assert {'out/masks/1.png', 'out/masks/2.png'} <= found.left(extreme).keys()


def test_a_video(disk, root):
  found = disk()
  with VideoWriter(root / 'a.mp4', 30) as writer:
    for level in (0, 200):
      writer.write(np.full((16, 16, 3), level, np.uint8))
  content = (root / 'a.mp4').read_bytes()
  assert len(content) > 100
  for extreme in EXTREMES:
    assert found.left(extreme) == {'a.mp4': content}


def test_weights_load_after_it(disk, root, tmp_path):
  found = disk()
  weights.save(root / 'run/weights', {'mouth': tiny_weights.model('mouth')})
  for number, extreme in enumerate(EXTREMES):
    restored = found.restore(extreme, tmp_path / str(number))
    assert list(weights.load(restored / 'run')) == ['mouth']


def test_lines_of_metrics_are_there_when_the_checkpoint_is(disk, root):
  found = disk()
  with Summary(root / 'run', from_step=0) as summary:
    summary.scalars(1, {'loss': 2.5})
    assert json.loads(found.left(LAZY)['run/metrics.jsonl']) == {'step': 1, 'loss': 2.5}


def test_checkpoints_restore_after_it_from_the_newest_that_was_saved(disk, root, tmp_path):
  example = {'w': jnp.zeros(3)}
  found = disk()
  checkpoints = Checkpoints(root / 'run/checkpoints')
  states = []

  def check(disk):
    """In the middle of the second save the first is still there to go on from."""
    if states:
      states.append(disk.left(LAZY))

  checkpoints.save(1, {'w': jnp.ones(3)}, {'miou': 0.5})
  states.append(found.left(LAZY))
  found.at_every_moment(check)
  checkpoints.save(2, {'w': 2 * jnp.ones(3)}, {'miou': 0.4})
  found.at_every_moment(None)
  assert len(states) > 5
  first = {name: content for name, content in states[0].items() if '/1/' in name}
  assert len(first) > 3
  assert all(first.items() <= state.items() for state in states)
  for number, extreme in enumerate(EXTREMES):
    restored = found.restore(extreme, tmp_path / str(number)) / 'run/checkpoints'
    step, tree = Checkpoints(restored).restore_latest(example)
    assert (step, tree['w'].tolist()) == (2, [2, 2, 2])
    assert Checkpoints(restored).best_step == 1
