"""The processes of one run, their devices, and how they keep memory."""

import ctypes
import os
import sys

import jax

# Variables of the environment by which the user says how memory is allocated.
_ALLOCATION = ('MALLOC_', 'GLIBC_TUNABLES', 'LD_PRELOAD')
# Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8


def connect(
  coordinator: str | None = None, process_count: int | None = None, process_id: int | None = None
) -> None:
  """Joins the processes of one run; does nothing for a single process.

  What is not given is taken from the environment: JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and
  JAX_PROCESS_ID. Call it before anything touches a device.

  Args:
    coordinator: host:port of process 0, the same for all.
    process_count: How many processes there are.
    process_id: Which of them this is, from 0.

  Raises:
    ValueError: only a part of the three is given.
  """
  environment = os.environ
  coordinator = coordinator or environment.get('JAX_COORDINATOR_ADDRESS')
  if process_count is None and 'JAX_NUM_PROCESSES' in environment:
    process_count = int(environment['JAX_NUM_PROCESSES'])
  if process_id is None and 'JAX_PROCESS_ID' in environment:
    process_id = int(environment['JAX_PROCESS_ID'])
  given = [value is not None for value in (coordinator, process_count, process_id)]
  if not any(given):
    return
  if not all(given):
    raise ValueError(
      'Several processes need all of --coordinator, --process_count and --process_id '
      '(or JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID).'
    )
  jax.config.update('jax_cpu_collectives_implementation', 'gloo')
  jax.distributed.initialize(coordinator, process_count, process_id)


def keep_memory() -> None:
  """Has the C library keep the memory that is freed, for XLA on a CPU asks for it in each step.

  Else the kernel takes back a step's temporaries and hands out others, page by page and filled with
  zeros, which takes a fifth of the time of training. One arena serves all threads, since only that
  of the first one can grow as large. It is glibc's to do so; elsewhere, or if the environment says
  how to allocate (MALLOC_..., GLIBC_TUNABLES, another library by LD_PRELOAD), nothing changes. Call
  it before anything touches a device.
  """
  if sys.platform != 'linux' or any(name.startswith(_ALLOCATION) for name in os.environ):
    return
  library = ctypes.CDLL(None)
  if hasattr(library, 'mallopt'):
    library.mallopt(_M_MMAP_MAX, 0)
    library.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
    library.mallopt(_M_ARENA_MAX, 1)


def is_first_process() -> bool:
  """Whether this process is the one that writes and tells."""
  # Alone it is so without a look at the devices, which other processes may be meant to have.
  return not jax.distributed.is_initialized() or jax.process_index() == 0
