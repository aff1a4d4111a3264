import struct
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image
from small_extractions import pictures, write_video

from fmx.extraction import sources
from tfds_300vw import video


def save(folder, names, images):
  folder.mkdir(exist_ok=True)
  for name, image in zip(names, images):
    Image.fromarray(image).save(folder / name)
  return folder


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
  path = tmp_path_factory.mktemp('clip') / 'clip.mkv'
  times = np.cumsum([0, *np.random.default_rng(1).integers(20, 90, 29)])
  return write_video(path, pictures(30), times=times, delays=(0.5, 0)), times / 1000


def test_a_video_gives_its_frames_from_any_on(clip):
  path, times = clip
  source = sources.open_source(path)
  whole = list(source.frames())
  assert [frame.index for frame in whole] == list(range(30))
  np.testing.assert_allclose([frame.time for frame in whole], times)
  for start in (1, 17, 29, 30):
    rest = list(source.frames(start))
    assert [frame.index for frame in rest] == list(range(start, 30))
    for frame, other in zip(rest, whole[start:]):
      np.testing.assert_array_equal(frame.image, other.image)


def test_a_video_says_what_it_is(clip):
  path, times = clip
  properties = sources.open_source(str(path)).properties
  assert (properties.kind, properties.codec, properties.num_frames) == ('video', 'h264', 30)
  assert (properties.height, properties.width, properties.rotation) == (48, 64, 0)
  assert properties.frame_rate == pytest.approx(29 / times[-1], rel=0.01)
  assert (properties.start, properties.clock) == (pytest.approx(0.5), 1000)
  assert properties.path == path
  assert sources.open_source(path).name(0) == '000001'


def test_frames_come_upright(tmp_path):
  path = write_video(tmp_path / 'clip.mp4', pictures(3))
  stored = [frame.image for frame in video.read_frames(path)]
  data = bytearray(path.read_bytes())
  at = data.index(b'tkhd') + 44  # The matrix of a quarter turn.
  data[at : at + 36] = struct.pack('>9i', 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
  path.write_bytes(data)
  source = sources.open_source(path)
  assert (source.properties.height, source.properties.width) == (64, 48)
  assert source.properties.rotation % 360 == 270
  for frame, image in zip(source.frames(), stored):
    np.testing.assert_array_equal(frame.image, np.rot90(image, -1))


def test_pixels_that_are_not_square_are_told_upright(tmp_path):
  path = tmp_path / 'clip.mp4'
  with video.VideoWriter(path, 25, pixel_aspect=Fraction(4, 3)) as writer:
    writer.write(pictures(1)[0])
  assert sources.open_source(path).properties.pixel_aspect == Fraction(4, 3)
  data = bytearray(path.read_bytes())
  at = data.index(b'tkhd') + 44
  data[at : at + 36] = struct.pack('>9i', 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
  path.write_bytes(data)
  assert sources.open_source(path).properties.pixel_aspect == Fraction(3, 4)


@pytest.mark.parametrize('start', [0, 3, 20])
def test_a_video_that_breaks_off_gives_the_same_frames_and_error_from_any_on(tmp_path, start):
  whole = write_video(tmp_path / 'whole.mkv', pictures(60))
  path = tmp_path / 'cut.mkv'
  path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
  expected = []
  with pytest.raises(video.VideoError):  # noqa: PT012
    for frame in video.read_frames(path):
      expected.append(frame)
  found = []
  with pytest.raises(video.VideoError, match=f'cut off at frame {len(expected)}'):  # noqa: PT012
    for frame in sources.open_source(path).frames(start):
      found.append(frame)
  assert len(expected) > 20
  assert [frame.index for frame in found] == list(range(start, len(expected)))


def test_pictures_come_in_the_order_of_their_numbers(tmp_path):
  images = pictures(12)
  names = [f'frame{i}.png' for i in range(11)] + ['Frame11.PNG']
  folder = save(tmp_path / 'frames', names, images)
  (folder / 'notes.txt').touch()
  (folder / '._frame3.png').write_bytes(b'what other systems leave')
  source = sources.open_source(folder)
  assert source.properties.num_frames == 12
  assert [source.name(i) for i in (0, 2, 10, 11)] == ['frame0', 'frame2', 'frame10', 'Frame11']
  frames = list(source.frames(2))
  assert [(frame.index, frame.time) for frame in frames] == [(i, i / 25) for i in range(2, 12)]
  for frame, image in zip(frames, images[2:]):
    np.testing.assert_array_equal(frame.image, image)


def test_where_names_are_not_unique_without_suffix_numbers_take_their_place(tmp_path):
  folder = save(tmp_path / 'frames', ['a.png', 'a.jpg', 'b.png'], pictures(3))
  source = sources.open_source(folder)
  assert [source.name(i) for i in range(3)] == ['000001', '000002', '000003']


def test_grey_transparent_and_turned_pictures_become_upright_rgb(tmp_path):
  image = pictures(1)[0]
  folder = tmp_path / 'frames'
  folder.mkdir()
  Image.fromarray(image).convert('L').save(folder / '1.png')
  Image.fromarray(image).convert('RGBA').save(folder / '2.png')
  exif = Image.Exif()
  exif[0x0112] = 6  # To be turned a quarter clockwise.
  Image.fromarray(np.ascontiguousarray(np.rot90(image))).save(
    folder / '3.jpg', exif=exif, quality=100
  )
  frames = list(sources.open_source(folder).frames())
  for frame in frames:
    assert (frame.image.shape, frame.image.dtype) == ((48, 64, 3), np.uint8)
    assert np.abs(frame.image - image.astype(int)).mean() < 2


def test_one_picture_is_a_video_of_one_frame(tmp_path):
  save(tmp_path, ['me.jpg', 'other.jpg'], pictures(2))
  source = sources.open_source(tmp_path / 'me.jpg')
  assert (source.properties.num_frames, source.name(0)) == (1, 'me')
  assert [frame.image.shape for frame in source.frames()] == [(48, 64, 3)]


def test_pictures_of_several_sizes_are_refused(tmp_path):
  folder = save(tmp_path / 'frames', ['1.png', '2.png'], [pictures(1)[0], pictures(1, 32, 64)[0]])
  with pytest.raises(ValueError, match=r'2\.png is 64x32 where 1\.png is 64x48'):
    sources.open_source(folder)


def test_a_damaged_picture_ends_the_video_before_it(tmp_path):
  folder = save(tmp_path / 'frames', ['1.png', '2.png', '3.png'], pictures(3))
  data = (folder / '2.png').read_bytes()
  (folder / '2.png').write_bytes(data[: len(data) // 2])
  frames = sources.open_source(folder).frames()
  assert next(frames).index == 0
  with pytest.raises(video.VideoError, match=r'2\.png cannot be read'):
    next(frames)


@pytest.mark.parametrize(
  ('name', 'match'),
  [
    ('', "video is ''"),
    ('none.mp4', r'none\.mp4: there is no such file'),
    ('empty', 'empty: no picture in this folder'),
    ('text.mp4', r'text\.mp4: not a video'),
    ('text.png', r'text\.png is no picture'),
  ],
)
def test_what_is_no_video_is_told(tmp_path, name, match):
  (tmp_path / 'empty').mkdir()
  for text in ('text.mp4', 'text.png'):
    (tmp_path / text).write_text('no video, but text')
  with pytest.raises((ValueError, OSError), match=match):
    sources.open_source(tmp_path / name if name else '')


def test_identity_changes_with_what_is_there(tmp_path):
  folder = save(tmp_path / 'frames', ['1.png', '2.png'], pictures(2))
  files = sorted(folder.iterdir())
  before = sources.identity(folder, files)
  assert before == sources.identity(folder, files)
  assert before['path'] == str(folder)
  assert before['files'] == 2
  assert sources.identity(folder, files[:1]) != before
  files[0].write_bytes(files[0].read_bytes() + b'more')
  assert sources.identity(folder, files)['bytes'] == before['bytes'] + 4
