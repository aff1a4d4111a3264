"""Small videos with sound, an extractor that needs no weights, and runs that are killed."""

import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import sys
from fractions import Fraction

import av
import numpy as np
import pytest

from configs import extract
from fmx.extraction import job, loop
from fmx.labelling import frame_masks
from fmx.labelling.frame_masks import Face, FrameMasks
from tfds_300vw import video

PART_FRAMES = 10
ALL = ('overlay', 'masks', 'measurements', 'cutout', 'coco')  # Outputs.
SAMPLE_RATE = 16000


def pictures(num, height=48, width=64, *, flashes=()):
  """Frames that move and differ, dim but for those that flash."""
  rng = np.random.default_rng(0)
  noise = rng.integers(0, 60, (height, width, 1))
  ramp = np.mgrid[:height, :width].sum(0)[..., None]
  images = [np.roll(noise, 2 * i, 1) + (ramp + 3 * i) % 60 for i in range(num)]
  images = [np.repeat(image, 3, axis=2).astype(np.uint8) for image in images]
  for i in flashes:
    images[i] = np.full_like(images[i], 255)
  return images


def write_video(path, images, *, times=None, rate=25, sound=None, beep=(0, 0), delays=(0, 0)):
  """Writes a video.

  Args:
    path: Where to.
    images: Its frames.
    times: Milliseconds of each frame; None for an even rate.
    rate: Frames a second.
    sound: Codec; None for none.
    beep: From when to when something is heard, seconds after the sound's beginning.
    delays: Seconds before the first frame and before the sound's beginning.
  """
  with av.open(str(path), 'w') as container:
    codec = 'mpeg4' if pathlib.Path(path).suffix == '.avi' else 'libx264'
    stream = container.add_stream(codec, rate=rate)
    stream.height, stream.width = images[0].shape[:2]
    is_odd = images[0].shape[0] % 2 or images[0].shape[1] % 2
    stream.pix_fmt = 'yuv444p' if is_odd else 'yuv420p'
    stream.codec_context.time_base = Fraction(1, 1000)
    packets = []
    if sound is not None:
      packets += add_sound(container, sound, len(images) / rate, beep, delays[1])
    times = [1000 * i / rate for i in range(len(images))] if times is None else times
    for image, time in zip(images, times):
      frame = av.VideoFrame.from_ndarray(image, format='rgb24')
      frame.pts, frame.time_base = round(time + 1000 * delays[0]), Fraction(1, 1000)
      packets += stream.encode(frame)
    packets += stream.encode(None)
    for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
      container.mux(packet)
  return path


def add_sound(container, codec, seconds, beep, delay):
  """The packets of a sound that is silent but for a beep."""
  rate = 48000 if codec == 'libopus' else SAMPLE_RATE
  stream = container.add_stream(codec, rate=rate)
  stream.codec_context.layout = 'mono'
  at = np.arange(round(seconds * rate)) / rate
  wave = np.sin(2 * np.pi * 1000 * at) * ((at >= beep[0]) & (at < beep[1]))
  packets, block = [], 1024
  for first in range(0, len(wave), block):
    samples = (wave[None, first : first + block] * 20000).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(samples, format='s16', layout='mono')
    frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
    frame.pts = first + round(delay * rate)
    packets += stream.encode(frame)
  return packets + stream.encode(None)


@dataclasses.dataclass(frozen=True)
class FakeState:
  """Of `FakeExtractor`."""

  next_index: int = 0
  memory: float = 0.0


class FakeExtractor:
  """Boxes as masks, which depend on all frames before; a window is read ahead."""

  def __init__(self, num_faces=1, *, blind=False):
    self._num_faces, self._blind = num_faces, blind

  def windows(self, frames, state=None):
    """As the real one's."""
    state, window, ready = state or FakeState(), [], None
    for frame in frames:
      window.append(frame)
      if len(window) == 5:
        if ready is not None:
          yield ready
        ready, window = self._label(window, state), []
        state = ready[1]
    if ready is not None:
      yield ready
    if window:
      yield self._label(window, state)

  def _label(self, window, state):
    found, memory = [], state.memory
    for index, frame in enumerate(window, state.next_index):
      memory = 0.5 * memory + float(frame.mean())
      found.append(self._masks(index, frame.shape[:2], round(memory)))
    return found, FakeState(state.next_index + len(window), memory)

  def _masks(self, index, size, memory):
    empty = frame_masks.compose([], index, *size, is_cut=index == 7)
    if self._blind:
      return empty
    labels, ids, faces = empty.labels, empty.ids, []
    for number in range(1, self._num_faces + 1):
      x = 20 * (number - 1) + 3
      box = np.array([x, 4, x + 14, 4 + 20])
      labels[4:24, x : x + 14] = 1
      labels[8:10, x + 2 : x + 4 + memory % 8] = 2
      labels[16:20, x + 2 : x + 10], labels[17:18, x + 3 : x + 6] = 3, 4
      ids[4:24, x : x + 14] = number
      faces.append(Face(number, box, frame_masks.areas(labels * (ids == number)), 0.75))
    return FrameMasks(index, labels, ids, tuple(faces), index == 7)


def expected_masks(images, num_faces=1):
  """What the fake makes of frames."""
  windows = FakeExtractor(num_faces).windows(iter(images))
  return [masks for window, _ in windows for masks in window]


def config(path, folder, **changes):
  """Of an extraction; in the names of options, __ stands for a dot."""
  weights = pathlib.Path(folder) / 'weights'
  weights.mkdir(exist_ok=True)
  if not (weights / 'file').exists():
    (weights / 'file').touch()
  made = extract.get_config()
  made.video, made.weights = str(path), str(weights)
  made.extraction.engine = 'xla'  # To look which one is best starts jax.
  made.update_from_flattened_dict({n.replace('__', '.'): v for n, v in changes.items()})
  return made.lock()


def run_killed_again_and_again(path, folder, workdir, step):
  """Runs, killed before every `step`-th change of a file in the workdir; one more each time.

  Prints the numbers of runs that were killed and of parts found after each.
  """
  job.METHODS['network'] = lambda config: FakeExtractor()
  job.stop_requests = lambda: contextlib.nullcontext(lambda: 0)  # Which would start jax each time.
  loop.PART_FRAMES = PART_FRAMES
  made, found = config(path, folder, extraction__outputs=ALL), []
  for kill_at in range(1, 100_000, step):
    process = os.fork()
    if process == 0:
      _kill_at(workdir, kill_at)
      job.run(made, pathlib.Path(workdir))
      os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    found.append(len(list(pathlib.Path(workdir).glob('unfinished/parts/[0-9]*[0-9]'))))
    if status != -signal.SIGKILL:
      break
  print(json.dumps([status, found]))


def _kill_at(workdir, number):
  changes = 0

  def audit(event, arguments):
    nonlocal changes
    if event not in ('open', 'os.rename', 'os.mkdir', 'os.remove', 'os.rmdir'):
      return
    path, mode = str(arguments[0]), str(arguments[1]) if len(arguments) > 1 else ''
    if not path.startswith(workdir) or (event == 'open' and mode in ('r', 'rb', 'None')):
      return
    changes += 1
    if changes == number:
      os.kill(os.getpid(), signal.SIGKILL)

  sys.addaudithook(audit)


if __name__ == '__main__':
  run_killed_again_and_again(*sys.argv[1:4], int(sys.argv[4]))


def extracted(clip, folder, **changes):
  with pytest.MonkeyPatch.context() as patch:
    patch.setitem(job.METHODS, 'network', lambda config: FakeExtractor())
    patch.setattr(loop, 'PART_FRAMES', PART_FRAMES)
    job.run(config(clip, folder, **changes), folder / 'out')
  return folder / 'out'


def images_of(path):
  return [frame.image for frame in video.read_frames(path)]


def summary_of(workdir):
  """The summary without what the clock says."""
  summary = json.loads((workdir / 'summary.json').read_text())
  assert summary.pop('speed')['frames_per_second'] > 0
  return summary


def assert_same_result(workdir, other):
  ours, theirs = summary_of(workdir), summary_of(other)
  ours.pop('weights'), theirs.pop('weights')
  assert ours == theirs
  assert names(workdir) == names(other)
  assert names(workdir / 'masks') == [f'{i:06d}.png' for i in range(1, 34)]
  for path in other.rglob('*'):
    if path.is_file() and path.name not in ('summary.json', 'extraction.json'):
      name = path.relative_to(other)
      assert (workdir / name).read_bytes() == path.read_bytes(), name


def names(folder):
  return sorted(path.name for path in folder.iterdir() if path.name != '.lock')


def stamps(path):
  """Times of all frames, seconds on the file's clock."""
  with av.open(str(path)) as container:
    return [float(f.pts * f.time_base) for f in container.decode(video=0)]
