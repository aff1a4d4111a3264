"""Extractions that are killed, stopped, or meet an error or a full disk."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import threading

import pytest
import small_extractions
from PIL import Image
from small_extractions import (
  FakeExtractor,
  assert_same_result,
  config,
  names,
)

from fmx.extraction import job
from fmx.extraction.sources import VideoFile
from fmx.stopping import Stopped

ROOT = pathlib.Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures('fake')


def threads():
  """The names of those of an extraction."""
  names = (thread.name.partition('_')[0] for thread in threading.enumerate())
  return [name for name in names if name in ('decode', 'label')]


def test_an_extraction_that_is_killed_again_and_again_ends_the_same(clip, everything, tmp_path):
  # Each run is killed some changes of files later than the one before: in masks, at the end of
  # parts, while they are joined, and while what is unfinished is removed.
  command = [sys.executable, small_extractions.__file__, clip, tmp_path, tmp_path / 'out', '4']
  path = os.pathsep.join([str(ROOT), str(ROOT / 'tests')])
  done = subprocess.run(
    list(map(str, command)), env=os.environ | {'PYTHONPATH': path}, capture_output=True, text=True
  )
  assert done.returncode == 0, done.stderr
  status, parts = json.loads(done.stdout.splitlines()[-1])
  assert status == 0, done.stderr
  assert len(set(parts)) >= 4  # Out of 0 to 4 whole parts.
  assert_same_result(tmp_path / 'out', everything)


def test_an_extraction_that_is_asked_to_stop_goes_on_to_the_same(
  clip, uninterrupted, tmp_path, monkeypatch
):
  save = Image.Image.save

  def until_asked(self, path, *arguments, **options):
    save(self, path, *arguments, **options)
    if path.name == '000013.png':
      os.kill(os.getpid(), signal.SIGTERM)

  monkeypatch.setattr(Image.Image, 'save', until_asked)
  made = config(clip, tmp_path)
  with pytest.raises(Stopped, match=r'Stopped at frame 13; .* goes on from frame 10') as stopped:
    job.run(made, tmp_path / 'out')
  assert stopped.value.status == 128 + signal.SIGTERM
  assert threads() == []
  assert names(tmp_path / 'out') == ['extraction.json', 'unfinished']
  monkeypatch.setattr(Image.Image, 'save', save)
  job.run(made, tmp_path / 'out')
  assert_same_result(tmp_path / 'out', uninterrupted)


@pytest.mark.parametrize('stage', ['decode', 'label', 'write'])
def test_an_error_in_any_stage_ends_all_of_them_and_the_same_command_goes_on(
  clip, uninterrupted, tmp_path, stage
):
  def until(items, number):
    for i, item in enumerate(items):
      if i == number:
        raise OSError(f'cannot {stage} any more')
      yield item

  def broken(windows):
    return lambda self, frames, state=None: until(windows(self, frames, state), 4)

  frames, save, windows = VideoFile.frames, Image.Image.save, FakeExtractor.windows
  places = iter(until(range(100), 23))
  made = config(clip, tmp_path)
  with pytest.MonkeyPatch.context() as patch:
    if stage == 'decode':
      patch.setattr(VideoFile, 'frames', lambda self, start: until(frames(self, start), 23))
    elif stage == 'label':
      patch.setattr(FakeExtractor, 'windows', broken(windows))
    else:
      patch.setattr(Image.Image, 'save', lambda *args, **how: (next(places), save(*args, **how)))
    with pytest.raises(OSError, match=f'cannot {stage} any more'):
      job.run(made, tmp_path / 'out')
  assert threads() == []
  whole = names(tmp_path / 'out/unfinished/parts')
  assert whole == ['000001', '000002'][: 2 if stage == 'write' else 1]
  job.run(made, tmp_path / 'out')
  assert_same_result(tmp_path / 'out', uninterrupted)


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_comes_while_faces_are_labelled_is_answered_too(
  clip, uninterrupted, tmp_path, monkeypatch, number
):
  class Interrupted(FakeExtractor):
    def windows(self, frames, state=None):
      for window, after in super().windows(frames, state):
        if after.next_index == 20:
          os.kill(os.getpid(), number)
        yield window, after

  monkeypatch.setitem(job.METHODS, 'network', lambda config: Interrupted())
  made = config(clip, tmp_path)
  # The thread that writes may be at any frame that was labelled before.
  with pytest.raises(Stopped, match=r'goes on from frame 1?0\.') as stopped:
    job.run(made, tmp_path / 'out')
  assert stopped.value.status == 128 + number
  assert threads() == []
  monkeypatch.setitem(job.METHODS, 'network', lambda config: FakeExtractor())
  job.run(made, tmp_path / 'out')
  assert_same_result(tmp_path / 'out', uninterrupted)


def test_a_full_disk_is_told_and_the_same_command_goes_on(
  clip, uninterrupted, tmp_path, monkeypatch
):
  save, saved = Image.Image.save, []

  def until_full(self, path, *arguments, **options):
    saved.append(path)
    if len(saved) == 18:
      raise OSError(28, 'No space left on device')
    return save(self, path, *arguments, **options)

  monkeypatch.setattr(Image.Image, 'save', until_full)
  made = config(clip, tmp_path)
  with pytest.raises(OSError, match='No space left'):
    job.run(made, tmp_path / 'out')
  job.run(made, tmp_path / 'out')
  assert len(saved) == 18 + 33 - 10  # The first part was whole.
  assert_same_result(tmp_path / 'out', uninterrupted)
