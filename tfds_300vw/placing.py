"""Files and folders get their names when they are whole, and keep both through a loss of power.

A file system may keep a new name and lose what was written under it. So the content goes to the
disk first, then comes the name, then the folder that holds the name goes to the disk.
"""

import errno
import os
import pathlib

PARTIAL = '.partial'  # Behind the name of a file that is being written.


def write(path: pathlib.Path, content: str | bytes) -> None:
  """Writes a file, in place of one that may be there; when it returns, the disk has it.

  Args:
    path: In a folder that exists. At every moment it is as it was or whole.
    content: Text is encoded as UTF-8.

  Raises:
    OSError: it cannot be written; then what was there is there still.
  """
  # Not what another process writes there.
  partial = path.with_name(f'{path.name}.{os.getpid()}{PARTIAL}')
  try:
    partial.write_bytes(content.encode() if isinstance(content, str) else content)
    place(partial, path)
  except BaseException:
    partial.unlink(missing_ok=True)
    raise


def place(partial: pathlib.Path, path: pathlib.Path) -> None:
  """Gives a file or a folder that is whole its name; when it returns, the disk has both.

  Args:
    partial: Of the same file system.
    path: A file there is replaced, and so is an empty folder.

  Raises:
    OSError: the disk refuses, or a folder that is not empty is in the way.
  """
  sync(partial)
  os.replace(partial, path)
  sync_name(path)


def settle(path: pathlib.Path) -> None:
  """Returns when the disk holds a file or a folder that another library named, and its name."""
  sync(path)
  sync_name(path)


def sync(path: pathlib.Path) -> None:
  """Returns when the disk holds a file, or a folder with all that is in it; but not their names."""
  for folder, _, files in os.walk(path):
    for name in files:
      _fsync(os.path.join(folder, name))
    _fsync(folder)
  if not path.is_dir():
    _fsync(path)


def sync_name(path: pathlib.Path) -> None:
  """Returns when the disk holds the name of a file or a folder, or that there is none."""
  _fsync(path.parent)


def make_folder(path: pathlib.Path) -> None:
  """Makes a folder and those above it that are not there; when it returns, the disk has them."""
  missing = [folder for folder in (path, *path.parents) if not folder.exists()]
  path.mkdir(parents=True, exist_ok=True)
  for folder in reversed(missing):
    sync_name(folder)


def _fsync(path: str | os.PathLike) -> None:
  descriptor = os.open(path, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  except OSError as error:
    # Some network file systems cannot do that with folders, and need not.
    if error.errno not in (errno.EINVAL, errno.ENOTSUP) or not os.path.isdir(path):
      raise
  finally:
    os.close(descriptor)
