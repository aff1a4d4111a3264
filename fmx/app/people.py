"""Who is at the page, and what is theirs: each browser has a secret of its own, and a folder."""

import pathlib
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable

from fmx.app.extraction import Extraction
from fmx.app.turns import Turns

MakeExtraction = Callable[[pathlib.Path, Turns], Extraction]


class Person:
  """One browser.

  Attributes:
    folder: With all files of this person.
    extraction: The last one; None if there is none.
    cameras: How many are on: 0 or 1.
  """

  def __init__(self, folder: pathlib.Path):
    """Takes an empty folder."""
    self.folder = folder
    self.extraction: Extraction | None = None
    self.cameras = 0
    self.last = time.monotonic()

  def is_away(self, seconds: float) -> bool:
    """Whether nothing was heard for so long."""
    return not self.cameras and time.monotonic() - self.last > seconds

  def drop_extraction(self) -> None:
    """Ends it, if there is one, and removes its files."""
    extraction, self.extraction = self.extraction, None
    if extraction is not None:
      extraction.remove()

  def remove(self) -> None:
    """Removes all that is theirs."""
    self.drop_extraction()
    shutil.rmtree(self.folder, ignore_errors=True)


class People:
  """All of them, by secret."""

  def __init__(self, folder: pathlib.Path | None, max_people: int, keep_seconds: float):
    """Makes a folder for all, which goes with `close`.

    Args:
      folder: Where to make it; None for the system's temporary folder.
      max_people: How many there may be.
      keep_seconds: After which the files of somebody go of whom nothing is heard.

    Raises:
      OSError: the folder cannot be written.
    """
    if folder is not None:
      folder.mkdir(parents=True, exist_ok=True)
    self._folder = pathlib.Path(tempfile.mkdtemp(prefix='fmx-app-', dir=folder))
    self._max_people, self._keep_seconds = max_people, keep_seconds
    self._people: dict[str, Person] = {}
    self._lock = threading.Lock()

  def known(self, secret: str | None) -> Person | None:
    """Whose secret it is; None if it is nobody's."""
    person = self._people.get(secret or '')
    if person is not None:
      person.last = time.monotonic()
    return person

  def welcome(self) -> str | None:
    """The secret of somebody new; None where there are too many already."""
    self.sweep()
    with self._lock:
      if len(self._people) >= self._max_people:
        return None
      secret = secrets.token_urlsafe(32)
      self._people[secret] = Person(pathlib.Path(tempfile.mkdtemp(dir=self._folder)))
      return secret

  def sweep(self) -> None:
    """Removes those who have been away for long."""
    with self._lock:
      away = [
        self._people.pop(secret)
        for secret, person in list(self._people.items())
        if person.is_away(self._keep_seconds)
      ]
    for person in away:
      person.remove()

  def close(self) -> None:
    """Removes everybody, and the folder."""
    with self._lock:
      people, self._people = list(self._people.values()), {}
    for person in people:
      person.remove()
    shutil.rmtree(self._folder, ignore_errors=True)
