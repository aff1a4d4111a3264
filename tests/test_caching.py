import os

import jax
import pytest

from fmx import caching


@pytest.fixture(autouse=True)
def options():
  """JAX's, which end as they began."""
  names = ('jax_compilation_cache_dir', 'jax_persistent_cache_min_compile_time_secs')
  before = {name: getattr(jax.config, name) for name in names}
  jax.config.update('jax_compilation_cache_dir', None)
  yield
  for name, value in before.items():
    jax.config.update(name, value)


def test_the_cache_is_where_the_user_keeps_such_things(tmp_path, monkeypatch):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
  assert caching.folder() == tmp_path / 'fmx'
  monkeypatch.delenv('XDG_CACHE_HOME')
  monkeypatch.setenv('HOME', str(tmp_path))
  monkeypatch.setattr('sys.platform', 'linux')
  assert caching.folder() == tmp_path / '.cache/fmx'
  monkeypatch.setattr('sys.platform', 'darwin')
  assert caching.folder() == tmp_path / 'Library/Caches/fmx'


def test_what_is_compiled_is_kept_in_a_folder_of_this_processor(tmp_path, monkeypatch):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
  caching.keep_compiled()
  first = jax.config.jax_compilation_cache_dir
  assert first == str(tmp_path / 'fmx/compiled' / caching.processor())
  jax.config.update('jax_compilation_cache_dir', None)
  monkeypatch.setattr('platform.machine', lambda: 'another')
  caching.keep_compiled()
  assert jax.config.jax_compilation_cache_dir != first


def test_a_folder_that_the_user_named_stays():
  jax.config.update('jax_compilation_cache_dir', '/somewhere')
  caching.keep_compiled()
  assert jax.config.jax_compilation_cache_dir == '/somewhere'


def test_a_folder_of_the_cache_does_not_grow_for_ever(tmp_path):
  folder = tmp_path / 'graphs'
  for number in range(4):
    caching.keep(b'content', folder / f'{number}.onnx', most=2)
    os.utime(folder / f'{number}.onnx', (number, number))
  (folder / 'other.json').touch()
  assert caching.kept(folder / '2.onnx') == b'content'  # Now it was used last.
  caching.keep(b'', folder / '4.onnx', most=2)
  assert sorted(path.name for path in folder.iterdir()) == ['2.onnx', '4.onnx', 'other.json']


def test_what_is_not_there_or_cannot_be_kept_is_no_error(tmp_path):
  (tmp_path / 'file').touch()
  path = tmp_path / 'file/graphs/1.onnx'
  caching.keep(b'content', path, most=2)
  assert caching.kept(path) is None


def test_other_code_is_told_from_this():
  assert caching.code('models') == caching.code('models')
  assert (
    len({caching.code('models'), caching.code('engines'), caching.code('models', 'engines')}) == 3
  )
