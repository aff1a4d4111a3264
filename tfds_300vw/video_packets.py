"""The packets of a video file: what each is, which frame it shows, and where decoding can begin.

Every packet gets its number in the file as its time stamp before it is decoded, and decoders hand
that number on to the frame that they make of it. So it is known which packets gave a frame,
whatever time stamps the container holds: a frame that never comes is missed at its place, and a
seek is known to have landed where it should.
"""

import contextlib
import dataclasses
import os
import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any, cast

import av
import numpy as np

Path = str | os.PathLike[str]

# Codecs of which each packet is one frame: only there does a packet without a frame mean damage.
_ONE_FRAME_PER_PACKET = frozenset(
  ('av1', 'ffv1', 'ffvhuff', 'h264', 'hevc', 'huffyuv', 'mjpeg', 'mpeg4')
  + ('png', 'prores', 'rawvideo', 'utvideo', 'vp8', 'vp9')
)
_MIN_MPEG4_PACKET = 24  # Bytes. Smaller ones say 'as before', with or without a frame.
# PyAV before 19 has to be told that a title which is no UTF-8 is no reason to refuse a file.
_PYAV = int(av.__version__.split('.')[0])
_ANY_TAGS: dict[str, Any] = {} if _PYAV >= 19 else {'metadata_errors': 'ignore'}


class VideoError(ValueError):
  """A video that cannot be read, or not whole: names the file, what is wrong and what to do."""


@dataclasses.dataclass
class PacketTable:
  """The packets of a video that hold something, as in the file: in decode order. Arrays [P]."""

  offset: np.ndarray  # Place in the file, bytes.
  is_key: np.ndarray
  is_closed: np.ndarray  # Nothing after it in the file is displayed before it.
  is_hidden: np.ndarray  # Shows no frame.
  pts: list[int | None]
  dts: list[int | None]
  order: np.ndarray | None = None  # Index of the packet's frame; None if no time stamps tell it.
  times: np.ndarray | None = None  # [N] seconds after frame 0, ascending; None as above.
  seconds_per_frame: float = 0.0
  # How frames are turned upright: (x, y) is displayed at (a x + c y, b x + d y).
  matrix: tuple[int, int, int, int] = (1, 0, 0, 1)
  one_to_one: bool = False  # Packets that are not hidden are frames.
  num_missing: int = 0  # Frames that the container promises and does not hold.
  is_cut: bool = False  # It breaks off within a packet, or frames are missing.

  @property
  def num_frames(self) -> int:
    """Packets that show a frame."""
    return int((~self.is_hidden).sum())

  def time(self, index: int) -> float:
    """Seconds after frame 0."""
    if self.one_to_one and self.times is not None:
      return float(self.times[index])
    return index * self.seconds_per_frame

  def starts(self) -> list[tuple[int, int]]:
    """(frame index, packet) at which decoding can begin, ascending."""
    if not self.one_to_one:
      return [(0, 0)]
    if self.order is not None:
      found = [(int(self.order[p]), int(p)) for p in np.flatnonzero(self.is_key & ~self.is_hidden)]
    else:
      shown_before = np.cumsum(~self.is_hidden) - ~self.is_hidden
      found = [(int(shown_before[p]), int(p)) for p in np.flatnonzero(self.is_closed)]
    return sorted({(0, 0), *(s for s in found if s[0] > 0)})


def open_container(
  path: Path, options: dict[str, str] | None = None
) -> av.container.InputContainer:
  """Opens a file for reading, whatever bytes its tags are of.

  Args:
    path: The file.
    options: FFmpeg's options for the format.

  Raises:
    av.FFmpegError, OSError: it cannot be read.
  """
  return av.open(os.fspath(path), options=options, **_ANY_TAGS)


@contextlib.contextmanager
def open_video(
  path: Path, threads: int = 1
) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
  """Opens a file and its first video stream that is not a cover picture."""
  if not os.path.isfile(path):
    raise VideoError(f'{path}: there is no such file; check the path.')
  if not os.path.getsize(path):
    raise VideoError(f'{path}: the file is empty; copy it again.')
  try:
    container = open_container(path)
  except (av.error.FFmpegError, OSError) as error:
    raise VideoError(
      f'{path}: not a video, or its index is cut off ({error.strerror}); check it or copy it again.'
    ) from error
  with container:
    streams = [s for s in container.streams.video if not s.disposition & s.disposition.attached_pic]
    if not streams or container.format.name == 'tty':  # Which draws any text as a picture.
      raise VideoError(
        f'{path}: no video stream in it, or its index is cut off; check it or copy it again.'
      )
    stream = streams[0]
    if stream.codec_context is None:
      raise VideoError(f'{path}: its codec is unknown here; convert it to H.264.')
    stream.thread_type = 'AUTO'
    stream.codec_context.thread_count = threads
    yield container, stream


def read_packets(
  container: av.container.InputContainer, stream: av.VideoStream
) -> Iterator[av.Packet | None]:
  """Yields the packets that hold something; None, once, if it breaks off before the end."""
  try:
    for packet in container.demux(stream):
      if packet.is_corrupt:  # The last one of a file that is cut off.
        yield None
        return
      if packet.size:
        yield packet
  except (av.error.FFmpegError, OSError):
    yield None


def _is_idr(packet: av.Packet) -> bool:
  """Whether no later H.264 packet is displayed before this one, or refers beyond it."""
  return packet.is_keyframe and bool(re.search(rb'\0\0\x01[\x05\x25\x45\x65]', bytes(packet)))


def _is_hidden(codec: str, packet: av.Packet) -> bool:
  """Whether a packet gives no frame: outside an edit list, or a mere reference of VP8."""
  return packet.is_discard or (codec == 'vp8' and not bytes(packet)[0] & 0x10)


def tabulate(path: Path) -> tuple[PacketTable, av.VideoFrame, str]:
  """Reads all packets and decodes the first frame.

  Returns:
    The packets, the first frame, which knows its size and rotation, and the codec's name.

  Raises:
    VideoError: not a video, or one without a frame.
  """
  rows, last_duration, smallest, is_cut = [], 0, _MIN_MPEG4_PACKET, False
  with open_video(path) as (container, stream):
    codec = stream.codec_context.name
    # AVI stores no presentation times; those of H.264 are made up, in decode order.
    is_timed = not (container.format.name == 'avi' and codec == 'h264')
    # Packets of start codes, as AVI has them, show their kind; elsewhere time stamps are enough.
    has_start_codes = not is_timed and (stream.codec_context.extradata or b'')[:1] != b'\x01'
    for p in read_packets(container, stream):
      if p is None:
        is_cut = True
        break
      rows.append(
        (p.pos, p.pts, p.dts, p.is_keyframe, has_start_codes and _is_idr(p), _is_hidden(codec, p))
      )
      last_duration, smallest = p.duration or 0, min(smallest, p.size)
    if not rows:
      raise VideoError(f'{path}: there is no whole frame in it; copy or convert the video again.')
    offset, pts, dts, is_key, is_closed, is_hidden = zip(*rows)
    table = PacketTable(
      offset=np.array(offset),
      is_key=np.array(is_key),
      is_closed=np.array(is_closed),
      is_hidden=np.array(is_hidden),
      pts=list(pts),
      dts=list(dts),
    )
    table.one_to_one = (
      codec in _ONE_FRAME_PER_PACKET
      and len(set(offset)) == len(offset)  # Packets can be told apart after a seek.
      and not (codec == 'mpeg4' and smallest < _MIN_MPEG4_PACKET)
    )
    is_timed = is_timed and None not in pts and len(set(pts)) == len(pts)
    first = _look_at_head(path, table, is_timed)
    _set_times(table, stream, is_timed)
    table.num_missing = _num_missing(path, table, container, stream, last_duration)
    table.is_cut = is_cut or table.num_missing > 0
  return table, first, codec


def _look_at_head(path: Path, table: PacketTable, is_timed: bool) -> av.VideoFrame:
  """Decodes up to the first packet's frame, and hides what precedes it but cannot be decoded."""
  before, stamps = set(), _all_stamps(table.pts)
  if is_timed and stamps and not table.is_hidden[0]:
    before = {p for p, pts in enumerate(stamps) if pts < stamps[0] and not table.is_hidden[p]}
  first, seen = None, set()
  with open_video(path) as (container, stream):
    for frame in decoded(read_packets(container, stream), stream, 0):
      if frame is None or (frame.is_corrupt and frame.pts in before):
        continue
      first = first or frame
      seen.add(frame.pts)
      if not before or frame.pts == 0:
        break
  if first is None:
    raise VideoError(f'{path}: no frame in it can be decoded; copy or convert the video again.')
  table.is_hidden[list(before - seen)] = True
  # Without numbers nothing can be checked, and packets of interlaced video may be half frames.
  table.one_to_one &= first.pts is not None and not first.interlaced_frame
  table.matrix = _matrix(first)
  return first


def _matrix(first: av.VideoFrame) -> tuple[int, int, int, int]:
  """How frames are to be turned and mirrored, as `PacketTable.matrix`.

  Only the first is asked: a frame asked for its side data is freed late, and each holds some
  megabytes.
  """
  try:
    matrix = first.side_data.get('DISPLAYMATRIX')
  except ValueError:  # PyAV 18 does not know all kinds, as EXIF in JPEG; no camera mirrors there.
    turn = np.radians(first.rotation)
    cos, sin = round(np.cos(turn)), round(np.sin(turn))
    return cos, -sin, sin, cos
  if matrix is None:
    return 1, 0, 0, 1
  values = bytes(cast(av.buffer.Buffer, matrix))
  a, b, _, c, d = np.frombuffer(values, np.int32, count=5).tolist()
  return a, b, c, d


def _set_times(table: PacketTable, stream: av.VideoStream, is_timed: bool) -> None:
  """Fills in when each frame is shown, and which packet it comes from where time stamps tell."""
  rate = stream.average_rate or stream.guessed_rate or 25
  table.seconds_per_frame = float(1 / rate)
  stamps = _all_stamps([t for t, hidden in zip(table.pts, table.is_hidden) if not hidden])
  if stamps is None or len(set(stamps)) < len(stamps):
    return
  in_order = np.sort(stamps)
  table.times = (in_order - in_order[0]) * float(time_base(stream))
  if len(stamps) > 1:
    measured = float(table.times[-1]) / (len(stamps) - 1)
    if not 0.99 < measured / table.seconds_per_frame < 1.01:  # Millisecond stamps are coarser.
      table.seconds_per_frame = measured
  if is_timed:
    table.order = np.searchsorted(in_order, np.array(table.pts))


def _num_missing(
  path: Path,
  table: PacketTable,
  container: av.container.InputContainer,
  stream: av.VideoStream,
  last_duration: int,
) -> int:
  """Counts the frames that the container promises and does not hold, by its own accounts."""
  kind, missing = container.format.name, 0.0
  end = None
  if kind in ('avi', 'matroska,webm'):
    end = _promised_size(path, kind)
    if end is not None and end <= os.path.getsize(path):
      return 0  # Where frames are fewer than declared, the last ones are empty: 'as before'.
  if stream.frames:
    given = len(table.pts)
    if kind == 'avi' and table.dts[-1] is not None:
      given = table.dts[-1] + 1  # Counts empty packets too.
    missing = stream.frames - given
  elif match := re.match(r'(\d+):(\d+):([\d.]+)', stream.metadata.get('DURATION', '')):
    promised = 3600 * int(match[1]) + 60 * int(match[2]) + float(match[3])
    stamps = _all_stamps(table.pts)
    if stamps is not None:
      held = (max(stamps) + last_duration) * float(time_base(stream))
      missing = (promised - held) / table.seconds_per_frame
  return max(round(missing), 0 if end is None else 1)


def _all_stamps(stamps: Sequence[int | None]) -> list[int] | None:
  """The time stamps, None if one is not known."""
  known = [stamp for stamp in stamps if stamp is not None]
  return known if len(known) == len(stamps) else None


def time_base(stream: av.VideoStream | av.AudioStream) -> Fraction:
  """Seconds of one unit of a stream's time stamps, which every stream of an open file has."""
  return cast(Fraction, stream.time_base)


def _promised_size(path: Path, kind: str) -> int | None:
  """Bytes that the file should have by the sizes of its outermost parts; None if it keeps quiet."""
  at = 0
  with open(path, 'rb') as file:
    if kind == 'avi':
      while file.read(4) == b'RIFF':  # Of which large files have several.
        at += 8 + int.from_bytes(file.read(4), 'little')
        file.seek(at)
      return at
    # Matroska: a header, then one segment. Sizes have as many bytes as the first has leading
    # zeros, and one; all bits set say that it is not known.
    for _ in range(2):
      file.seek(at + 4)
      first = file.read(1)
      length = 9 - first[0].bit_length() if first else 9
      if length > 8:
        return None
      bits = 7 * length
      size = int.from_bytes(first + file.read(length - 1), 'big') & ((1 << bits) - 1)
      if size == (1 << bits) - 1:
        return None
      at += 4 + length + size
  return at


def decoded(
  packets: Iterator[av.Packet | None],
  stream: av.VideoStream,
  number: int,
  *,
  to_the_last: bool = True,
) -> Iterator[av.VideoFrame | None]:
  """Decodes packets from the given number on.

  Args:
    packets: In the order of the file.
    stream: Of the packets.
    number: Place of the first of them in the file.
    to_the_last: False leaves out the frames that wait for an earlier one that may never come.

  Yields:
    Frames in display order, with the packet's number as pts; None where decoding fails.
  """
  for packet in packets:
    if packet is None:
      break
    packet.pts = number
    number += 1
    yield from _decode_packet(stream, packet)
  if to_the_last:
    yield from _decode_packet(stream, None)


def _decode_packet(
  stream: av.VideoStream, packet: av.Packet | None
) -> list[av.VideoFrame] | list[None]:
  try:
    return stream.decode(packet)
  except av.error.FFmpegError:
    return [None]
