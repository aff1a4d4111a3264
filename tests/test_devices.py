import os
import platform
import subprocess
import sys

import pytest

from fmx import devices

# Counts the pages that the kernel hands out while a thread asks ten times for 64 MB, as XLA does.
_ASKING = """
import ctypes, resource, sys, threading
from fmx import devices

if sys.argv[1] == 'keep':
  devices.keep_memory()
library = ctypes.CDLL(None)
library.malloc.restype = ctypes.c_void_p

def ask(times):
  for _ in range(times):
    address = library.malloc(2**26)
    ctypes.memset(address, 1, 2**26)
    library.free(ctypes.c_void_p(address))

def work():
  ask(1)
  before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
  ask(10)
  print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


def pages(how, **environment):
  run = subprocess.run(
    [sys.executable, '-c', _ASKING, how],
    env=os.environ | environment, capture_output=True, text=True, check=True,
  )  # fmt: skip
  return int(run.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='only glibc can be told')
def test_memory_that_is_freed_is_there_for_the_next_step():
  few = 100  # Even of huge pages 64 MB are 32.
  assert pages('keep') < few < pages('leave')
  assert pages('keep', MALLOC_ARENA_MAX='8') > few  # The user says how.


def test_elsewhere_nothing_is_told(monkeypatch):
  monkeypatch.setattr('sys.platform', 'win32')
  monkeypatch.setattr('ctypes.CDLL', lambda name: pytest.fail('there is no such library'))
  devices.keep_memory()
