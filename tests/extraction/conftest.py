"""A clip, and what an extraction of it makes, with a fake in place of the networks."""

import pytest
import small_extractions
from small_extractions import ALL, FakeExtractor, extracted, pictures, write_video

from fmx.extraction import job, loop


@pytest.fixture
def fake(monkeypatch):
  """A fake in place of the networks, and parts of a few windows."""
  monkeypatch.setitem(job.METHODS, 'network', lambda config: FakeExtractor())
  monkeypatch.setattr(loop, 'PART_FRAMES', small_extractions.PART_FRAMES)


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
  """A video of 33 frames with sound: three parts and a bit, the last window not whole."""
  path = tmp_path_factory.mktemp('clip') / 'clip.mp4'
  return write_video(path, pictures(33), sound='aac', beep=(0.4, 0.6))


@pytest.fixture(scope='module')
def uninterrupted(clip, tmp_path_factory):
  """What comes out where nothing disturbs."""
  return extracted(clip, tmp_path_factory.mktemp('uninterrupted'))


@pytest.fixture(scope='module')
def everything(clip, tmp_path_factory):
  """The same with all outputs that there are."""
  return extracted(clip, tmp_path_factory.mktemp('everything'), extraction__outputs=ALL)
