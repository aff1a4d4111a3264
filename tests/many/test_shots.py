"""A long video in shots gives what it gives in one piece."""

import json

import av
import many_workers
import numpy as np
import pytest
import small_extractions
from drawn_scenes import HEIGHT, WIDTH, ColorPredictor, Oracle, Video, models
from PIL import Image
from small_extractions import ALL, config, write_video

from fmx import FaceMaskExtractor
from fmx.extraction import job, loop
from fmx.labelling import extractor as module
from fmx.many import worker
from fmx.many.worker import Cut, Done, Piece, Worker
from tfds_300vw import video as videos

SHOT_FRAMES = 6
WALLS = [(30, 30, 30), (210, 190, 40), (40, 90, 220), (90, 220, 90)]


@pytest.fixture(autouse=True)
def _small(monkeypatch):
  monkeypatch.setattr(module, 'Predictor', ColorPredictor)
  monkeypatch.setattr(loop, 'PART_FRAMES', small_extractions.PART_FRAMES)


def scenes(*lengths):
  """Shots of people who move; in the second there is nobody, in the third two leave one alone."""
  video = Video()
  rng = np.random.default_rng(5)
  for number, length in enumerate(lengths):
    blocks = rng.integers(-25, 26, (HEIGHT // 30, WIDTH // 30, 1)).repeat(30, 0).repeat(30, 1)
    wall = np.clip(np.array(WALLS[number]) + blocks, 0, 255)
    for i in range(length):
      people = {'Ann': (70 + i, 75, 50), 'Bob': (170 - i, 80 + i / 3, 56)}
      if number == 1:
        people = {}
      elif number == 2 and i > 8:
        people.pop('Ann')
      video.add(people, wall)
  return video


def stored(video, folder):
  """The frames as pictures, so that they stay as they are."""
  folder.mkdir()
  for i, frame in enumerate(video.frames):
    Image.fromarray(frame).save(folder / f'{i:03d}.png')
  return folder


def in_shots(made, path, folder, least=SHOT_FRAMES):
  """Extracts the shots from behind, each by a worker of its own; gives their first frames."""
  task = worker.Video(str(path), str(folder))
  cut = Worker(made, least).begin(task)
  assert isinstance(cut, Cut), cut
  for shot in reversed(cut.shots):
    answer = Worker(made, least).shot(task, shot)
    assert isinstance(answer, Piece), answer
  done = Worker(made, least).join(task, cut.shots)
  assert isinstance(done, Done), done
  return [shot.start for shot in cut.shots]


def summary_of(folder):
  summary = json.loads((folder / 'summary.json').read_text())
  return summary.pop('totals'), summary


@pytest.mark.parametrize('masks', ['png', 'video'])
def test_the_masks_of_shots_are_those_of_the_whole_to_the_bit(tmp_path, monkeypatch, masks):
  video = scenes(23, 9, 17, 14)
  path = stored(video, tmp_path / 'frames')
  monkeypatch.setitem(
    job.METHODS,
    'network',
    lambda config: FaceMaskExtractor(models(), finder=Oracle(video), max_faces=2, engine='xla'),
  )
  options = {'outputs': ALL, 'max_faces': 2, 'masks': masks}
  made = config(path, tmp_path, **{f'extraction__{name}': value for name, value in options.items()})
  job.run(made, tmp_path / 'whole')
  assert in_shots(made, path, tmp_path / 'shots') == [0, 23, 32, 49]
  totals, summary = summary_of(tmp_path / 'shots')
  of_whole, whole = summary_of(tmp_path / 'whole')
  assert whole['frames'] == summary['frames']
  # Nobody in the second shot; then ids go on.
  assert set(of_whole['frames_by_face']) == {'1', '2', '3', '4', '5', '6'}
  quality, expected = totals.pop('temporal_quality'), of_whole.pop('temporal_quality')
  assert totals == of_whole
  assert quality.pop('iou') == pytest.approx(expected.pop('iou'))
  assert quality == pytest.approx(expected)
  names = sorted(p.relative_to(tmp_path / 'whole') for p in (tmp_path / 'whole').rglob('*'))
  assert names == sorted(p.relative_to(tmp_path / 'shots') for p in (tmp_path / 'shots').rglob('*'))
  for name in names:
    ours, theirs = tmp_path / 'shots' / name, tmp_path / 'whole' / name
    if name.suffix in ('.mkv', '.webm'):
      assert_same_frames(ours, theirs)
    elif name.suffix in ('.png', '.csv') or name.name == 'coco.json':
      assert ours.read_bytes() == theirs.read_bytes(), name


def assert_same_frames(path, other):
  ours, theirs = (list(videos.read_frames(p)) for p in (path, other))
  assert [f.time for f in ours] == [f.time for f in theirs]
  if path.suffix == '.mkv':
    np.testing.assert_array_equal([f.image for f in ours], [f.image for f in theirs])


def test_shots_of_a_video_keep_its_sound_and_the_time_of_each_frame(tmp_path, monkeypatch):
  monkeypatch.setitem(job.METHODS, 'network', lambda config: many_workers.extractor())
  images = scenes(22, 2, 12).frames  # The second is no longer than an encoder's delay.
  path = write_video(tmp_path / 'clip.mp4', images, sound='aac', beep=(0.2, 0.5))
  made = config(path, tmp_path)
  job.run(made, tmp_path / 'whole')
  assert in_shots(made, path, tmp_path / 'shots', least=2) == [0, 22, 24]
  for i in range(1, 37):
    name = f'masks/{i:06d}.png'
    assert (tmp_path / 'shots' / name).read_bytes() == (tmp_path / 'whole' / name).read_bytes()
  ours, theirs = packets(tmp_path / 'shots/overlay.mp4'), packets(tmp_path / 'whole/overlay.mp4')
  assert ours == theirs
  assert_same_frames(tmp_path / 'shots/overlay.mp4', tmp_path / 'whole/overlay.mp4')


def test_shots_that_lie_at_an_address_are_put_together_there(tmp_path, monkeypatch):
  fsspec = pytest.importorskip('fsspec', reason='needs fsspec')
  monkeypatch.setitem(job.METHODS, 'network', lambda config: many_workers.extractor())
  path = write_video(tmp_path / 'clip.mp4', scenes(12, 9).frames)
  job.run(config(path, tmp_path), tmp_path / 'whole')
  memory = fsspec.filesystem('memory')
  folder = 'memory:///shots/clip'
  stale = '/shots/clip/unfinished/shots/000000000-000000012/unfinished/parts/000001/state.pickle'
  memory.pipe(stale, b'of other options')
  assert in_shots(config(path, tmp_path), path, folder) == [0, 12]
  masks = sorted((tmp_path / 'whole/masks').iterdir())
  assert [memory.cat(f'/shots/clip/masks/{mask.name}') for mask in masks] == [
    mask.read_bytes() for mask in masks
  ]
  assert len(masks) == 21
  assert not [name for name in memory.find('/shots') if 'unfinished' in name]


def packets(path):
  """The times and bytes of the sound, and the times of the pictures."""
  with av.open(str(path)) as container:
    sound = [(p.pts, bytes(p)) for p in container.demux(audio=0)]
  with av.open(str(path)) as container:
    return sound, [f.pts * f.time_base for f in container.decode(video=0)]
