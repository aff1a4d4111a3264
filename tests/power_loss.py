"""A disk that forgets: what of a folder is left if the power goes off at a moment.

Files and folders are real; beside them is kept what the disk would hold. It gets the content of a
file, or the names in a folder, when that is synced, and nothing else. Of the rest two extremes are
looked at, between which real file systems lie: that no change of a name got there by itself, and
that each one did, at once, while content did not.
"""

import os
import pathlib

LAZY, EAGER = 'no name by itself', 'every name by itself'
EXTREMES = (LAZY, EAGER)
_WATCHED = ('fsync', 'replace', 'rename', 'mkdir', 'rmdir', 'unlink', 'remove')


class Disk:
  """What the disk holds of a folder."""

  def __init__(self, root, monkeypatch):
    """Begins with all that is there; from now on every change of a name is a moment."""
    self._root, self._watch = pathlib.Path(root), None
    self._contents, self._names, self._open = {}, {}, []
    for folder, _, files in os.walk(self._root):
      for path in (folder, *(os.path.join(folder, name) for name in files)):
        descriptor = os.open(path, os.O_RDONLY)
        self._keep(descriptor)
        os.close(descriptor)
    for name in _WATCHED:
      monkeypatch.setattr(os, name, self._watched(name, getattr(os, name)))

  def close(self):
    """Lets go of the files that were kept open, so that no other gets the number of one."""
    for descriptor in self._open:
      os.close(descriptor)

  def at_every_moment(self, check):
    """Has a function called with this disk before and after each change of a name and each sync."""
    self._watch = check

  def left(self, extreme):
    """The content of each file that is left, by its path from the root."""
    found = {}

    def walk(folder, at):
      names = self._now(folder) if extreme == EAGER else self._names.get(folder, {})
      for name, (number, is_folder) in names.items():
        if is_folder:
          walk(number, at / name)
        else:
          found[str(at / name)] = self._contents.get(number, b'')

    walk(self._root.stat().st_ino, pathlib.Path())
    return found

  def restore(self, extreme, to):
    """Writes what is left somewhere else, as it is after the power is back."""
    for name, content in self.left(extreme).items():
      path = pathlib.Path(to) / name
      path.parent.mkdir(parents=True, exist_ok=True)
      path.write_bytes(content)
    return pathlib.Path(to)

  def _now(self, number):
    """The names in a folder as programs see them."""
    for folder, _, _ in os.walk(self._root):
      if os.stat(folder).st_ino == number:
        return _entries(folder)
    return {}

  def _keep(self, descriptor):
    status = os.fstat(descriptor)
    if os.path.isdir(f'/proc/self/fd/{descriptor}'):
      self._names[status.st_ino] = _entries(f'/proc/self/fd/{descriptor}')
    else:
      size = status.st_size
      self._contents[status.st_ino] = pathlib.Path(f'/proc/self/fd/{descriptor}').read_bytes()
      assert len(self._contents[status.st_ino]) == size
    self._open.append(os.dup(descriptor))

  def _watched(self, name, call):
    def watched(*arguments, **options):
      self._look()
      result = call(*arguments, **options)
      if name == 'fsync':
        self._keep(arguments[0] if isinstance(arguments[0], int) else arguments[0].fileno())
      self._look()
      return result

    return watched

  def _look(self):
    if self._watch is not None:
      watch, self._watch = self._watch, None  # Not of its own doing.
      watch(self)
      self._watch = watch


def _entries(folder):
  with os.scandir(folder) as entries:
    return {entry.name: (entry.inode(), entry.is_dir(follow_symlinks=False)) for entry in entries}
