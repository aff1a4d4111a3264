import json
import logging
import math
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fmx import checkpoint, tree_io
from fmx.checkpoint import Checkpoints

ROOT = Path(checkpoint.__file__).parents[1]
Pair = namedtuple('Pair', ['left', 'right'])


@flax.struct.dataclass
class State:
  step: jax.Array
  params: dict
  opt_state: optax.OptState
  rng: jax.Array


def state(step, width=3):
  params = {'conv1': {'kernel': jnp.full((500, width), step / 7), 'bias.b': jnp.ones(width)}}
  return State(
    step=jnp.int32(step),
    params=params,
    opt_state=optax.adam(1e-3).init(params),
    rng=jax.random.key(step),
  )


def bits(tree):
  """Paths, types, dtypes and bytes of all leaves."""
  found = []
  for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
      leaf = jax.random.key_data(leaf)
    array = np.asarray(leaf)
    kind = 'jax' if isinstance(leaf, jax.Array) else type(leaf).__name__
    found.append((jax.tree_util.keystr(path), kind, array.dtype, array.shape, array.tobytes()))
  return found


def files(directory):
  return [path for path in directory.rglob('*') if path.is_file()]


def values_file(step_directory):
  """The file with the most values: the largest."""
  return max(files(step_directory), key=lambda path: path.stat().st_size)


def names(directory):
  return sorted(path.name for path in directory.iterdir())


def test_every_dtype_and_container_comes_back_bit_for_bit(tmp_path):
  strange = np.array([0x7FC00001, 0xFF800000, 0x80000000, 1], np.uint32).view(np.float32)
  tree = {
    'float32 NaN with a payload, -inf, -0, subnormal': strange,
    'bfloat16': jnp.arange(5, dtype=jnp.bfloat16) / 3,
    'int32': jnp.array([-(2**31), 2**31 - 1]),
    'scalar': jnp.float32(0.1),
    'bool': np.array(True),
    'numpy scalar': np.float64(1) / 3,
    'int64': np.array([[2**62]]),
    'empty': jnp.zeros((0, 3), jnp.bfloat16),
    'numbers': [3, 0.1, False, None],
    'transposed': np.arange(6).reshape(2, 3).T,
    'pair': Pair(np.uint8([1]), ()),
    'keys': jax.random.split(jax.random.key(1, impl='rbg'), 2),
    'raw key': jax.random.PRNGKey(5),
    # Names that dots or slashes make alike.
    'a.b': {'c': np.full(3, 1.0)},
    'a': {'b.c': np.full(3, 2.0), 'b/c': np.full(3, 3.0), 'b': {'c': np.full(3, 4.0)}},
  }
  Checkpoints(tmp_path).save(1, tree)
  step, restored = Checkpoints(tmp_path).restore_latest(tree)
  assert step == 1
  assert jax.tree.structure(restored) == jax.tree.structure(tree)
  assert bits(restored) == bits(tree)
  assert restored['keys'].dtype == tree['keys'].dtype


def test_an_abstract_example_gives_a_state_that_a_step_can_use(tmp_path):
  saved = state(5)
  Checkpoints(tmp_path).save(5, saved)
  like = jax.eval_shape(lambda: state(0))
  _, restored = Checkpoints(tmp_path).restore_latest(like)
  assert bits(restored) == bits(saved)
  assert jax.random.uniform(restored.rng) == jax.random.uniform(saved.rng)
  jax.jit(lambda tree: tree, donate_argnums=0)(restored)


def test_the_newest_two_and_the_best_are_kept(tmp_path):
  checkpoints = Checkpoints(tmp_path)
  for step, miou in enumerate([0.1, 0.9, 0.2, 0.3, 0.4], start=1):
    checkpoints.save(step, state(step), {'miou': miou, 'loss': np.float32(step)})
  # Newest two: 4 and 5. Best: 2.
  for opened in (checkpoints, Checkpoints(tmp_path)):
    assert opened.steps == [2, 4, 5]
    assert (opened.latest_step, opened.best_step) == (5, 2)
    assert opened.metrics(2) == {'miou': 0.9, 'loss': 2.0}
    step, tree, metrics = opened.restore_best(state(0))
    assert (step, metrics['miou']) == (2, 0.9)
    assert bits(tree) == bits(state(2))
  assert names(tmp_path) == ['2', '4', '5']


def test_the_last_is_the_newest_that_was_measured(tmp_path):
  checkpoints = Checkpoints(tmp_path)
  with pytest.raises(FileNotFoundError, match="No checkpoint with 'miou'"):
    checkpoints.restore_last(state(0))
  for step, miou in enumerate([0.9, 0.2], start=1):
    checkpoints.save(step, state(step), {'miou': miou})
  checkpoints.save(3, state(3))  # Stopped amid an epoch.
  step, tree, metrics = checkpoints.restore_last(state(0))
  assert (step, metrics) == (2, {'miou': 0.2})
  assert bits(tree) == bits(state(2))


def test_a_better_one_takes_the_place_of_the_best(tmp_path):
  checkpoints = Checkpoints(tmp_path, keep=1)
  for step, miou in enumerate([0.1, 0.5, 0.4, 0.5, 0.3], start=1):
    checkpoints.save(step, state(step), {'miou': miou})
  assert checkpoints.steps == [4, 5]  # Of equals the later.
  assert checkpoints.best_step == 4


def test_without_a_metric_or_with_nan_a_checkpoint_is_never_the_best(tmp_path):
  checkpoints = Checkpoints(tmp_path)
  checkpoints.save(1, state(1), {'miou': math.nan, 'loss': 0.5})
  assert checkpoints.best_step is None
  assert math.isnan(checkpoints.metrics(1)['miou'])
  checkpoints.save(2, state(2))
  assert checkpoints.metrics(2) == {}
  with pytest.raises(FileNotFoundError, match="No checkpoint with 'miou' in .*; train there first"):
    checkpoints.restore_best(state(0))
  checkpoints.save(3, state(3), {'miou': 0.0})
  checkpoints.save(4, state(4), {'miou': math.nan})
  checkpoints.save(5, state(5))
  checkpoints.save(6, state(6), {'loss': 1.0})
  assert Checkpoints(tmp_path).best_step == 3
  assert checkpoints.steps == [3, 5, 6]


@pytest.mark.parametrize('mious', [(0.1, math.nan, 0.9), (0.9, math.nan, 0.1)])
def test_nan_among_the_metrics_does_not_hide_the_best(tmp_path, mious):
  checkpoints = Checkpoints(tmp_path, keep=3)
  for step, miou in enumerate(mious):
    checkpoints.save(step, {'w': np.ones(1)}, {'miou': miou})
  assert checkpoints.best_step == mious.index(0.9)


def test_saving_the_newest_step_again_replaces_it(tmp_path):
  checkpoints = Checkpoints(tmp_path)
  checkpoints.save(1, state(1), {'miou': 0.9})
  checkpoints.save(2, state(2))  # On a signal, before validation.
  checkpoints.save(2, state(20), {'miou': 0.95})
  assert checkpoints.best_step == 2
  assert bits(checkpoints.restore_latest(state(0))[1]) == bits(state(20))
  assert names(tmp_path) == ['1', '2']


def test_saving_an_older_step_is_refused(tmp_path):
  checkpoints = Checkpoints(tmp_path)
  checkpoints.save(7, state(7))
  with pytest.raises(ValueError, match='Step 6 comes before the newest checkpoint, 7'):
    checkpoints.save(6, state(6))


def test_without_checkpoints_there_is_nothing_to_restore(tmp_path):
  (tmp_path / 'notes.txt').write_text('No checkpoint.')
  (tmp_path / 'pictures').mkdir()
  for directory in (tmp_path, tmp_path / 'new'):
    checkpoints = Checkpoints(directory, read_only=True)
    assert checkpoints.restore_latest(state(0)) is None
    assert (checkpoints.latest_step, checkpoints.best_step) == (None, None)
    with pytest.raises(FileNotFoundError, match='No checkpoint'):
      checkpoints.restore_best(state(0))
  assert not (tmp_path / 'new').exists()


def test_another_shape_name_or_dtype_is_named(tmp_path):
  checkpoints = Checkpoints(tmp_path)
  checkpoints.save(1, state(1), {'miou': 0.5})
  shape = r'params/conv1/bias.b is float32 \(3,\) in checkpoint .*/1 and float32 \(4,\) in this run'
  for restore in (checkpoints.restore_latest, checkpoints.restore_best):
    with pytest.raises(ValueError, match=shape):
      restore(state(0, width=4))
  other = state(0).replace(step=jnp.float32(0))
  with pytest.raises(ValueError, match=r'step is int32 \(\) in .* and float32 \(\) in this run'):
    checkpoints.restore_latest(other)
  with pytest.raises(ValueError, match='has no params/conv2: '):
    checkpoints.restore_latest(state(0).replace(params={'conv1': {}, 'conv2': np.ones(1)}))
  fewer = state(0).replace(params={'conv1': {'bias.b': jnp.ones(3)}})
  with pytest.raises(ValueError, match='has params/conv1/kernel, which this run lacks'):
    checkpoints.restore_latest(fewer)
  assert checkpoints.steps == [1]  # None of this is damage.


@pytest.mark.parametrize('leaf', ['text', object(), np.array(['text'])])
def test_what_is_no_number_is_refused_by_name(tmp_path, leaf):
  with pytest.raises(TypeError, match='params/name is '):
    Checkpoints(tmp_path).save(1, {'params': {'name': leaf}})
  assert names(tmp_path) == []


def flip_a_bit(step_directory):
  kernel = np.asarray(state(2).params['conv1']['kernel']).tobytes()
  # How the arrays share files depends on when each was ready: it need not be the largest file.
  (path,) = [path for path in files(step_directory) if kernel in path.read_bytes()]
  data = bytearray(path.read_bytes())
  data[data.index(kernel)] ^= 1
  path.write_bytes(data)


def truncate(step_directory):
  path = values_file(step_directory)
  os.truncate(path, path.stat().st_size // 2)


def empty(step_directory):
  shutil.rmtree(step_directory)
  step_directory.mkdir()


def tear_metrics(step_directory):
  (step_directory / 'metrics' / 'metrics').write_text('{"mio')


def lose_values(step_directory):
  values_file(step_directory).unlink()


def tear_leaves(step_directory):
  os.truncate(step_directory / 'leaves' / 'metadata', 20)


@pytest.mark.parametrize(
  'damage', [flip_a_bit, truncate, empty, tear_metrics, lose_values, tear_leaves]
)
def test_a_damaged_newest_falls_back_with_a_warning_and_can_be_saved_again(
  tmp_path, caplog, damage
):
  checkpoints = Checkpoints(tmp_path)
  for step in (1, 2):
    checkpoints.save(step, state(step), {'miou': step / 10})
  damage(tmp_path / '2')
  with caplog.at_level(logging.WARNING, logger='fmx.checkpoint'):
    again = Checkpoints(tmp_path)
    step, tree = again.restore_latest(state(0))
  assert step == 1
  assert bits(tree) == bits(state(1))
  (warning,) = [record.getMessage() for record in caplog.records if record.name.startswith('fmx')]
  assert f'Checkpoint {tmp_path}/2 (now damaged-2) is damaged' in warning
  assert names(tmp_path) == ['1', 'damaged-2']
  again.save(2, state(2), {'miou': 0.2})
  assert Checkpoints(tmp_path).restore_latest(state(0))[0] == 2


def test_a_damaged_best_falls_back_to_the_next_best(tmp_path, caplog):
  checkpoints = Checkpoints(tmp_path, keep=3)
  for step, miou in ((1, 0.3), (2, 0.9), (3, 0.1)):
    checkpoints.save(step, state(step), {'miou': miou})
  truncate(tmp_path / '2')
  step, tree, metrics = Checkpoints(tmp_path, read_only=True).restore_best(state(0))
  assert (step, metrics) == (1, {'miou': 0.3})
  assert bits(tree) == bits(state(1))
  assert f'{tmp_path}/2 is damaged' in caplog.text
  assert names(tmp_path) == ['1', '2', '3']


def test_when_all_are_damaged_it_does_not_silently_start_again(tmp_path):
  checkpoints = Checkpoints(tmp_path)
  for step in (1, 2):
    checkpoints.save(step, state(step))
    truncate(tmp_path / str(step))
  with pytest.raises(OSError, match='No checkpoint in .* can be read'):
    checkpoints.restore_latest(state(0))


def test_read_only_changes_nothing(tmp_path):
  Checkpoints(tmp_path).save(1, state(1))
  truncate(tmp_path / '1')
  (tmp_path / f'2{tree_io.TEMPORARY}').mkdir()  # Another process is writing.
  before = names(tmp_path)
  reader = Checkpoints(tmp_path, read_only=True)
  with pytest.raises(OSError, match='can be read'):
    reader.restore_latest(state(0))
  with pytest.raises(ValueError, match='read-only'):
    reader.save(2, state(2))
  assert names(tmp_path) == before


def test_only_the_first_process_writes(tmp_path, monkeypatch):
  monkeypatch.setattr(jax, 'process_index', lambda: 1)
  Checkpoints(tmp_path / 'run').save(1, state(1))
  tree_io.save_tree(tmp_path / 'tree', state(1))
  assert names(tmp_path) == []


def test_too_little_space_is_said_before_anything_is_written(tmp_path, monkeypatch):
  checkpoints = Checkpoints(tmp_path)
  checkpoints.save(1, state(1))
  usage = shutil.disk_usage(tmp_path)._replace(free=2**19)
  monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage)
  expected = r'Checkpoint .*/2 cannot be written \(it needs 1.0 MiB, 0.5 MiB are free\)'
  with pytest.raises(OSError, match=expected):
    checkpoints.save(2, {'w': np.zeros(2**18, np.float32)})
  assert names(tmp_path) == ['1']


@pytest.mark.parametrize('step', [1, 2])
def test_a_write_that_fails_half_way_leaves_what_was_there(tmp_path, step):
  checkpoints = Checkpoints(tmp_path)
  checkpoints.save(1, state(1), {'miou': 0.5})
  limits = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, limits[1]))
  try:
    with pytest.raises(OSError, match=r'/\d cannot be written \(File too large\); '):
      checkpoints.save(step, {'w': np.zeros(2**20, np.float32)})
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
  assert names(tmp_path) == ['1']
  assert bits(checkpoints.restore_latest(state(0))[1]) == bits(state(1))
  checkpoints.save(2, state(2), {'miou': 0.25})
  assert (checkpoints.steps, checkpoints.best_step) == ([1, 2], 1)


def test_a_directory_that_cannot_be_made_is_one_sentence(tmp_path):
  (tmp_path / 'file').write_text('')
  with pytest.raises(OSError, match='Checkpoints cannot be kept in .*/file/run: Not a directory; '):
    Checkpoints(tmp_path / 'file' / 'run')


def test_a_kill_between_the_two_renames_of_a_replacement_loses_nothing(tmp_path):
  Checkpoints(tmp_path).save(1, state(1), {'miou': 0.5})
  (tmp_path / '1').rename(tmp_path / 'replaced-1')
  again = Checkpoints(tmp_path)
  assert (again.steps, again.best_step) == ([1], 1)
  shutil.copytree(tmp_path / '1', tmp_path / 'replaced-1')  # Killed after the second.
  assert Checkpoints(tmp_path).steps == [1]
  assert names(tmp_path) == ['1']


SAVE_FOR_EVER = """
import sys
import numpy as np
from fmx.checkpoint import Checkpoints
checkpoints = Checkpoints(sys.argv[1])
step = checkpoints.latest_step or 0
while True:
  step += 1
  for _ in range(2):
    checkpoints.save(step, {'w': np.full(200_000, step, np.float32)}, {'miou': step % 3})
    print(step, flush=True)
"""

SAVE_REPLICATED = """
import sys
import jax, jax.numpy as jnp
from fmx.checkpoint import Checkpoints
assert jax.device_count() == 1
Checkpoints(sys.argv[1]).save(4, {'w': jnp.arange(6.) / 7, 'rng': jax.random.key(3)})
"""


def start(program, directory, devices):
  flags = f'--xla_force_host_platform_device_count={devices}'
  environment = {**os.environ, 'XLA_FLAGS': flags, 'PYTHONPATH': str(ROOT)}
  command = [sys.executable, '-c', program, str(directory)]
  return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def test_after_kill_9_at_any_moment_the_last_finished_save_is_there(tmp_path):
  like = {'w': np.zeros(200_000, np.float32)}
  for wait in (0.0, 0.13):
    process = start(SAVE_FOR_EVER, tmp_path, devices=1)
    finished = [int(process.stdout.readline()) for _ in range(3)][-1]
    time.sleep(wait)
    process.send_signal(signal.SIGKILL)
    finished = max([finished, *map(int, process.stdout.read().split())])
    process.wait()
    checkpoints = Checkpoints(tmp_path)
    step, tree = checkpoints.restore_latest(like)
    assert step in (finished, finished + 1)
    np.testing.assert_array_equal(tree['w'], step)
    assert checkpoints.restore_best(like)[2]['miou'] == 2
    assert all(name.isdecimal() for name in names(tmp_path))


def test_another_number_of_devices_makes_no_difference(tmp_path):
  process = start(SAVE_REPLICATED, tmp_path / 'one', devices=1)
  assert len(jax.devices()) == 4
  tree = {'w': jnp.arange(6.0) / 7, 'rng': jax.random.key(3)}
  mesh = jax.make_mesh((4,), ('devices',))
  everywhere = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
  Checkpoints(tmp_path / 'four').save(4, jax.device_put(tree, everywhere))
  assert process.wait() == 0
  for directory in ('one', 'four'):
    _, restored = Checkpoints(tmp_path / directory).restore_latest(jax.device_put(tree, everywhere))
    assert bits(restored) == bits(tree)
    assert restored['w'].devices() == {jax.devices()[0]}
    assert not restored['w'].committed  # So that a step over all devices takes it.
  one, four = (tree_io.load_tree(tmp_path / name / '4') for name in ('one', 'four'))
  assert bits(one) == bits(four)


def test_a_tree_needs_no_example_to_be_loaded(tmp_path):
  tree_io.save_tree(tmp_path / 'weights', state(3))
  loaded = tree_io.load_tree(tmp_path / 'weights')
  assert sorted(loaded) == ['opt_state', 'params', 'rng', 'step']
  np.testing.assert_array_equal(loaded['params']['conv1']['bias.b'], np.ones(3, np.float32))
  np.testing.assert_array_equal(loaded['opt_state']['0']['count'], 0)
  np.testing.assert_array_equal(loaded['rng'], jax.random.key_data(jax.random.key(3)))
  assert all(type(leaf) is np.ndarray for leaf in jax.tree.leaves(loaded))
  with pytest.raises(FileExistsError, match='weights exists'):
    tree_io.save_tree(tmp_path / 'weights', state(3))
  with pytest.raises(FileNotFoundError, match='is no checkpoint'):
    tree_io.load_tree(tmp_path)
  truncate(tmp_path / 'weights')
  with pytest.raises(OSError, match='weights is damaged'):
    tree_io.load_tree(tmp_path / 'weights')


def test_metrics_are_valid_json(tmp_path):
  Checkpoints(tmp_path).save(1, state(1), {'miou': math.nan, 'loss': jnp.float32(2)})
  text = (tmp_path / '1' / 'metrics' / 'metrics').read_text()
  assert json.loads(text) == {'miou': None, 'loss': 2.0}
