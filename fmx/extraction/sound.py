"""The sound of a video, copied into another one or encoded anew."""

import contextlib
import math
import pathlib
from collections.abc import Iterator
from fractions import Fraction
from typing import Final, cast

import av

from tfds_300vw.video_packets import open_container

_COPIED = frozenset(
  ('aac', 'ac3', 'alac', 'eac3', 'flac', 'mp3', 'opus')
)  # Which mp4 players know.
_NEW: Final = 'aac'
_NEW_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)  # Hertz.


class Sound:
  """The first audio stream of a file that is open."""

  def __init__(self, container: av.container.InputContainer, stream: av.AudioStream):
    self._container, self._stream = container, stream
    self._unit = cast(Fraction, stream.time_base)  # Seconds; an open stream has it.
    self.start = float((stream.start_time or 0) * self._unit)  # Seconds, the file's clock.
    self.is_copied = _kind(stream) in _COPIED

  def add_to(self, output: av.container.OutputContainer, *, copied: bool) -> av.AudioStream:
    """Adds a stream for it to a file that is being written."""
    if copied:
      return output.add_stream_from_template(self._stream, opaque=True)
    rate = self._stream.codec_context.sample_rate
    stream = output.add_stream(_NEW, rate=rate if rate in _NEW_RATES else max(_NEW_RATES))
    channels = self._stream.codec_context.layout.nb_channels
    stream.codec_context.layout = 'mono' if channels == 1 else 'stereo'
    return stream

  def packets(
    self, output: av.AudioStream, *, copied: bool, origin: float, end: float
  ) -> Iterator[av.Packet]:
    """Yields what belongs into the added stream.

    Args:
      output: From `add_to`.
      copied: As there.
      origin: What becomes time 0, seconds on the file's clock.
      end: Where to stop, seconds on the file's clock.
    """
    shift = round(origin / self._unit)
    packets = _shifted(_until(self._container, self._stream, end), shift)
    for packet in packets if copied else self._encoded(packets, output):
      packet.stream = output
      yield packet

  def _encoded(self, packets: Iterator[av.Packet], output: av.AudioStream) -> Iterator[av.Packet]:
    for packet in packets:
      try:
        frames = self._stream.decode(packet)
      except av.error.FFmpegError:
        continue  # A gap, as players make of it.
      for frame in frames:
        yield from output.encode(frame)
    for frame in self._stream.decode(None):
      yield from output.encode(frame)
    yield from output.encode(None)


@contextlib.contextmanager
def open_sound(path: pathlib.Path) -> Iterator[Sound | None]:
  """Opens the first audio stream of a file; None if it has none that can be read."""
  with open_container(path) as container:
    streams = [s for s in container.streams.audio if s.codec_context is not None]
    yield Sound(container, streams[0]) if streams else None


def _kind(stream: av.AudioStream) -> str:
  """The name of the codec, which several decoders may share."""
  return stream.codec_context.codec.canonical_name


def _until(
  container: av.container.InputContainer, stream: av.AudioStream, end: float
) -> Iterator[av.Packet]:
  """Yields packets up to a time, or as far as the file can be read."""
  try:
    for packet in container.demux(stream):
      if packet.size and packet.dts is not None and packet.pts is not None:
        if packet.pts * cast(Fraction, stream.time_base) >= end:
          return
        yield packet
  except (av.error.FFmpegError, OSError):
    return


def _shifted(packets: Iterator[av.Packet], ticks: int) -> Iterator[av.Packet]:
  last = -math.inf
  for packet in packets:
    # `_until` leaves out those without times.
    packet.pts, packet.dts = cast(int, packet.pts) - ticks, cast(int, packet.dts) - ticks
    if packet.dts > last:  # Else a container would refuse it.
      last = packet.dts
      yield packet
