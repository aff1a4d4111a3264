"""Writes H.264 video, labels as lossless video, and transparent video: whole or not at all."""

import os
import pathlib
import platform
from collections.abc import Iterable, Mapping
from fractions import Fraction
from types import TracebackType
from typing import Any, Self, cast

import av
import cv2
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import VideoReformatter

from tfds_300vw import placing

_FORMATS = {'.avi': 'avi', '.mkv': 'matroska', '.mp4': 'mp4', '.webm': 'webm'}
_ITU601, _LIMITED_RANGE = 6, 1  # As FFmpeg numbers them.
_AVX2 = 11  # As OpenCV numbers what processors can do.
# Newer releases of PyAV convert colours on all cores unless told otherwise.
ONE_THREAD = {'threads': 1} if 'threads' in (VideoReformatter.reformat.__doc__ or '') else {}
# x264 (core 165) shares bits out by what lies ahead. Its code for AVX-512 does so for eight
# macroblocks at a time and, where a row is no multiple of that, goes on into memory that nobody
# wrote. The code for AVX2 and for SSSE3 stops at the row's end and writes the same bytes, that for
# AVX2 in four fifths of the time; every x86 processor since 2011 has SSSE3.
_X264_OPTIONS = (
  {'x264-params': f'asm={"avx2" if cv2.checkHardwareSupport(_AVX2) else "ssse3"}'}
  if platform.machine().lower() in ('x86_64', 'amd64')
  else {}
)
# As fast as it writes, for good looks; and no frames out of order, which the opacity cannot have.
_VP9_OPTIONS = {'deadline': 'realtime', 'cpu-used': '7', 'auto-alt-ref': '0', 'lag-in-frames': '0'}


class _Writer:
  """Writes a video under a temporary name and gives it its own at the end.

  Nothing is left if the block raises or no frame comes; a killed process leaves a hidden file of
  another name.
  """

  _stream: av.VideoStream  # From the first frame on, as the size.
  _size: tuple[int, int]

  def __init__(self, path: str | os.PathLike[str], frame_rate: float | Fraction):
    self._path = pathlib.Path(path)
    if self._path.suffix.lower() not in _FORMATS:
      raise ValueError(f'{path}: not a kind of video to write; end it in {", ".join(_FORMATS)}.')
    if not 0 < frame_rate < 1000:
      raise ValueError(f'{path}: frame_rate is {frame_rate}; give frames a second, more than 0.')
    self._rate = Fraction(frame_rate).limit_denominator(1001)  # 29.97…: 30000/1001.
    self._part = self._path.with_name(f'.{self._path.name}.{os.getpid()}.part')
    self._container: OutputContainer | None = None
    self._num_frames = 0

  def __enter__(self) -> Self:
    return self

  def write(self, image: np.ndarray) -> None:
    """Appends a frame.

    Args:
      image: uint8 of the writer's shape, of the first one's size.

    Raises:
      ValueError: another type or size.
    """
    self._check(image)
    container = self._container
    if container is None:
      container = self._start(*image.shape[:2])
    if image.shape[:2] != self._size:
      raise ValueError(
        f'{self._path}: a frame is {image.shape[:2]}, the first was {self._size}; resize it.'
      )
    frame = self._frame(np.ascontiguousarray(image))
    frame.pts, frame.time_base = self._num_frames, 1 / self._rate
    container.mux(self._stream.encode(frame))
    self._num_frames += 1

  def _check(self, image: np.ndarray) -> None:
    raise NotImplementedError

  def _add_stream(
    self, container: OutputContainer, kind: str, height: int, width: int
  ) -> av.VideoStream:
    raise NotImplementedError

  def _frame(self, image: np.ndarray) -> av.VideoFrame:
    raise NotImplementedError

  def _start(self, height: int, width: int) -> OutputContainer:
    kind = _FORMATS[self._path.suffix.lower()]
    self._path.parent.mkdir(parents=True, exist_ok=True)
    options = {'fflags': '+bitexact'}  # No dates, no random ids.
    container = av.open(os.fspath(self._part), 'w', format=kind, options=options)
    self._container = container
    self._stream = self._add_stream(container, kind, height, width)
    self._stream.height, self._stream.width = self._size = height, width
    self._stream.codec_context.time_base = 1 / self._rate
    self._stream.codec_context.thread_count = 1  # The bits depend on it.
    return container

  def __exit__(
    self,
    kind: type[BaseException] | None,
    error: BaseException | None,
    trace: TracebackType | None,
  ) -> None:
    try:
      if self._container is not None:
        with self._container:
          if kind is None:
            self._container.mux(self._stream.encode(None))
      if kind is None and not self._num_frames:
        raise ValueError(f'{self._path}: no frame was written; write at least one.')
      if kind is None:
        placing.place(self._part, self._path)
    finally:
      self._part.unlink(missing_ok=True)


class VideoWriter(_Writer):
  """Writes H.264 video under a temporary name and gives it its own at the end.

  With libx264 the same frames give the same bytes on one machine with the same libraries. The
  size stays: colour is stored at half resolution (yuv420p, which every player knows) where both
  sides are even, else at full resolution (yuv444p). Nothing is left if the block raises or no frame
  comes; a killed process leaves a hidden file of another name.

    with VideoWriter('out.mp4', 30) as writer:
      writer.write(image)  # uint8 [H, W, 3], RGB.
  """

  def __init__(
    self,
    path: str | os.PathLike[str],
    frame_rate: float | Fraction,
    *,
    crf: float = 18,
    codec: str = 'libx264',
    preset: str = 'medium',
    options: Mapping[str, str] | None = None,
    pixel_aspect: Fraction | None = None,
  ):
    """Checks the arguments; the file is made by the first frame.

    Args:
      path: Where to write; the suffix, .avi, .mkv or .mp4, chooses the container.
      frame_rate: Frames a second.
      crf: Constant rate factor, 0 (lossless) to 51.
      codec: FFmpeg's name of an H.264 encoder with the options `crf` and `preset`.
      preset: The encoder's, from ultrafast to veryslow.
      options: More of the encoder's, by FFmpeg's names.
      pixel_aspect: Width of a pixel by its height, for players; None says nothing.

    Raises:
      ValueError: another suffix, or a rate that is not positive.
    """
    super().__init__(path, frame_rate)
    self._codec = codec
    self._options = {'crf': str(crf), 'preset': preset} | dict(options or {})
    if codec == 'libx264':
      self._options |= _X264_OPTIONS
    self._pixel_aspect = pixel_aspect
    self._reformatter = VideoReformatter()

  def _check(self, image: np.ndarray) -> None:
    _check_channels(self._path, image, 3)

  def _add_stream(
    self, container: OutputContainer, kind: str, height: int, width: int
  ) -> av.VideoStream:
    if kind == 'avi':
      self._options['bf'] = '0'  # AVI stores no presentation times, so frames come in their order.
    added = container.add_stream(self._codec, rate=self._rate, options=self._options)
    stream = cast(av.VideoStream, added)
    stream.pix_fmt = 'yuv444p' if height % 2 or width % 2 else 'yuv420p'
    _tag(stream, self._pixel_aspect)
    return stream

  def _frame(self, image: np.ndarray) -> av.VideoFrame:
    frame = av.VideoFrame.from_numpy_buffer(image, format='rgb24')  # It is not copied.
    return self._reformatter.reformat(frame, format=self._stream.pix_fmt, **ONE_THREAD)


class AlphaWriter(_Writer):
  """Writes transparent video (VP9 with alpha), which browsers show. Otherwise as `VideoWriter`.

  FFmpeg's own decoder of VP9 ignores the opacity; the one called libvpx-vp9 gives it.

    with AlphaWriter('cutout.webm', 30) as writer:
      writer.write(image)  # uint8 [H, W, 4], RGB and opacity.
  """

  def __init__(
    self,
    path: str | os.PathLike[str],
    frame_rate: float | Fraction,
    *,
    crf: float = 24,
    pixel_aspect: Fraction | None = None,
  ):
    """Checks the arguments; the file is made by the first frame.

    Args:
      path: Where to write; it ends in .webm.
      frame_rate: Frames a second.
      crf: Constant rate factor, 0 (best) to 63.
      pixel_aspect: Width of a pixel by its height, for players; None says nothing.

    Raises:
      ValueError: another suffix, or a rate that is not positive.
    """
    super().__init__(path, frame_rate)
    if self._path.suffix.lower() != '.webm':
      raise ValueError(f'{path}: no transparency in this kind of video; end it in .webm.')
    self._options = {'crf': str(crf), 'b': '0'} | _VP9_OPTIONS
    self._pixel_aspect = pixel_aspect
    self._reformatter = VideoReformatter()

  def _check(self, image: np.ndarray) -> None:
    _check_channels(self._path, image, 4)

  def _add_stream(
    self, container: OutputContainer, kind: str, height: int, width: int
  ) -> av.VideoStream:
    stream = container.add_stream('libvpx-vp9', rate=self._rate, options=self._options)
    stream.pix_fmt = 'yuva420p'
    stream.metadata['alpha_mode'] = '1'  # Or the container does not say so, and players are blind.
    _tag(stream, self._pixel_aspect)
    return stream

  def _frame(self, image: np.ndarray) -> av.VideoFrame:
    frame = av.VideoFrame.from_numpy_buffer(image, format='rgba')
    return self._reformatter.reformat(frame, format='yuva420p', **ONE_THREAD)


class LabelWriter(_Writer):
  """Writes labels as lossless grey video (FFV1), whose grey levels are the ids.

  `tfds_300vw.video.read_frames` gives them back in all three channels. Otherwise as `VideoWriter`.

    with LabelWriter('masks.mkv', 30) as writer:
      writer.write(labels)  # uint8 [H, W].
  """

  def _check(self, image: np.ndarray) -> None:
    if image.dtype != np.uint8 or image.ndim != 2:
      raise ValueError(f'{self._path}: labels are {image.dtype} {image.shape}; give uint8 [H, W].')

  def _add_stream(
    self, container: OutputContainer, kind: str, height: int, width: int
  ) -> av.VideoStream:
    if kind == 'mp4':
      raise ValueError(f'{self._path}: no lossless labels in this kind; end it in .mkv.')
    options = {'level': '3', 'g': '1'}  # Each frame stands alone, and has a checksum.
    stream = container.add_stream('ffv1', rate=self._rate, options=options)
    stream.pix_fmt = 'gray'
    return stream

  def _frame(self, image: np.ndarray) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(image, format='gray')


def write_video(
  path: str | os.PathLike[str],
  frames: Iterable[np.ndarray],
  frame_rate: float | Fraction,
  **options: Any,
) -> None:
  """Writes images uint8 [H, W, 3] RGB as H.264 video.

  Args:
    path: Where to write; the suffix, .avi, .mkv or .mp4, chooses the container.
    frames: The images, all of one size.
    frame_rate: Frames a second.
    **options: Of `VideoWriter`.

  Raises:
    ValueError: as `VideoWriter`.
  """
  with VideoWriter(path, frame_rate, **options) as writer:
    for image in frames:
      writer.write(image)


def _check_channels(path: os.PathLike[str], image: np.ndarray, number: int) -> None:
  """Raises ValueError if an image is not uint8 of so many channels."""
  if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != number:
    raise ValueError(
      f'{path}: a frame is {image.dtype} {image.shape}; give uint8 [H, W, {number}].'
    )


def _tag(stream: av.VideoStream, pixel_aspect: Fraction | None) -> None:
  """Says what the reformatter makes; untagged, players guess another colour space by the size."""
  stream.codec_context.colorspace = _ITU601
  stream.codec_context.color_range = _LIMITED_RANGE
  if pixel_aspect is not None:
    stream.codec_context.sample_aspect_ratio = pixel_aspect
