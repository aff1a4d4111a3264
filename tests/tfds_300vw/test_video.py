import io
import itertools
import os
import pathlib
import struct
import wave
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageOps

from tfds_300vw import video, video_packets

HEIGHT, WIDTH, NUM_FRAMES, RATE = 48, 64, 40, 25
X264 = 'keyint=10:min-keyint=4:bframes=3:b-pyramid=normal:scenecut=0'
# Name: codec, pixel format, options.
CODECS = {
  'h264': ('libx264', 'yuv420p', {'x264-params': X264}),
  'open_gop': ('libx264', 'yuv420p', {'x264-params': X264 + ':open-gop=1'}),
  'refresh': ('libx264', 'yuv420p', {'x264-params': 'keyint=10:intra-refresh=1:bframes=0'}),
  'hevc': ('libx265', 'yuv420p', {'x265-params': 'keyint=10:bframes=3:log-level=none'}),
  'mpeg4': ('mpeg4', 'yuv420p', {'bf': '2', 'g': '10'}),
  'no_b': ('mpeg4', 'yuv420p', {'bf': '0', 'g': '10'}),
  'mjpeg': ('mjpeg', 'yuvj420p', {}),
  'vp8': ('libvpx', 'yuv420p', {'g': '10', 'lag-in-frames': '16', 'auto-alt-ref': '1'}),
  'vp9': ('libvpx-vp9', 'yuv420p', {'g': '10', 'lag-in-frames': '16', 'cpu-used': '8'}),
}
KINDS = [
  *itertools.product(('h264', 'open_gop', 'mpeg4', 'mjpeg'), ('avi', 'mkv', 'mp4')),
  *(('h264', 'ts'), ('refresh', 'mkv'), ('hevc', 'mp4'), ('vp8', 'mkv'), ('vp9', 'mkv')),
]


def pictures(num=NUM_FRAMES, height=HEIGHT, width=WIDTH):
  """Frames that move and differ."""
  rng = np.random.default_rng(0)
  noise = rng.integers(0, 100, (height, width, 3))
  ramp = np.mgrid[:height, :width].sum(0)[..., None]
  return [(np.roll(noise, 2 * i, 1) + (ramp + 3 * i) % 150).astype(np.uint8) for i in range(num)]


def encode(path, name='h264', images=None, pts=None, **container_options):
  codec, pix_fmt, options = CODECS[name]
  images = pictures() if images is None else images
  with av.open(str(path), 'w', options=container_options) as container:
    stream = container.add_stream(codec, rate=RATE, options=options)
    stream.height, stream.width = images[0].shape[:2]
    stream.pix_fmt = pix_fmt
    stream.codec_context.time_base = Fraction(1, RATE)
    for i, image in enumerate(images):
      frame = av.VideoFrame.from_ndarray(image, format='rgb24')
      frame.pts, frame.time_base = i if pts is None else pts[i], Fraction(1, RATE)
      container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
  return path


def images_of(path, ranges=None, **options):
  return [frame.image for frame in video.read_frames(path, ranges, **options)]


def decoded_by_av(path):
  with av.open(str(path)) as container:
    return [frame.to_ndarray(format='rgb24') for frame in container.decode(video=0)]


def whole_frames(path, **options):
  """The frames before the error, and the error's text."""
  images = []
  with pytest.raises(video.VideoError) as caught:  # noqa: PT012
    for frame in video.read_frames(path, **options):
      images.append(frame.image)
  assert path.name in str(caught.value)
  return images, str(caught.value)


def packets_of(path):
  with av.open(str(path)) as container:
    return [(p.pos, p.size) for p in container.demux(video=0) if p.size]


def assert_same(images, others):
  assert len(images) == len(others)
  for image, other in zip(images, others):
    np.testing.assert_array_equal(image, other)


@pytest.fixture(scope='module')
def videos(tmp_path_factory):
  """Every kind of video, written when first asked for, with all its frames."""
  folder, made = tmp_path_factory.mktemp('videos'), {}

  def make(name, suffix):
    if (name, suffix) not in made:
      path = encode(folder / f'{name}.{suffix}', name)
      made[name, suffix] = path, decoded_by_av(path)
    return made[name, suffix]

  return make


@pytest.mark.parametrize(('name', 'suffix'), KINDS)
def test_all_frames_come_in_display_order(videos, name, suffix):
  path, expected = videos(name, suffix)
  frames = list(video.read_frames(path))
  assert_same([f.image for f in frames], expected)
  assert [f.index for f in frames] == list(range(NUM_FRAMES))
  np.testing.assert_allclose([f.time for f in frames], np.arange(NUM_FRAMES) / RATE, atol=1e-6)
  info = video.probe(path)
  assert (info.num_frames, info.num_declared, info.is_exact) == (NUM_FRAMES, NUM_FRAMES, True)
  assert (info.height, info.width, info.frame_rate) == (HEIGHT, WIDTH, RATE)
  # The order is that of the pictures, not merely that of another reader.
  errors = [
    np.abs(image - picture.astype(int)).mean() for image, picture in zip(expected, pictures())
  ]
  assert max(errors) < np.abs(expected[0] - pictures()[1].astype(int)).mean()


@pytest.mark.parametrize(('name', 'suffix'), KINDS)
@settings(max_examples=12, deadline=None)
@given(ends=st.lists(st.integers(0, NUM_FRAMES), min_size=2, max_size=6))
def test_ranges_are_those_of_a_full_read(videos, name, suffix, ends):
  path, expected = videos(name, suffix)
  ends = sorted(ends)
  ranges = list(zip(ends[::2], ends[1::2]))
  wanted = [i for start, stop in ranges for i in range(start, stop)]
  frames = list(video.read_frames(path, ranges))
  assert [f.index for f in frames] == wanted
  assert_same([f.image for f in frames], [expected[i] for i in wanted])


# Without closed groups in AVI, or without key frames, there is nowhere to jump to for certain.
JUMPS = [k for k in KINDS if k not in (('open_gop', 'avi'), ('refresh', 'mkv'))]


@pytest.mark.parametrize(('name', 'suffix'), JUMPS)
def test_a_late_range_does_not_decode_what_lies_before(videos, name, suffix, monkeypatch):
  path, expected = videos(name, suffix)
  fed = []

  def count(packets, *args, **options):
    return video_packets.decoded((fed.append(p) or p for p in packets), *args, **options)

  monkeypatch.setattr(video, 'decoded', count)
  assert_same(images_of(path, [(35, 37)]), expected[35:37])
  assert len(fed) < 20


def test_neighbouring_ranges_are_one_pass(videos, monkeypatch):
  path, expected = videos('h264', 'avi')
  seeks = []
  seek = video._seek
  monkeypatch.setattr(video, '_seek', lambda *args: seeks.append(args) or seek(*args))
  assert_same(images_of(path, [(0, 3), (3, 5), (7, 9)]), expected[0:5] + expected[7:9])
  assert not seeks


def test_a_jump_that_lands_elsewhere_falls_back_to_a_full_read(videos, monkeypatch):
  path, expected = videos('h264', 'mp4')
  monkeypatch.setattr(
    video_packets.PacketTable, 'starts', lambda self: [(0, 0), (21, 20), (31, 30)], raising=True
  )
  assert_same(images_of(path, [(24, 26), (33, 36)]), expected[24:26] + expected[33:36])


def test_threads_change_nothing(videos):
  path, expected = videos('h264', 'mkv')
  assert_same(images_of(path, threads=3), expected)


def test_count_frames_decodes_them_all(videos):
  assert video.count_frames(videos('mpeg4', 'avi')[0]) == NUM_FRAMES


@pytest.mark.parametrize('ranges', [[(3, 2)], [(5, 8), (7, 9)], [(5, 8), (1, 2)], [(-1, 2)]])
def test_ranges_must_be_ascending_and_disjoint(videos, ranges):
  with pytest.raises(ValueError, match='ascending and disjoint'):
    video.read_frames(videos('mjpeg', 'avi')[0], ranges)


def test_ranges_beyond_the_end_are_an_error_after_the_frames(videos):
  path, _ = videos('mjpeg', 'avi')
  frames = video.read_frames(path, [(38, 43)])
  assert [next(frames).index, next(frames).index] == [38, 39]
  with pytest.raises(video.VideoError, match=r'mjpeg\.avi: it has 40 frames'):
    next(frames)


@pytest.mark.parametrize('suffix', ['mkv', 'mp4'])
def test_frames_of_a_variable_rate_are_counted_and_timed(tmp_path, suffix):
  pts = [0, 1, 2, 5, 6, 10, 11, 12, 20, 21, 22, 30]
  path = encode(tmp_path / f'v.{suffix}', images=pictures(12), pts=pts)
  frames = list(video.read_frames(path, [(2, 12)]))
  assert [f.index for f in frames] == list(range(2, 12))
  np.testing.assert_allclose([f.time for f in frames], np.array(pts[2:]) / RATE)
  assert video.probe(path).frame_rate == pytest.approx(11 / (30 / RATE))  # 11 steps in 1.2 s.


def test_frames_outside_the_edit_list_are_not_counted(tmp_path):
  path = encode(
    tmp_path / 'v.mp4',
    pts=range(-5, NUM_FRAMES - 5),
    avoid_negative_ts='disabled',
    use_editlist='1',
  )
  assert video.probe(path).num_frames == NUM_FRAMES - 5
  frames = list(video.read_frames(path))
  assert_same([f.image for f in frames], decoded_by_av(path))
  assert (len(frames), frames[0].time) == (NUM_FRAMES - 5, 0)
  assert_same(images_of(path, [(17, 20)]), [f.image for f in frames[17:20]])


@pytest.mark.parametrize(
  ('matrix', 'turn'),
  [
    ((0, 1, -1, 0), lambda x: np.rot90(x, -1)),  # (x, y) to (-y, x): the top goes to the right.
    ((0, -1, 1, 0), lambda x: np.rot90(x)),
    ((-1, 0, 0, -1), lambda x: np.rot90(x, 2)),
    ((-1, 0, 0, 1), lambda x: x[:, ::-1]),
    ((0, 1, 1, 0), lambda x: x.swapaxes(0, 1)),
  ],
)
def test_frames_are_turned_as_the_container_says(tmp_path, matrix, turn):
  path = encode(tmp_path / 'v.mp4', images=pictures(2))
  stored = images_of(path)
  data = bytearray(path.read_bytes())
  at = data.index(b'tkhd') + 44  # After version, times, track, duration, layer, group and volume.
  a, b, c, d = (v << 16 for v in matrix)
  data[at : at + 36] = struct.pack('>9i', a, b, 0, c, d, 0, 0, 0, 1 << 30)
  path.write_bytes(data)
  assert_same(images_of(path), [turn(image) for image in stored])
  assert all(image.flags.c_contiguous and image.flags.writeable for image in images_of(path))
  info = video.probe(path)
  assert (info.height, info.width) == turn(stored[0]).shape[:2]


@pytest.mark.parametrize('orientation', [1, 3, 6, 8])
def test_jpegs_of_a_camera_that_says_how_it_was_held(tmp_path, orientation):
  exif, stored = Image.Exif(), io.BytesIO()
  exif[ExifTags.Base.Make], exif[ExifTags.Base.Orientation] = 'Camera', orientation
  Image.fromarray(pictures(1)[0]).save(stored, 'JPEG', exif=exif)
  path = tmp_path / 'clip.avi'
  with av.open(str(path), 'w') as container:
    stream = container.add_stream('mjpeg', rate=RATE)
    stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, 'yuvj420p'
    for number in range(3):
      packet = av.Packet(stored.getvalue())
      packet.stream, packet.pts, packet.dts = stream, number, number
      packet.time_base, packet.is_keyframe = Fraction(1, RATE), True
      container.mux(packet)
  with Image.open(stored) as picture:
    upright = np.asarray(ImageOps.exif_transpose(picture))
  frames = list(video.read_frames(path))
  info = video.probe(path)
  assert (info.num_frames, info.height, info.width) == (3, *upright.shape[:2])
  assert np.abs(frames[2].image.astype(int) - upright).mean() < 3


@pytest.mark.parametrize(
  ('name', 'suffix'),
  [k for k in KINDS if k[1] in ('avi', 'mkv')],  # MP4 has its index at the end.
)
def test_a_file_cut_off_gives_its_whole_frames_and_then_an_error(videos, tmp_path, name, suffix):
  path, expected = videos(name, suffix)
  data, packets = path.read_bytes(), packets_of(path)
  for number in (9, 22, 38):
    cut = tmp_path / f'cut.{suffix}'
    cut.write_bytes(data[: sum(packets[number]) - packets[number][1] // 2])
    images, message = whole_frames(cut)
    assert_same(images, expected[: len(images)])
    assert number - 5 <= len(images) <= number  # Up to 5 wait for one that never comes.
    assert f'cut off at frame {len(images)} of' in message
    info = video.probe(cut)
    assert info.num_frames == number < info.num_declared


def test_an_mp4_cut_off_behind_its_index_gives_its_whole_frames(tmp_path):
  path = encode(tmp_path / 'v.mp4', movflags='faststart')
  expected, packets = decoded_by_av(path), packets_of(path)
  path.write_bytes(path.read_bytes()[: packets[22][0] + 3])
  images, message = whole_frames(path)
  assert_same(images, expected[: len(images)])
  assert 18 <= len(images) <= 22
  assert f'cut off at frame {len(images)} of 40' in message
  assert_same(images_of(path, [(3, 6)]), expected[3:6])


def test_a_damaged_packet_is_reported_and_nothing_predicted_from_it_comes(videos, tmp_path):
  for name, suffix, number in [('mpeg4', 'avi', 20), ('mjpeg', 'mp4', 20), ('h264', 'avi', 20)]:
    path, expected = videos(name, suffix)
    data, (offset, size) = bytearray(path.read_bytes()), packets_of(path)[number]
    data[offset + 8 : offset + size] = b'\xff' * (size - 8)
    bad = tmp_path / f'bad.{suffix}'
    bad.write_bytes(data)
    images, message = whole_frames(bad)
    assert_same(images, expected[: len(images)])
    assert 16 <= len(images) <= 24
    assert f'frame {len(images)} is damaged' in message
    assert_same(images_of(bad, [(2, 5)]), expected[2:5])


def test_no_frame_predicted_from_a_damaged_one_comes_before_it(videos, tmp_path):
  path, expected = videos('mpeg4', 'mkv')
  for number in range(16, 22):  # Both kinds: frames displayed before and after earlier packets'.
    data, (offset, size) = bytearray(path.read_bytes()), packets_of(path)[number]
    data[offset + size // 2 : offset + size] = b'\xff' * (size - size // 2)
    bad = tmp_path / 'bad.mkv'
    bad.write_bytes(data)
    images, _ = whole_frames(bad)
    assert_same(images, expected[: len(images)])


def test_a_frame_is_not_taken_for_the_lost_one_before_it(videos, tmp_path):
  path, expected = videos('h264', 'mp4')
  data = bytearray(path.read_bytes())
  for number in range(2, 4):  # Packet 1 is displayed after these.
    offset, size = packets_of(path)[number]
    data[offset + 4 : offset + size] = b'\xff' * (size - 4)
  bad = tmp_path / 'bad.mp4'
  bad.write_bytes(data)
  images, message = whole_frames(bad)
  assert_same(images, expected[:1])
  assert 'frame 1 is damaged' in message


def test_a_jump_to_no_key_frame_falls_back_to_a_full_read(videos, monkeypatch):
  path, expected = videos('no_b', 'mkv')
  seek = video._seek

  def one_late(*args):
    (index, number), packets = seek(*args)
    next(packets)
    return (index + 1, number + 1), packets

  monkeypatch.setattr(video, '_seek', one_late)
  assert_same(images_of(path, [(24, 27)]), expected[24:27])


def test_mere_references_of_vp8_are_no_frames():
  # RFC 6386, 9.1: bit 4 of the first byte is show_frame.
  assert video_packets._is_hidden('vp8', av.Packet(b'\x01'))
  assert not video_packets._is_hidden('vp8', av.Packet(b'\x11'))


def test_frames_after_the_next_key_frame_are_read_in_spite_of_damage(videos, tmp_path):
  path, expected = videos('h264', 'mp4')
  data, (offset, size) = bytearray(path.read_bytes()), packets_of(path)[12]
  data[offset + 8 : offset + size] = bytes(size - 8)
  bad = tmp_path / 'bad.mp4'
  bad.write_bytes(data)
  assert_same(images_of(bad, [(32, 36)]), expected[32:36])


def test_an_empty_packet_of_avi_is_no_damage(videos, tmp_path):
  path, expected = videos('mjpeg', 'avi')
  for number in (10, NUM_FRAMES - 1):
    data, (offset, size) = bytearray(path.read_bytes()), packets_of(path)[number]
    # The chunk's size is 0 and what it held becomes padding; so says the index.
    padding = struct.pack('<I4sI', 0, b'JUNK', (size + 1) // 2 * 2 - 8)
    data[offset - 4 : offset + 8] = padding
    entry = data.rindex(b'idx1') + 8 + 16 * number
    data[entry + 12 : entry + 16] = bytes(4)
    other = tmp_path / 'v.avi'
    other.write_bytes(data)
    frames = list(video.read_frames(other))
    assert_same([f.image for f in frames], expected[:number] + expected[number + 1 :])
    if number == 10:
      assert frames[10].time == pytest.approx(11 / RATE)


def test_a_change_of_size_is_an_error(tmp_path):
  parts = [encode(tmp_path / f'{h}.avi', 'mjpeg', pictures(3, h)) for h in (48, 64)]
  payloads = []
  for part in parts:
    data = part.read_bytes()
    payloads += [data[o : o + n] for o, n in packets_of(part)]
  path = tmp_path / 'v.mjpeg'
  path.write_bytes(b''.join(payloads))
  images, message = whole_frames(path)
  assert len(images) == 3
  assert 'frame 3 is 64x64 where those before are 64x48' in message


def bad_file(folder, kind):
  path = folder / f'{kind}.avi'
  if kind == 'garbage':
    path.write_bytes(np.random.default_rng(0).bytes(5000))
  elif kind == 'text':
    path.write_text('frame\n' * 500)
  elif kind == 'empty':
    path.touch()
  elif kind == 'audio':
    with wave.open(str(path), 'wb') as sound:
      sound.setnchannels(1)
      sound.setsampwidth(2)
      sound.setframerate(8000)
      sound.writeframes(bytes(8000))
  elif kind == 'no frames':
    with av.open(str(path), 'w') as container:
      stream = container.add_stream('mjpeg', rate=RATE)
      stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, 'yuvj420p'
      container.start_encoding()
  elif kind == 'folder':
    path.mkdir()
  return path


def test_a_title_that_is_no_utf_8_is_no_reason_to_refuse_a_video(tmp_path):
  path = tmp_path / 'v.mp4'
  with av.open(str(path), 'w') as container:
    container.metadata['title'] = 'Café au lait'
    stream = container.add_stream('mpeg4', rate=RATE)
    stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, 'yuv420p'
    for image in pictures(3):
      container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format='rgb24')))
    container.mux(stream.encode(None))
  content = path.read_bytes()
  latin = content.replace('Café '.encode(), 'Café \0'.encode('latin-1'))  # As long as before.
  assert latin != content
  path.write_bytes(latin)
  assert len(images_of(path)) == 3


@pytest.mark.parametrize(
  ('kind', 'match'),
  [
    ('garbage', 'not a video'),
    ('text', 'not a video'),
    ('empty', 'the file is empty'),
    ('audio', 'no video stream'),
    ('no frames', 'no whole frame'),
    ('folder', 'no such file'),
    ('missing', 'no such file'),
  ],
)
def test_what_is_no_video_is_named_with_the_reason(tmp_path, kind, match):
  path = bad_file(tmp_path, kind)
  for read in (video.probe, video.count_frames, images_of):
    with pytest.raises(video.VideoError, match=match) as caught:
      read(path)
    assert str(path) in str(caught.value)


def test_a_text_file_is_not_drawn_as_a_picture(tmp_path):
  path = tmp_path / 'notes.txt'
  path.write_text('frame\n' * 500)
  with pytest.raises(video.VideoError, match='no video stream'):
    video.probe(path)


@pytest.mark.parametrize('suffix', ['.avi', '.mkv', '.mp4'])
@pytest.mark.parametrize(('height', 'width'), [(48, 64), (47, 61)])
def test_written_videos_come_back_at_their_size(tmp_path, suffix, height, width):
  path, images = tmp_path / f'v{suffix}', pictures(12, height, width)
  video.write_video(path, images, 30000 / 1001, crf=0)
  info = video.probe(path)
  assert (info.num_frames, info.height, info.width) == (12, height, width)
  assert info.frame_rate == pytest.approx(29.97, abs=0.05)
  for read, image in zip(images_of(path), images):
    # Odd sizes keep full colour: only rounding between colour spaces is left.
    assert np.abs(read - image.astype(int)).mean() < (2 if height % 2 else 20)
  assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_written_avi_stores_frames_in_display_order(tmp_path):
  video.write_video(tmp_path / 'v.avi', pictures(), 25)
  with av.open(str(tmp_path / 'v.avi')) as container:
    pts = [frame.pts for frame in container.decode(video=0)]
  assert pts == sorted(pts)


def test_colours_survive_writing(tmp_path):
  image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
  image[:, :32], image[:, 32:] = (250, 10, 20), (30, 60, 200)
  video.write_video(tmp_path / 'v.mp4', [image] * 3, 25)
  read = images_of(tmp_path / 'v.mp4')[0]
  np.testing.assert_allclose(read[20, 10], (250, 10, 20), atol=6)
  np.testing.assert_allclose(read[20, 50], (30, 60, 200), atol=6)


@pytest.mark.parametrize('suffix', ['.avi', '.mkv', '.mp4'])
def test_the_same_frames_give_the_same_bytes(tmp_path, suffix):
  # 4 macroblocks a row: x264's code for AVX-512 would read 4 more, which nobody wrote.
  path, rng, written = tmp_path / f'v{suffix}', np.random.default_rng(0), set()
  for _ in range(20):
    fill_free_memory(rng)
    video.write_video(path, pictures(8), 25)
    written.add(path.read_bytes())
  assert len(written) == 1


def fill_free_memory(rng):
  """Leaves random bytes in blocks of memory that are free for others."""
  blocks = [rng.bytes(size) for size in rng.integers(1000, 100_000, 200)]
  del blocks


def test_nothing_is_left_of_a_failed_write_and_an_old_file_stays(tmp_path):
  path = tmp_path / 'v.mp4'
  path.write_bytes(b'old')
  writing = video.VideoWriter(path, 25, preset='ultrafast')
  with pytest.raises(RuntimeError), writing as writer:  # noqa: PT012
    for image in pictures(12):
      writer.write(image)
    assert path.read_bytes() == b'old'
    assert len(list(tmp_path.iterdir())) == 2
    raise RuntimeError
  assert path.read_bytes() == b'old'
  assert [p.name for p in tmp_path.iterdir()] == ['v.mp4']


@pytest.mark.parametrize(
  ('images', 'match'),
  [
    ([], 'no frame was written'),
    ([np.zeros((8, 8, 3), np.float32)], 'give uint8'),
    ([np.zeros((8, 8), np.uint8)], 'give uint8'),
    ([np.zeros((8, 8, 3), np.uint8), np.zeros((8, 16, 3), np.uint8)], 'resize'),
  ],
)
def test_frames_that_cannot_be_written_are_refused(tmp_path, images, match):
  with pytest.raises(ValueError, match=match):
    video.write_video(tmp_path / 'v.mkv', images, 25)
  assert not list(tmp_path.iterdir())


def test_unknown_suffixes_and_rates_are_refused(tmp_path):
  with pytest.raises(ValueError, match=r'end it in \.avi'):
    video.VideoWriter(tmp_path / 'v.gif', 25)
  with pytest.raises(ValueError, match='frame_rate is 0'):
    video.VideoWriter(tmp_path / 'v.mp4', 0)


@pytest.mark.skipif('FMX_REAL_DATA' not in os.environ, reason='needs FMX_REAL_DATA')
@pytest.mark.parametrize('name', ['001', '013', '055'])
def test_real_videos_have_a_frame_for_each_annotation(name):
  folder = pathlib.Path(os.environ['FMX_REAL_DATA']) / '300VW_mini' / name
  path, num_frames = folder / 'vid.avi', len(list((folder / 'annot').glob('*.pts')))
  info = video.probe(path)
  assert (info.num_frames, info.num_declared, info.is_exact) == (num_frames, num_frames, True)
  images = images_of(path)
  assert len(images) == num_frames
  assert_same(images_of(path, [(10, 14), (40, 50)]), images[10:14] + images[40:50])
