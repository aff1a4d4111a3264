"""Parts of a video made one file: packets are copied and get the times of the source."""

import dataclasses
import errno
import heapq
import math
import os
import pathlib
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import cast

import av
import numpy as np

from fmx.extraction.sound import Sound, open_sound

_FORMATS = {'.mkv': 'matroska', '.mp4': 'mp4', '.webm': 'webm'}
_ALPHA = 'ALPHA_MODE'  # What Matroska says of transparent video.
_LEAST_TICKS = 90_000  # A second. Finer than any sound needs to be in step.
_NOT_THE_SOUND = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EIO)
_SLACK = 0.0011  # Seconds. Matroska rounds times to milliseconds.


@dataclasses.dataclass(frozen=True)
class Clock:
  """When each frame is shown.

  Attributes:
    ticks: Of a second.
    stamps: int64 [N], ascending: ticks after the source's beginning.
    last: Ticks for which the last frame is shown.
  """

  ticks: int
  stamps: np.ndarray
  last: int

  def at(self, index: int) -> int:
    """The time of a frame, also of those that would precede the first or follow the last."""
    if index < 0:
      return int(self.stamps[0]) + index * self.last
    beyond = index - (len(self.stamps) - 1)
    return int(self.stamps[-1]) + beyond * self.last if beyond > 0 else int(self.stamps[index])

  @property
  def duration(self) -> float:
    """Seconds from the first frame's beginning to the last one's end."""
    return (int(self.stamps[-1]) + self.last - int(self.stamps[0])) / self.ticks


def make_clock(
  times: Sequence[float], frame_rate: float, offset: float = 0.0, ticks: Fraction | None = None
) -> Clock:
  """Puts frames on a clock: evenly where their times are even but for rounding.

  Args:
    times: Seconds after frame 0, ascending, one a frame.
    frame_rate: Frames a second, average.
    offset: Of frame 0 after the beginning, seconds, at least 0.
    ticks: A second, of the source's own clock; None if it has none.
  """
  seconds, count = np.asarray(times, np.float64), np.arange(len(times))
  rate = Fraction(frame_rate).limit_denominator(1001)
  if ticks is None or np.abs(seconds - count / float(rate)).max() < _SLACK:
    unit = rate.numerator * math.ceil(_LEAST_TICKS / rate.numerator)
    stamps = count * (unit * rate.denominator // rate.numerator)
  else:
    unit = ticks.numerator * math.ceil(_LEAST_TICKS / ticks.numerator)
    stamps = np.round(seconds * unit).astype(np.int64)
    stamps = np.maximum.accumulate(stamps - count) + count  # No two are shown at once.
  return Clock(unit, stamps + round(offset * unit), max(round(unit / rate), 1))


def join(
  parts: Sequence[tuple[pathlib.Path, int]],
  path: pathlib.Path,
  clock: Clock,
  frame_rate: float,
  *,
  sound: Sound | None = None,
  copied: bool = True,
  origin: float = 0.0,
  end: float = math.inf,
) -> None:
  """Writes one video out of parts.

  Args:
    parts: Files of one size and codec, and the index of the first frame of each. If there are
      several, the first has more frames than an encoder runs ahead.
    path: Where to write; .mp4, .mkv or .webm.
    clock: Of all frames.
    frame_rate: That the parts were written with.
    sound: To be added, if any.
    copied: Whether sound is copied; else it is encoded as AAC.
    origin: See `Sound.packets`.
    end: See there.

  Raises:
    OSError: a file cannot be read or written.
  """
  kind, options = _FORMATS[path.suffix], {'fflags': '+bitexact'}
  with av.open(os.fspath(path), 'w', format=kind, options=options) as output:
    with av.open(os.fspath(parts[0][0])) as first:
      stream = output.add_stream_from_template(first.streams.video[0], opaque=True)
      if _ALPHA in first.streams.video[0].metadata:
        stream.metadata[_ALPHA] = first.streams.video[0].metadata[_ALPHA]
    stream.time_base = Fraction(1, clock.ticks)
    packets = [_packets(parts, stream, clock, frame_rate)]
    if sound is not None:
      added = sound.add_to(output, copied=copied)
      packets.append(sound.packets(added, copied=copied, origin=origin, end=end))
    for packet in heapq.merge(*packets, key=_seconds):
      output.mux(packet)


def join_with_sound(
  parts: Sequence[tuple[pathlib.Path, int]],
  path: pathlib.Path,
  times: Sequence[float],
  frame_rate: float,
  *,
  source: pathlib.Path,
  start: float,
  ticks: Fraction | None,
  is_cut: bool,
) -> str | None:
  """Writes one video out of parts, with the sound of the video that they were made of.

  Args:
    parts: As for `join`.
    path: As for `join`.
    times: Seconds after frame 0, one a frame.
    frame_rate: As for `join`.
    source: The video.
    start: Of frame 0 on its clock, seconds.
    ticks: A second, of its clock; None if it has none.
    is_cut: Whether the sound ends with the last frame; else it may go on.

  Returns:
    'copied' or 'encoded as AAC'; None if there is no sound, or none that can be read.

  Raises:
    OSError: a file cannot be read or written.
  """
  for copied in (True, False):
    with open_sound(source) as sound:
      if sound is None:
        break
      if copied and not sound.is_copied:
        continue
      origin = min(start, sound.start)
      clock = make_clock(times, frame_rate, start - origin, ticks)
      end = start + clock.duration if is_cut else math.inf
      try:
        join(parts, path, clock, frame_rate, sound=sound, copied=copied, origin=origin, end=end)
      except (av.error.FFmpegError, ValueError) as error:
        if getattr(error, 'errno', None) in _NOT_THE_SOUND:
          raise
        continue
      return 'copied' if copied else 'encoded as AAC'
  join(parts, path, make_clock(times, frame_rate, 0.0, ticks), frame_rate)
  return None


def _packets(
  parts: Sequence[tuple[pathlib.Path, int]], stream: av.VideoStream, clock: Clock, rate: float
) -> Iterator[av.Packet]:
  """Yields the packets of all parts with their new times.

  Packets come in the order of decoding, and an encoder's decoding times run a few frames behind: as
  many in each part as in the first.
  """
  frames = Fraction(rate).limit_denominator(1001)  # A second.
  delay = None
  for path, first in parts:
    with av.open(os.fspath(path)) as container:
      source = container.streams.video[0]
      step = cast(Fraction, source.time_base) * frames
      packets = (packet for packet in container.demux(source) if packet.size)
      for order, packet in enumerate(packets, first):
        index = first + round(cast(int, packet.pts) * step)
        if delay is None:
          delay = -round(cast(int, packet.dts) * step)
        decoding = order - delay
        packet.pts, packet.dts = clock.at(index), clock.at(decoding)
        packet.duration = clock.at(index + 1) - packet.pts
        packet.time_base, packet.stream = Fraction(1, clock.ticks), stream
        yield packet


def _seconds(packet: av.Packet) -> Fraction:
  return cast(int, packet.dts) * packet.time_base
