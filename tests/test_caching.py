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
