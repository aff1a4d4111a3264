"""What a run tells of itself: TensorBoard events, metrics.jsonl, pictures, a progress line."""

import io
import json
import math
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from PIL import Image
from tensorboardX import summary as protos
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto import event_pb2, summary_pb2

from tfds_300vw import placing


class Summary:
  """Writes the scalars and pictures of a run into its directory.

  `metrics.jsonl` has a line {"step": …, name: value, …} for each call, null for what is not
  finite; `pictures/NAME/STEP.png` the images; the directory itself TensorBoard's events.
  """

  def __init__(
    self, directory: str | os.PathLike, *, from_step: int | None = None, enabled: bool = True
  ):
    """Opens the directory, and takes back what an interrupted run wrote too much.

    Args:
      directory: Of the run.
      from_step: The step of the checkpoint that the run goes on from: what lies after it is
        dropped. With 0 everything but step 0 is. None keeps all that is there.
      enabled: Write at all; of several processes only the first should.
    """
    self._directory = Path(directory)
    self._enabled = enabled
    if not enabled:
      return
    placing.make_folder(self._directory)
    self._drop_after(math.inf if from_step is None else from_step)
    self._lines = open(self._path, 'ab')  # noqa: SIM115 (closed by `close`)
    placing.sync_name(self._path)
    # Not SummaryWriter: once its thread has met a full disk, its short queue blocks for ever.
    self._events = EventsWriter(
      str(self._directory / 'events'), filename_suffix=f'.{time.time_ns() % 10**9:09d}'
    )
    if from_step is not None:
      start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
      self._write_event(from_step + 1, session_log=start)  # TensorBoard hides what came after.

  def scalars(self, step: int, values: Mapping[str, float]) -> None:
    """Writes numbers; they are on the disk when it returns, TensorBoard's at least in their file.

    Args:
      step: Steps taken.
      values: A number for each name; slashes in names group them in TensorBoard.

    Raises:
      ValueError: a name is 'step'.
    """
    if not self._enabled:
      return
    if 'step' in values:
      raise ValueError("A value is named 'step', which is the name of the step; rename it.")
    values = {name: float(value) for name, value in values.items()}
    finite = {name: value if math.isfinite(value) else None for name, value in values.items()}
    line = json.dumps({'step': int(step), **finite}, allow_nan=False)
    self._lines.write(line.encode() + b'\n')
    self._lines.flush()
    os.fsync(self._lines.fileno())
    for name, value in values.items():
      self._write_event(step, summary=protos.scalar(name, value))
    self._events.flush()

  def image(self, step: int, name: str, image: np.ndarray) -> None:
    """Writes a picture, as a PNG file and for TensorBoard.

    Args:
      step: Steps taken.
      name: The folder of the file; slashes make folders in it.
      image: uint8 [H, W, 3].

    Raises:
      ValueError: the image has another shape or type.
    """
    if not self._enabled:
      return
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3:
      raise ValueError(f'{name} is {image.dtype} {image.shape}; an image is uint8 [H, W, 3].')
    path = self._directory / 'pictures' / name / f'{step:08d}.png'
    path.parent.mkdir(parents=True, exist_ok=True)
    encoded = io.BytesIO()
    Image.fromarray(image).save(encoded, 'png')
    path.write_bytes(encoded.getvalue())
    height, width, channels = image.shape
    picture = summary_pb2.Summary.Image(
      height=height,
      width=width,
      colorspace=channels,
      encoded_image_string=encoded.getvalue(),
    )
    value = summary_pb2.Summary.Value(tag=name, image=picture)
    self._write_event(step, summary=summary_pb2.Summary(value=[value]))
    self._events.flush()

  def close(self) -> None:
    """Closes the files."""
    if self._enabled:
      self._lines.close()
      self._events.close()

  def __enter__(self) -> 'Summary':
    return self

  def __exit__(self, *exception: object) -> None:
    self.close()

  @property
  def _path(self) -> Path:
    return self._directory / 'metrics.jsonl'

  def _write_event(self, step: int, **content: Any) -> None:
    self._events.write_event(event_pb2.Event(wall_time=time.time(), step=int(step), **content))

  def _drop_after(self, last_step: float) -> None:
    """Drops the lines of later steps, and a line whose end is missing; all at once or not."""
    if not self._path.exists():
      return
    text = self._path.read_bytes()
    kept = [line for line in text.splitlines(keepends=True) if _is_kept(line, last_step)]
    if len(kept) < text.count(b'\n') or not text.endswith(b'\n'):
      placing.write(self._path, b''.join(kept))


def _is_kept(line: bytes, last_step: float) -> bool:
  if not line.endswith(b'\n'):
    return False
  try:
    return json.loads(line)['step'] <= last_step
  except (ValueError, TypeError, KeyError):
    return False  # A kill, or a full disk, tore it.


class Progress:
  """Shows step, loss, frames/s and the time left, on one line where the stream is a terminal."""

  def __init__(
    self,
    steps: int,
    *,
    name: str = 'step',
    stream: TextIO | None = None,
    clock: Callable[[], float] = time.monotonic,
    seconds: float | None = None,
    enabled: bool = True,
  ):
    """Starts at the first `update`.

    Args:
      steps: The step at which the run ends.
      name: What the line begins with.
      stream: Where to, None for stderr.
      clock: The time in seconds.
      seconds: Least time between two lines; None for 0.2 on a terminal and 15 elsewhere.
      enabled: Write at all; of several processes only the first should.
    """
    self._steps, self._name, self._clock = steps, name, clock
    self._stream = sys.stderr if stream is None else stream
    self._enabled = enabled
    self._terminal = self._stream.isatty()
    self._seconds = (0.2 if self._terminal else 15.0) if seconds is None else seconds
    self._first: tuple[int, float] | None = None  # Step and time.
    self._frames = 0  # Since then.
    self._shown_at = -math.inf
    self._shown: str | None = None  # On the terminal's line.

  def update(self, step: int, frames: int, loss: float | None = None) -> None:
    """Reports a step that is done.

    The first is the beginning of the measurement and not part of it, as it was spent compiling.

    Args:
      step: Steps taken, this one included; the first may be any.
      frames: In this step, on all devices.
      loss: Of this step, if it is known.
    """
    now = self._clock()
    if self._first is None:
      self._first = (step, now)
    else:
      self._frames += frames
    if self._enabled and (now - self._shown_at >= self._seconds or step >= self._steps):
      self._shown_at = now
      self._show(self._text(step, now, loss))

  def pause(self) -> Callable[[], None]:
    """Ends the terminal's line, so that other things can be printed.

    Returns:
      A function to call before the next `update`; the time until then does not count.
    """
    self.close()
    paused_at = self._clock()

    def go_on() -> None:
      if self._first is not None:
        step, started = self._first
        self._first = (step, started + self._clock() - paused_at)

    return go_on

  def close(self) -> None:
    """Leaves the terminal's line as it is, and goes to the next."""
    if self._terminal and self._shown is not None:
      self._stream.write('\n')
      self._stream.flush()
    self._shown = None

  def _text(self, step: int, now: float, loss: float | None) -> str:
    assert self._first is not None
    first_step, started = self._first
    parts = [f'{self._name} {step}/{self._steps}']
    if loss is not None:
      parts.append(f'loss {float(loss):.4f}')
    if self._frames and now > started:
      parts.append(f'{self._frames / (now - started):.1f} frames/s')
    if step > first_step and now > started:
      left = (now - started) / (step - first_step) * max(self._steps - step, 0)
      parts.append(f'{_duration(left)} left')
    return '  '.join(parts)

  def _show(self, text: str) -> None:
    if self._terminal:
      self._stream.write('\r' + text.ljust(len(self._shown or '')))
    else:
      self._stream.write(text + '\n')
    self._stream.flush()
    self._shown = text


def _duration(seconds: float) -> str:
  """Hours, minutes and seconds: 1:02:05 or 2:05."""
  minutes, seconds = divmod(round(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  return f'{hours}:{minutes:02d}:{seconds:02d}' if hours else f'{minutes}:{seconds:02d}'
