"""What `run.py` and the command `fmx` have in common: what is said, and how they end."""

import errno
import logging
import pathlib
import sys
import types
from typing import Self

from absl import logging as absl_logging

from fmx.stopping import Stopped

INTERRUPTED = 130  # The exit status after Ctrl-C, as shells count.


class Ending:
  """A context that turns the errors that a person can do something about into one sentence each.

  Attributes:
    status: What `sys.exit` takes, after the context.
  """

  def __init__(self, workdir: pathlib.Path, *, traceback: bool):
    """Says where the work is done, and whether errors are let through."""
    self.status: int | str = 0
    self._workdir, self._traceback = workdir, traceback

  def __enter__(self) -> Self:
    absl_logging.set_verbosity(absl_logging.ERROR)  # Libraries: only what is wrong.
    return self

  def __exit__(
    self,
    kind: type[BaseException] | None,
    error: BaseException | None,
    trace: types.TracebackType | None,
  ) -> bool:
    """Whether the error is told by `status`, and so need go no further."""
    match error:
      case Stopped():
        print(error, file=sys.stderr)
        self.status = error.status
      case KeyboardInterrupt():
        self.status = INTERRUPTED
      case ValueError() | OSError() if not self._traceback:
        self.status = f'error: {error}'
        if getattr(error, 'errno', None) == errno.ENOSPC:  # Says neither where nor what to do.
          self.status = (
            f'error: the disk of {self._workdir} is full: make room, then run the same command '
            'again.'
          )
      case _:
        return False
    return True


def talk(level: int) -> None:
  """Lets fmx say what is of that level."""
  logger, handler = logging.getLogger('fmx'), logging.StreamHandler()
  handler.setFormatter(logging.Formatter('%(message)s'))
  logger.addHandler(handler)
  logger.setLevel(level)
  logger.propagate = False
