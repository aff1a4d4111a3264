"""Many videos, one after another in this process; test_ray.py has them side by side."""

import csv
import os
import shutil
import signal
import sys

import pytest
import small_extractions
from small_extractions import FakeExtractor, pictures, write_video

from configs import extract_many
from fmx.extraction import job as extraction
from fmx.extraction import loop
from fmx.many import job, storage
from fmx.many import manifest as manifests
from fmx.stopping import Stopped


class Counted(FakeExtractor):
  """Counts its windows, and may be interrupted by a signal at one."""

  windows_done, signal_at = 0, None

  def windows(self, frames, state=None):
    for window in super().windows(frames, state):
      Counted.windows_done += 1
      if Counted.windows_done == Counted.signal_at:
        os.kill(os.getpid(), signal.SIGTERM)
      yield window


@pytest.fixture(autouse=True)
def fake(monkeypatch):
  monkeypatch.setitem(extraction.METHODS, 'network', lambda config: Counted())
  monkeypatch.setattr(loop, 'PART_FRAMES', small_extractions.PART_FRAMES)
  monkeypatch.setattr(Counted, 'windows_done', 0)
  monkeypatch.setattr(Counted, 'signal_at', None)


@pytest.fixture
def clips(tmp_path):
  """Three short videos, and in the midst of them one that is none."""
  folder = tmp_path / 'in'
  folder.mkdir()
  for name, count in (('a', 12), ('b', 17), ('d', 5)):
    write_video(folder / f'{name}.mp4', pictures(count))
  (folder / 'c.mp4').write_text('no video')
  return folder


def made(videos, tmp_path, **changes):
  config = extract_many.get_config()
  weights = tmp_path / 'weights'
  if not weights.exists():
    weights.mkdir()
    (weights / 'file').touch()
  config.videos, config.weights, config.many.pool = str(videos), str(weights), 'here'
  config.extraction.engine = 'xla'
  config.update_from_flattened_dict({n.replace('__', '.'): v for n, v in changes.items()})
  return config.lock()


def manifest(workdir):
  with open(workdir / 'manifest.csv', newline='') as file:
    return {os.path.basename(row['video']): row for row in csv.DictReader(file)}


def test_a_bad_video_is_listed_and_the_rest_is_as_alone(clips, tmp_path, capsys):
  job.run(made(clips, tmp_path), tmp_path / 'out')
  rows = manifest(tmp_path / 'out')
  assert {name: row['state'] for name, row in rows.items()} == {
    'a.mp4': 'done', 'b.mp4': 'done', 'c.mp4': 'failed', 'd.mp4': 'done'
  }  # fmt: skip
  assert rows['c.mp4']['reason'].startswith(f'{clips}/c.mp4: no')
  assert (rows['b.mp4']['frames'], rows['b.mp4']['good'], rows['b.mp4']['faces']) == (
    '17', '17', '1'
  )  # fmt: skip
  assert float(rows['b.mp4']['seconds']) > 0
  assert rows['b.mp4']['networks'].startswith(str(tmp_path / 'weights'))
  captured = capsys.readouterr()
  assert '3 videos are done, 1 failed' in captured.out
  assert 'video 4/4' in captured.err
  alone = small_extractions.config(clips / 'b.mp4', tmp_path)
  extraction.run(alone, tmp_path / 'alone')
  for path in (tmp_path / 'alone').rglob('*'):
    if path.is_file() and path.name not in ('summary.json', '.lock'):
      ours = tmp_path / 'out/b' / path.relative_to(tmp_path / 'alone')
      assert ours.read_bytes() == path.read_bytes(), path.name


def test_what_is_done_is_not_done_again_and_what_failed_is_tried_again(clips, tmp_path):
  job.run(made(clips, tmp_path), tmp_path / 'out')
  before = Counted.windows_done
  job.run(made(clips, tmp_path), tmp_path / 'out')
  assert Counted.windows_done == before > 0
  shutil.copy(clips / 'd.mp4', clips / 'c.mp4')
  shutil.copy(clips / 'd.mp4', clips / 'e.mp4')
  job.run(made(clips, tmp_path), tmp_path / 'out')
  assert Counted.windows_done == before + 2  # Of five frames each.
  assert {row['state'] for row in manifest(tmp_path / 'out').values()} == {'done'}
  # Also where the manifest is lost.
  (tmp_path / 'out/manifest.csv').unlink()
  job.run(made(clips, tmp_path), tmp_path / 'out')
  assert Counted.windows_done == before + 2
  assert manifest(tmp_path / 'out')['b.mp4']['frames'] == '17'


def test_a_run_that_is_asked_to_stop_keeps_what_is_done_and_goes_on(clips, tmp_path, monkeypatch):
  monkeypatch.setattr(Counted, 'signal_at', 6)  # Three windows are a's, four b's.
  with pytest.raises(Stopped) as stopped:
    job.run(made(clips, tmp_path), tmp_path / 'out')
  assert stopped.value.status == 143
  states = {name: row['state'] for name, row in manifest(tmp_path / 'out').items()}
  assert states == {'a.mp4': 'done', 'b.mp4': 'waiting', 'c.mp4': 'waiting', 'd.mp4': 'waiting'}
  monkeypatch.setattr(Counted, 'signal_at', None)
  Counted.windows_done = 0
  job.run(made(clips, tmp_path), tmp_path / 'out')
  assert Counted.windows_done <= 4 + 1
  assert manifest(tmp_path / 'out')['b.mp4']['frames'] == '17'


def test_videos_of_one_name_have_folders_of_their_own_and_keep_them(clips, tmp_path):
  (tmp_path / 'more').mkdir()
  shutil.copy(clips / 'd.mp4', tmp_path / 'more/a.mp4')
  videos = tmp_path / 'videos.txt'
  videos.write_text(f'# two\n{clips}/a.mp4\n{tmp_path}/more/a.mp4\n\n{clips}/a.mp4\n')
  rows = job.run(made(videos, tmp_path), tmp_path / 'out')
  assert [row.frames for row in rows] == ['12', '5']
  assert rows[0].folder == 'a' != rows[1].folder
  videos.write_text(f'{tmp_path}/more/a.mp4\n{clips}/a.mp4\n')
  again = job.run(made(videos, tmp_path), tmp_path / 'out')
  assert [row.folder for row in again] == [rows[1].folder, 'a']
  assert all((tmp_path / 'out' / row.folder / 'summary.json').exists() for row in rows)


def test_a_workdir_is_of_one_set_of_options(clips, tmp_path):
  job.run(made(clips / 'd.mp4', tmp_path), tmp_path / 'out')
  with pytest.raises(ValueError, match=r'extraction\.max_faces is 2, there 1'):
    job.run(made(clips, tmp_path, extraction__max_faces=2), tmp_path / 'out')
  assert list(manifest(tmp_path / 'out')) == ['d.mp4']


def test_a_video_that_has_changed_since_is_told_and_its_masks_stay(clips, tmp_path):
  job.run(made(clips / 'd.mp4', tmp_path), tmp_path / 'out')
  shutil.copy(clips / 'a.mp4', clips / 'd.mp4')
  (row,) = job.run(made(clips / 'd.mp4', tmp_path), tmp_path / 'out')
  assert row.state == 'failed'
  assert 'holds masks of another extraction: video.bytes is' in row.reason
  assert len(list((tmp_path / 'out/d/masks').iterdir())) == 5


def test_addresses_are_read_and_written_as_paths_are(clips, tmp_path):
  fsspec = pytest.importorskip('fsspec', reason='needs fsspec')
  memory = fsspec.filesystem('memory')
  memory.put(f'{clips}/', '/in', recursive=True)
  config = made('memory://in/*.mp4', tmp_path, many__out='memory://masks')
  rows = job.run(config, tmp_path / 'out')
  assert [(row.video, row.state) for row in rows] == [
    ('memory:///in/a.mp4', 'done'), ('memory:///in/b.mp4', 'done'),
    ('memory:///in/c.mp4', 'failed'), ('memory:///in/d.mp4', 'done'),
  ]  # fmt: skip
  assert rows[2].reason.startswith('memory:///in/c.mp4: no')
  job.run(made(clips / 'b.mp4', tmp_path), tmp_path / 'local')
  masks = sorted((tmp_path / 'local/b/masks').iterdir())
  assert [memory.cat(f'/masks/b/masks/{mask.name}') for mask in masks] == [
    mask.read_bytes() for mask in masks
  ]
  assert b'"path": "memory:///in/b.mp4"' in memory.cat('/masks/b/summary.json')
  assert not [name for name in memory.find('/masks') if 'unfinished' in name or '.lock' in name]
  done = Counted.windows_done
  (tmp_path / 'out/manifest.csv').unlink()  # What is there says itself that it is done.
  assert [row.state for row in job.run(config, tmp_path / 'out')] == [row.state for row in rows]
  assert Counted.windows_done == done


@pytest.mark.parametrize(
  ('changes', 'match'),
  [
    ({'many__tries': 0}, 'many.tries is 0; it must be 1 or more'),
    ({'many__workers': -1}, 'many.workers is -1; it must be 0 or more'),
    ({'videos': ''}, "videos is '': give a folder"),
    ({'videos': 'nowhere/*.mp4'}, r'nowhere/\*\.mp4: there is no video'),
    ({'many__pool': 'slurm'}, "many.pool is 'slurm'; it must be 'ray' or 'here'"),
    ({'many__cpus': 0}, 'many.cpus is 0; it must be 1 or more'),
    ({'many__shot_frames': 9}, 'many.shot_frames is 9; it must be 100 or more'),
    ({'extraction__box': (1, 2, 3, 4)}, 'extraction.box is of one video'),
  ],
)
def test_what_cannot_be_done_is_one_sentence(clips, tmp_path, changes, match):
  with pytest.raises(ValueError, match=match):
    job.run(made(changes.pop('videos', clips), tmp_path, **changes), tmp_path / 'out')
  assert not (tmp_path / 'out').exists()


def test_an_address_whose_library_is_not_here_says_which(monkeypatch):
  pytest.importorskip('fsspec', reason='needs fsspec')
  monkeypatch.setitem(sys.modules, 's3fs', None)
  with pytest.raises(ValueError, match=r's3:// needs a library .*: pip install s3fs, on every'):
    storage.listed('s3://bucket/*.mp4')
  with pytest.raises(ValueError, match='nosuch://x: fsspec cannot open that'):
    storage.listed('nosuch://x')
  monkeypatch.setitem(sys.modules, 'fsspec', None)
  with pytest.raises(ValueError, match='pip install fsspec'):
    storage.listed('memory://x')


def test_without_ray_one_sentence_says_so(clips, tmp_path, monkeypatch):
  monkeypatch.setattr(job.ray_pool.importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(ValueError, match=r"need Ray: pip install 'fmx\[cluster\]'"):
    job.run(made(clips, tmp_path, many__pool='ray'), tmp_path / 'out')


def test_the_manifest_takes_a_tenth_of_the_time_at_most(tmp_path, monkeypatch):
  now, written = [0.0], []

  def write(workdir, rows):
    now[0] += 2.0
    written.append([row.state for row in rows])

  monkeypatch.setattr(manifests, 'write', write)
  monkeypatch.setattr(manifests.time, 'monotonic', lambda: now[0])
  rows = {'a': manifests.Row('a', 'a')}
  table = manifests.Manifest(tmp_path, rows)
  table.changed()
  rows['a'].state = 'done'
  for seconds in (1, 10, 8):  # At 2, 3, 13 and 21: it was written from 0 to 2, and rests for 18.
    table.changed()
    now[0] += seconds
  assert written == [['waiting']]
  table.changed()
  assert written == [['waiting'], ['done']]
