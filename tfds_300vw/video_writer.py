"""Writes H.264 video: whole under its name, or not at all."""

import os
import pathlib
from collections.abc import Iterable
from fractions import Fraction

import av
import numpy as np
from av.video.reformatter import VideoReformatter

_FORMATS = {'.avi': 'avi', '.mkv': 'matroska', '.mp4': 'mp4'}
# Newer releases of PyAV convert colours on all cores unless told otherwise.
ONE_THREAD = {'threads': 1} if 'threads' in (VideoReformatter.reformat.__doc__ or '') else {}


class VideoWriter:
  """Writes H.264 video under a temporary name and gives it its own at the end.

  The same frames give the same bytes with the same libraries. The size stays: colour is stored at
  half resolution (yuv420p, which every player knows) where both sides are even, else at full
  resolution (yuv444p). Nothing is left if the block raises or no frame comes; a killed process
  leaves a hidden file of another name.

    with VideoWriter('out.mp4', 30) as writer:
      writer.write(image)
  """

  def __init__(
    self,
    path: str | os.PathLike[str],
    frame_rate: float | Fraction,
    *,
    crf: float = 18,
    codec: str = 'libx264',
    preset: str = 'medium',
  ):
    """Checks the arguments; the file is made by the first frame.

    Args:
      path: Where to write; the suffix, .avi, .mkv or .mp4, chooses the container.
      frame_rate: Frames a second.
      crf: Constant rate factor, 0 (lossless) to 51.
      codec: FFmpeg's name of an H.264 encoder with the options `crf` and `preset`.
      preset: The encoder's, from ultrafast to veryslow.

    Raises:
      ValueError: another suffix, or a rate that is not positive.
    """
    self._path = pathlib.Path(path)
    if self._path.suffix.lower() not in _FORMATS:
      raise ValueError(f'{path}: not a kind of video to write; end it in {", ".join(_FORMATS)}.')
    if not 0 < frame_rate < 1000:
      raise ValueError(f'{path}: frame_rate is {frame_rate}; give frames a second, more than 0.')
    self._rate = Fraction(frame_rate).limit_denominator(1001)  # 29.97…: 30000/1001.
    self._codec = codec
    self._options = {'crf': str(crf), 'preset': preset}
    self._part = self._path.with_name(f'.{self._path.name}.{os.getpid()}.part')
    self._container = None
    self._num_frames = 0

  def __enter__(self) -> 'VideoWriter':
    return self

  def write(self, image: np.ndarray) -> None:
    """Appends a frame.

    Args:
      image: uint8 [H, W, 3], RGB, of the first one's size.

    Raises:
      ValueError: another type or size.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
      raise ValueError(
        f'{self._path}: a frame is {image.dtype} {image.shape}; give uint8 [H, W, 3].'
      )
    if self._container is None:
      self._start(*image.shape[:2])
    if image.shape[:2] != self._size:
      raise ValueError(
        f'{self._path}: a frame is {image.shape[:2]}, the first was {self._size}; resize it.'
      )
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format='rgb24')
    frame = self._reformatter.reformat(frame, format=self._stream.pix_fmt, **ONE_THREAD)
    frame.pts, frame.time_base = self._num_frames, 1 / self._rate
    self._container.mux(self._stream.encode(frame))
    self._num_frames += 1

  def _start(self, height: int, width: int) -> None:
    kind = _FORMATS[self._path.suffix.lower()]
    self._path.parent.mkdir(parents=True, exist_ok=True)
    options = {'fflags': '+bitexact'}  # No dates, no random ids.
    self._container = av.open(os.fspath(self._part), 'w', format=kind, options=options)
    if kind == 'avi':
      self._options['bf'] = '0'  # AVI stores no presentation times, so frames come in their order.
    self._stream = self._container.add_stream(self._codec, rate=self._rate, options=self._options)
    self._stream.height, self._stream.width = self._size = height, width
    self._stream.pix_fmt = 'yuv444p' if height % 2 or width % 2 else 'yuv420p'
    self._stream.codec_context.time_base = 1 / self._rate
    self._stream.codec_context.thread_count = 1  # The bits depend on it.
    self._reformatter = VideoReformatter()

  def __exit__(self, kind, error, trace) -> None:
    try:
      if self._container is not None:
        with self._container:
          if kind is None:
            self._container.mux(self._stream.encode(None))
      if kind is None and not self._num_frames:
        raise ValueError(f'{self._path}: no frame was written; write at least one.')
      if kind is None:
        os.replace(self._part, self._path)
    finally:
      self._part.unlink(missing_ok=True)


def write_video(
  path: str | os.PathLike[str],
  frames: Iterable[np.ndarray],
  frame_rate: float | Fraction,
  **options,
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
