import io
import json
import math
import struct

import numpy as np
import pytest
from PIL import Image
from tensorboardX.proto import event_pb2

from fmx.summary import Progress, Summary


def lines(directory):
  return [json.loads(line) for line in (directory / 'metrics.jsonl').read_text().splitlines()]


def events(path):
  """The records of an event file: uint64 length, its uint32 checksum, data, its checksum."""
  data, offset, found = path.read_bytes(), 0, []
  while offset < len(data):
    (length,) = struct.unpack_from('<Q', data, offset)
    found.append(event_pb2.Event.FromString(data[offset + 12 : offset + 12 + length]))
    offset += length + 16
  return found


def all_events(directory):
  return [event for path in sorted(directory.glob('events.*')) for event in events(path)]


def scalars(directory):
  return [
    (event.step, value.tag, value.simple_value)
    for event in all_events(directory)
    for value in event.summary.value
  ]


def test_scalars_are_in_both_files_before_anything_is_closed(tmp_path):
  summary = Summary(tmp_path)
  summary.scalars(3, {'train/loss': np.float32(0.5), 'miou': 0.25})
  assert lines(tmp_path) == [{'step': 3, 'train/loss': 0.5, 'miou': 0.25}]
  assert scalars(tmp_path) == [(3, 'train/loss', 0.5), (3, 'miou', 0.25)]
  summary.close()


def test_what_is_not_finite_is_null_in_the_lines_and_itself_for_tensorboard(tmp_path):
  with Summary(tmp_path) as summary:
    summary.scalars(1, {'a': math.nan, 'b': -math.inf, 'c': 1})

  def refuse(constant):
    raise AssertionError(f'{constant} is not JSON')

  text = (tmp_path / 'metrics.jsonl').read_text()
  assert json.loads(text, parse_constant=refuse) == {'step': 1, 'a': None, 'b': None, 'c': 1.0}
  values = [value for _, _, value in scalars(tmp_path)]
  assert math.isnan(values[0])
  assert values[1:] == [-math.inf, 1.0]


def test_a_value_named_step_is_refused(tmp_path):
  with Summary(tmp_path) as summary, pytest.raises(ValueError, match="named 'step'"):
    summary.scalars(1, {'step': 2})


def test_an_image_is_a_png_file_and_an_event(tmp_path):
  image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
  with Summary(tmp_path) as summary:
    summary.image(40, 'validation/clip', image)
  path = tmp_path / 'pictures' / 'validation' / 'clip' / '00000040.png'
  np.testing.assert_array_equal(np.asarray(Image.open(path)), image)
  (value,) = [value for event in all_events(tmp_path) for value in event.summary.value]
  decoded = np.asarray(Image.open(io.BytesIO(value.image.encoded_image_string)))
  np.testing.assert_array_equal(decoded, image)


@pytest.mark.parametrize(
  'image', [np.zeros((2, 3, 3)), np.zeros((2, 3), np.uint8), np.zeros((2, 3, 4), np.uint8)]
)
def test_other_images_are_refused_with_their_type_and_shape(tmp_path, image):
  with Summary(tmp_path) as summary, pytest.raises(ValueError, match=r'clip is .*\(2, 3'):
    summary.image(1, 'clip', image)


def test_going_on_drops_what_came_after_the_checkpoint(tmp_path):
  with Summary(tmp_path) as summary:
    for step in (10, 20, 30):
      summary.scalars(step, {'loss': step / 10})
  with Summary(tmp_path, from_step=20) as summary:
    summary.scalars(30, {'loss': 7.0})
  assert lines(tmp_path) == [
    {'step': 10, 'loss': 1.0},
    {'step': 20, 'loss': 2.0},
    {'step': 30, 'loss': 7.0},
  ]
  starts = [
    event.step
    for event in all_events(tmp_path)
    if event.session_log.status == event_pb2.SessionLog.START
  ]
  assert starts == [21]  # TensorBoard hides the earlier file's events from this step on.


def test_opening_again_without_a_step_keeps_all(tmp_path):
  for step in (1, 2):
    with Summary(tmp_path) as summary:
      summary.scalars(step, {'loss': 1.0})
  assert [line['step'] for line in lines(tmp_path)] == [1, 2]
  assert [step for step, _, _ in scalars(tmp_path)] == [1, 2]  # Also within one second.


@pytest.mark.parametrize('torn', ['{"step": 2, "lo', '{"step": 2, "loss": 1.0}', '{"st\n', '2\n'])
@pytest.mark.parametrize('from_step', [None, 5])
def test_a_torn_line_is_dropped(tmp_path, torn, from_step):
  whole = '{"step": 1, "loss": 0.5}\n'
  (tmp_path / 'metrics.jsonl').write_text(whole + torn)
  with Summary(tmp_path, from_step=from_step) as summary:
    summary.scalars(3, {'loss': 0.25})
  assert (tmp_path / 'metrics.jsonl').read_text() == whole + '{"step": 3, "loss": 0.25}\n'
  assert not list(tmp_path.glob('*.partial'))


def test_a_summary_that_is_not_enabled_writes_nothing(tmp_path):
  with Summary(tmp_path / 'run', enabled=False) as summary:
    summary.scalars(1, {'loss': 1.0})
    summary.image(1, 'clip', np.zeros((2, 2, 3), np.uint8))
  assert not (tmp_path / 'run').exists()


class Terminal(io.StringIO):
  def isatty(self):
    return True


class Clock:
  def __init__(self):
    self.now = 100.0

  def __call__(self):
    return self.now


def run(progress, clock, steps, seconds, frames=10, loss=0.5):
  for step in steps:
    clock.now += seconds
    progress.update(step, frames, loss)


def test_the_first_step_does_not_count_in_the_rate():
  clock, stream = Clock(), io.StringIO()
  progress = Progress(5, stream=stream, clock=clock, seconds=0)
  clock.now += 60  # Compiling.
  run(progress, clock, [1, 2, 3], 2.0)
  # 2 steps of 10 frames in 4 s: 5 frames/s; the 2 steps that are left take 4 s.
  assert stream.getvalue().splitlines() == [
    'step 1/5  loss 0.5000',
    'step 2/5  loss 0.5000  5.0 frames/s  0:06 left',
    'step 3/5  loss 0.5000  5.0 frames/s  0:04 left',
  ]


def test_frames_are_counted_within_a_step_too():
  clock, stream = Clock(), io.StringIO()
  progress = Progress(1, name='video', stream=stream, clock=clock, seconds=0)
  progress.update(0, 0)
  run(progress, clock, [0, 1], 5.0, loss=None)
  assert stream.getvalue().splitlines() == [
    'video 0/1', 'video 0/1  2.0 frames/s', 'video 1/1  2.0 frames/s  0:00 left'
  ]  # fmt: skip


def test_going_on_at_a_late_step_counts_only_what_this_run_did():
  clock, stream = Clock(), io.StringIO()
  run(Progress(4000, stream=stream, clock=clock, seconds=0), clock, [301, 302], 1.0)
  # 3698 steps of 1 s = 1:01:38.
  assert stream.getvalue().splitlines()[1].endswith('10.0 frames/s  1:01:38 left')


def test_without_a_terminal_a_line_comes_every_15_seconds_and_at_the_end():
  clock, stream = Clock(), io.StringIO()
  run(Progress(40, stream=stream, clock=clock), clock, range(1, 41), 1.0)
  assert '\r' not in stream.getvalue()
  steps = [line.split()[1] for line in stream.getvalue().splitlines()]
  assert steps == ['1/40', '16/40', '31/40', '40/40']


def test_on_a_terminal_one_line_is_rewritten_and_a_longer_one_is_covered():
  clock, stream = Clock(), Terminal()
  progress = Progress(100, stream=stream, clock=clock)
  run(progress, clock, [1], 1.0, loss=12345.678)
  run(progress, clock, [2], 1.0, loss=None)
  progress.close()
  first, second = stream.getvalue().split('\r')[1:]
  assert first == 'step 1/100  loss 12345.6780'
  assert second.startswith('step 2/100  10.0 frames/s')
  assert second.endswith('\n')
  assert stream.getvalue().count('\n') == 1

  shorter = Terminal()
  progress = Progress(2, stream=shorter, clock=clock)
  run(progress, clock, [1], 1.0, loss=1e30)
  run(progress, clock, [2], 1.0, loss=None)
  first, second = shorter.getvalue().split('\r')[1:]
  assert len(second) >= len(first)


def test_a_pause_does_not_count():
  clock, stream = Clock(), io.StringIO()
  progress = Progress(10, stream=stream, clock=clock, seconds=0)
  run(progress, clock, [1, 2], 1.0)
  go_on = progress.pause()
  clock.now += 1000  # Validation.
  go_on()
  run(progress, clock, [3], 1.0)
  assert stream.getvalue().splitlines()[-1].endswith('10.0 frames/s  0:07 left')


def test_a_loss_that_is_nan_is_shown():
  clock, stream = Clock(), io.StringIO()
  run(Progress(2, name='FCN', stream=stream, clock=clock), clock, [1], 1.0, loss=math.nan)
  assert stream.getvalue() == 'FCN 1/2  loss nan\n'
