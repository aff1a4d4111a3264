"""Videos frame by frame: counted without decoding, read by ranges of frame numbers, written.

A frame's index is its place in display order among the frames that are shown, from 0.
"""

import bisect
import collections
import dataclasses
import itertools
from collections.abc import Iterable, Iterator
from typing import NamedTuple, cast

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from tfds_300vw.video_packets import (
  PacketTable,
  Path,
  VideoError,
  decoded,
  open_video,
  read_packets,
  tabulate,
)
from tfds_300vw.video_writer import ONE_THREAD, VideoWriter, write_video

__all__ = [
  'Frame', 'VideoError', 'VideoInfo', 'VideoWriter',
  'count_frames', 'probe', 'read_frames', 'write_video',
]  # fmt: skip

_MAX_HELD = 20  # Frames. H.264 and HEVC reorder at most 16.


class Frame(NamedTuple):
  """One frame of a video."""

  index: int  # type: ignore[assignment]  # Not the tuple's method: place in display order, from 0.
  time: float  # Seconds after frame 0.
  image: np.ndarray  # uint8 [H, W, 3], RGB, upright.


@dataclasses.dataclass(frozen=True)
class VideoInfo:
  """What is known of a video without decoding it all."""

  num_frames: int  # Whole packets that show a frame.
  is_exact: bool  # False: packets need not be frames in this file; count_frames is certain.
  num_declared: int  # By the container; more than num_frames if the file is cut off.
  frame_rate: float  # Frames a second, average.
  height: int  # Pixels, upright.
  width: int
  rotation: int  # Degrees counter-clockwise, by which stored frames were turned; not mirroring.
  codec: str


class _SeekError(Exception):
  """A seek did not give the frames that were expected of it."""


def probe(path: Path) -> VideoInfo:
  """Counts and measures without decoding more than the first frame.

  Args:
    path: The video.

  Returns:
    What the container and its first frame say. A file that is cut off is no error here: see
    `num_declared`.

  Raises:
    VideoError: not a video, or one without a frame.
  """
  table, first, codec = tabulate(path)
  height, width = _upright(np.empty((first.height, first.width, 0)), table.matrix).shape[:2]
  return VideoInfo(
    num_frames=table.num_frames,
    is_exact=table.one_to_one,
    num_declared=table.num_frames + table.num_missing,
    frame_rate=1 / table.seconds_per_frame,
    height=height,
    width=width,
    rotation=int(first.rotation),
    codec=codec,
  )


def count_frames(path: Path, *, threads: int = 1) -> int:
  """Counts the frames by decoding them all, for files whose packets need not be frames.

  Args:
    path: The video.
    threads: As for `read_frames`.

  Returns:
    The number of frames that `read_frames` yields.

  Raises:
    VideoError: as `read_frames`.
  """
  return sum(1 for _ in _decode(path, tabulate(path)[0], None, threads))


def read_frames(
  path: Path, ranges: Iterable[tuple[int, int]] | None = None, *, threads: int = 1
) -> Iterator[Frame]:
  """Yields frames in display order, holding a few of them at a time.

  Frames of `ranges` are those of a full read, bit for bit. It is one pass forwards that jumps to
  the last key frame before a range where that saves decoding, and decodes everything where it
  cannot be sure of a jump.

  Args:
    path: The video.
    ranges: Frame numbers (start, stop), from 0, half-open, ascending and disjoint; None for every
      frame.
    threads: Decoding threads; 0 for one per core. Each holds a frame.

  Yields:
    Index, seconds after frame 0, and image uint8 [H, W, 3] RGB, turned upright as the container
    says. Pixels are the stored ones: a sample aspect ratio is not applied.

  Raises:
    VideoError: not a video; or, after the frames that are whole: damaged or cut off, with the
      number of the first frame that is not whole, or shorter than `ranges`. Damage is what the
      decoder notices: a flipped bit need not break the rules of the format.
    ValueError: `ranges` are not ascending, disjoint and non-negative.
  """
  if ranges is not None:
    ranges = [(int(start), int(stop)) for start, stop in ranges if start != stop]
    ends = [end for pair in ranges for end in pair]
    if any(start < 0 or stop < start for start, stop in ranges) or ends != sorted(ends):
      raise ValueError(
        f'{path}: ranges {ranges} must be ascending and disjoint (start, stop) >= 0.'
      )
  return _read(path, ranges, threads)


def _read(path: Path, ranges: list[tuple[int, int]] | None, threads: int) -> Iterator[Frame]:
  table, _, _ = tabulate(path)
  reformatter = VideoReformatter()  # One for all frames: each builds its conversion tables anew.
  shape = None
  for index, time, frame in _decode(path, table, ranges, threads):
    rgb = reformatter.reformat(frame, format='rgb24', **ONE_THREAD).to_ndarray()
    image = np.ascontiguousarray(_upright(rgb, table.matrix))
    shape = shape or image.shape
    if image.shape != shape:
      raise VideoError(
        f'{path}: frame {index} is {image.shape[1]}x{image.shape[0]} where those before are '
        f'{shape[1]}x{shape[0]}; convert the video to one size.'
      )
    yield Frame(index, time, image)


def _upright(image: np.ndarray, matrix: tuple[int, int, int, int]) -> np.ndarray:
  """Turns and mirrors an image [H, W, ...]: (x, y) is displayed at (a x + c y, b x + d y)."""
  a, b, c, d = matrix
  if abs(b) > abs(a):
    image, a, d = image.swapaxes(0, 1), c, b
  return image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]


def _decode(
  path: Path, table: PacketTable, ranges: list[tuple[int, int]] | None, threads: int
) -> Iterator[tuple[int, float, av.VideoFrame]]:
  """Yields index, time and frame; starts over without jumps if one fails."""
  done = 0
  try:
    for item in _pass(path, table, table.starts(), ranges, threads):
      done = item[0] + 1
      yield item
    return
  except _SeekError:
    if ranges is None:  # There is no jump without ranges.
      raise
    rest = [(max(start, done), stop) for start, stop in ranges if stop > done]
  yield from _pass(path, table, [(0, 0)], rest, threads)


def _pass(
  path: Path,
  table: PacketTable,
  starts: list[tuple[int, int]],
  ranges: list[tuple[int, int]] | None,
  threads: int,
) -> Iterator[tuple[int, float, av.VideoFrame]]:
  """Reads ranges in one pass forwards, jumping only to `starts`."""
  with open_video(path, 1 if table.is_cut else threads) as (container, stream):
    at, run = 0, _run(path, table, stream, read_packets(container, stream), (0, 0))
    for start, stop in [(0, None)] if ranges is None else ranges:
      best = bisect.bisect_right(starts, start, key=lambda s: s[0]) - 1
      if starts[best][0] > at:
        landed, rest = _seek(container, stream, table, starts[: best + 1])
        at, run = landed[0], _run(path, table, stream, rest, landed)
      while stop is None or at < stop:
        frame = next(run, None)
        if frame is None:
          if stop is None:
            return
          raise VideoError(f'{path}: it has {at} frames; do not ask for frames up to {stop - 1}.')
        if at >= start:
          yield at, table.time(at), frame
        at += 1


def _seek(
  container: av.container.InputContainer,
  stream: av.VideoStream,
  table: PacketTable,
  starts: list[tuple[int, int]],
) -> tuple[tuple[int, int], Iterator[av.Packet | None]]:
  """Jumps to the last of `starts`, or to one before it; returns where it landed and the packets."""
  number = starts[-1][1]
  for stamp in (table.pts[number], table.dts[number]):  # Containers differ in what they index.
    if stamp is None:
      continue
    try:
      container.seek(stamp, stream=stream)
    except av.error.FFmpegError as error:
      raise _SeekError from error
    packets = read_packets(container, stream)
    first = next(packets, None)
    landed = first and [s for s in starts if table.offset[s[1]] == first.pos]
    if landed:
      return landed[0], itertools.chain([first], packets)
  raise _SeekError


def _run(
  path: Path,
  table: PacketTable,
  stream: av.VideoStream,
  packets: Iterator[av.Packet | None],
  start: tuple[int, int],
) -> Iterator[av.VideoFrame]:
  """Yields whole frames in display order from `start` on, then reports damage if there is any.

  A frame is whole if its packet and all packets before it in the file gave frames without errors.
  It waits for them: a frame may be displayed before the one from which it was predicted.
  """
  index, number = start
  jumped = number > 0
  frames = decoded(packets, stream, number, to_the_last=not table.is_cut)
  if not table.one_to_one:
    yield from _sequential(path, table, frames)
    return
  settled = _Settled(table, index, number)
  held: collections.deque[av.VideoFrame] = collections.deque()
  for frame in frames:
    if frame is None:
      if table.order is None:  # Nothing tells where in the display order a frame is missing.
        break
      continue
    if settled.packets[_number(frame)]:  # Displayed before the key frame.
      continue
    place = index + len(held)
    if jumped and not _is_expected(table, frame, place, start):
      raise _SeekError
    if not frame.is_corrupt:
      settled.add(_number(frame))
    held.append(frame)
    while held and settled.is_whole(_number(held[0])):
      yield held.popleft()
      index += 1
    if len(held) > _MAX_HELD:
      break
  if table.is_cut or not settled.packets.all():
    if jumped:  # Perhaps the jump's fault.
      raise _SeekError
    raise _damage(path, table, index)


def _number(frame: av.VideoFrame) -> int:
  """The packet's, which `decoded` gave to its frame."""
  return cast(int, frame.pts)


class _Settled:
  """Which packets gave their frames, or need give none."""

  def __init__(self, table: PacketTable, index: int, number: int):
    self._order = table.order
    self.packets = table.is_hidden.copy()
    self.packets[:number] = True
    self._num_packets = number  # So many from the first on are settled.
    self._indices = np.zeros(table.num_frames, bool)
    self._num_indices = index  # So many from the first on are settled.
    if table.order is not None:
      self.packets |= table.order < index  # Perhaps predicted across the key frame.

  def add(self, number: int) -> None:
    self.packets[number] = True
    self._num_packets = _extend(self.packets, self._num_packets)
    if self._order is not None:
      self._indices[self._order[number]] = True
      self._num_indices = _extend(self._indices, self._num_indices)

  def is_whole(self, number: int) -> bool:
    """Whether all packets before it, and all frames displayed before it, are settled."""
    is_next = self._order is None or self._order[number] < self._num_indices
    return number < self._num_packets and is_next


def _extend(flags: np.ndarray, count: int) -> int:
  while count < len(flags) and flags[count]:
    count += 1
  return count


def _sequential(
  path: Path, table: PacketTable, frames: Iterator[av.VideoFrame | None]
) -> Iterator[av.VideoFrame]:
  """Yields frames up to the first damaged one where packets need not be frames."""
  index = 0
  for frame in frames:
    if frame is None or frame.is_corrupt:
      raise _damage(path, table, index)
    yield frame
    index += 1
  if table.is_cut:
    raise _damage(path, table, index)


def _is_expected(
  table: PacketTable, frame: av.VideoFrame, place: int, start: tuple[int, int]
) -> bool:
  """Whether this is the frame that a jump to `start` should give at this place."""
  if place == start[0] and not (frame.pts == start[1] and frame.key_frame):
    return False
  return table.order is None or table.order[frame.pts] == place


def _damage(path: Path, table: PacketTable, index: int) -> VideoError:
  advice = 'copy the file again, or use only the frames before'
  if table.is_cut and index >= table.num_frames - _MAX_HELD:
    promised = f' of {table.num_frames + table.num_missing}' if table.num_missing else ''
    return VideoError(f'{path}: cut off at frame {index}{promised}; {advice}.')
  return VideoError(f'{path}: frame {index} is damaged; {advice}.')
