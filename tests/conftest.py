"""Four virtual CPU devices and quick compilation, before jax is imported anywhere; hypothesis.

What the tests compile is kept from one run to the next.
"""

import importlib.metadata
import os
import tempfile

from hypothesis import settings

os.environ.setdefault('JAX_PLATFORMS', 'cpu')
os.environ['XLA_FLAGS'] = (
  os.environ.get('XLA_FLAGS', '') + ' --xla_force_host_platform_device_count=4'
)
os.environ['JAX_DISABLE_MOST_OPTIMIZATIONS'] = '1'
if importlib.metadata.version('jaxlib').startswith('0.10.'):  # Later ones have no others.
  os.environ['XLA_FLAGS'] += ' --xla_cpu_use_fusion_emitters=false'  # They compile slowly.
# With JAX_PLATFORMS=cuda tests run on a GPU, which else would multiply with ten bits.
os.environ.setdefault('JAX_DEFAULT_MATMUL_PRECISION', 'highest')
# What is kept from one test to the next is not for the person who runs them.
_CACHE = tempfile.TemporaryDirectory(prefix='fmx-cache-')
os.environ['XDG_CACHE_HOME'] = _CACHE.name

# Machines that run tests are noisy: an example may take long without being wrong.
settings.register_profile('fmx', deadline=None)
settings.load_profile('fmx')


# Files that take a minute and more: begun first, so that no worker is left alone with one.
_LONGEST = ('test_run.py', 'test_ray.py', 'test_benchmark.py')


def pytest_collection_modifyitems(items):
  items.sort(key=lambda item: item.path.name not in _LONGEST)


def pytest_configure(config):
  if not config.pluginmanager.hasplugin('cacheprovider'):
    return
  import jax

  from fmx import caching

  # Only here, not in the processes that tests start: some of them are killed while they write.
  jax.config.update(
    'jax_compilation_cache_dir', str(config.cache.mkdir('compiled') / caching.processor())
  )
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)
  jax.config.update('jax_persistent_cache_min_entry_size_bytes', -1)
