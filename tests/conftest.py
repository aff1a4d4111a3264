"""Four virtual CPU devices and quick compilation, before jax is imported anywhere; hypothesis."""

import os
import tempfile

from hypothesis import settings

os.environ.setdefault('JAX_PLATFORMS', 'cpu')
os.environ['XLA_FLAGS'] = (
  os.environ.get('XLA_FLAGS', '') + ' --xla_force_host_platform_device_count=4'
)
os.environ['JAX_DISABLE_MOST_OPTIMIZATIONS'] = '1'
# With JAX_PLATFORMS=cuda tests run on a GPU, which else would multiply with ten bits.
os.environ.setdefault('JAX_DEFAULT_MATMUL_PRECISION', 'highest')
# What is kept from one test to the next is not for the person who runs them.
_CACHE = tempfile.TemporaryDirectory(prefix='fmx-cache-')
os.environ['XDG_CACHE_HOME'] = _CACHE.name

# Machines that run tests are noisy: an example may take long without being wrong.
settings.register_profile('fmx', deadline=None)
settings.load_profile('fmx')
