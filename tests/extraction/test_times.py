"""Frames and sound keep their times."""

import av
import numpy as np
import pytest
from small_extractions import config, pictures, stamps, summary_of, write_video

from fmx.extraction import job
from tfds_300vw import video

pytestmark = pytest.mark.usefixtures('fake')


def heard(path):
  """When sound begins to be heard, seconds on the file's clock, and the codec."""
  with av.open(str(path)) as container:
    stream, resampler = container.streams.audio[0], av.AudioResampler('fltp', 'mono')
    for frame in (f for decoded in container.decode(stream) for f in resampler.resample(decoded)):
      loud = np.flatnonzero(np.abs(frame.to_ndarray()[0]) > 0.1)
      if loud.size:
        begin = float(frame.pts * frame.time_base) + loud[0] / frame.sample_rate
        return begin, stream.codec_context.codec.canonical_name
  raise AssertionError(f'Nothing is heard in {path}.')


def seen(path):
  """When the first bright frame is shown, seconds on the file's clock."""
  with av.open(str(path)) as container:
    for frame in container.decode(video=0):
      if frame.to_ndarray(format='rgb24').mean() > 150:
        return float(frame.pts * frame.time_base)
  raise AssertionError(f'Nothing flashes in {path}.')


@pytest.mark.parametrize(
  ('suffix', 'codec', 'delays', 'becomes'),
  [
    ('.mp4', 'aac', (0, 0), ('aac', 'copied')),
    ('.mp4', 'aac', (0.5, 0), ('aac', 'copied')),
    ('.mkv', 'aac', (0, 0.3), ('aac', 'copied')),
    ('.mkv', 'libopus', (0, 0), ('opus', 'copied')),
    ('.mkv', 'libmp3lame', (0.2, 0), ('mp3', 'copied')),
    ('.mkv', 'pcm_s16le', (0, 0.3), ('aac', 'encoded as AAC')),
    ('.avi', 'pcm_s16le', (0, 0), ('aac', 'encoded as AAC')),
    ('.mkv', 'libvorbis', (0.4, 0), ('aac', 'encoded as AAC')),
    ('.ts', 'aac', (0, 0.2), ('aac', 'copied')),
  ],
)
def test_the_sound_comes_along_in_step(tmp_path, suffix, codec, delays, becomes):
  if codec not in av.codecs_available:
    pytest.skip(f'this PyAV has no {codec}')
  # Frame 20 flashes at 0.8 s after the first; the beep is heard then too.
  images = pictures(40, flashes=range(20, 25))
  begin = 0.8 + delays[0] - delays[1]
  path = write_video(
    tmp_path / f'clip{suffix}', images, sound=codec, beep=(begin, begin + 0.2), delays=delays
  )
  given = heard(path)[0] - seen(path)
  assert abs(given) < 0.03
  job.run(config(path, tmp_path), tmp_path / 'out')
  made = tmp_path / 'out/overlay.mp4'
  at, kind = heard(made)
  assert (kind, summary_of(tmp_path / 'out')['video']['sound']) == becomes
  assert at - seen(made) == pytest.approx(given, abs=0.012)
  assert len(stamps(made)) == 40
  assert min(stamps(made)) == pytest.approx(max(delays[0] - delays[1], 0), abs=0.03)
  with av.open(str(path)) as source, av.open(str(made)) as container:
    assert container.duration == pytest.approx(source.duration, abs=100_000)  # Microseconds.


def test_frames_keep_their_times_where_the_rate_varies(tmp_path):
  rng = np.random.default_rng(0)
  times = np.cumsum([0, *rng.integers(20, 90, 39)])  # Milliseconds.
  images = pictures(40, flashes=range(20, 25))
  begin = times[20] / 1000
  path = write_video(
    tmp_path / 'clip.mkv',
    images,
    times=times,
    sound='aac',
    beep=(begin, begin + 0.2),
    delays=(0, 0),
  )
  job.run(config(path, tmp_path), tmp_path / 'out')
  made = tmp_path / 'out/overlay.mp4'
  np.testing.assert_allclose(stamps(made), times / 1000, atol=1e-6)
  assert heard(made)[0] - seen(made) == pytest.approx(0, abs=0.03)
  np.testing.assert_allclose(
    [frame['time'] for frame in summary_of(tmp_path / 'out')['frames']], times / 1000
  )


def test_an_even_rate_stays_even_in_spite_of_rounded_times(tmp_path):
  images = pictures(40)
  path = tmp_path / 'clip.mkv'  # Milliseconds: 0, 33, 67, 100 …
  video.write_video(path, images, 30)
  job.run(config(path, tmp_path), tmp_path / 'out')
  np.testing.assert_allclose(stamps(tmp_path / 'out/overlay.mp4'), np.arange(40) / 30, atol=1e-9)
  assert video.probe(tmp_path / 'out/overlay.mp4').frame_rate == 30
