import itertools
import json

import jax
import pytest
import tiny_runs

from fmx.benchmark import job, machine, meter, report, rows, scaling, tracing
from fmx.data.prepared import open_dataset
from fmx.models import segmenter


@pytest.fixture
def tiny_network(monkeypatch):
  monkeypatch.setattr(segmenter, 'build', tiny_runs.build)


@pytest.fixture
def short(monkeypatch):
  """Takes less time for what takes longer the more exact it is to be."""
  monkeypatch.setattr(rows, 'INPUT_SECONDS', 0.3)
  monkeypatch.setattr(machine, '_SIDE', {'cpu': 256})
  monkeypatch.setattr(machine, '_MEGABYTES', {'cpu': 8})


class Clock:
  """A clock that only moves when it is told to."""

  def __init__(self):
    self.now = 0.0

  def __call__(self):
    return self.now

  def source(self, *, start, ahead, seconds):
    """Elements of which the first ones were ready when the source had started."""
    self.now += start
    for number in itertools.count():
      self.now += 0.0 if number < ahead else seconds
      yield number


@pytest.mark.parametrize('ahead', [0, 1, 9])
def test_what_a_source_prepared_while_it_started_is_no_speed(ahead):
  clock = Clock()
  source = clock.source(start=2.0, ahead=ahead, seconds=0.25)
  first, seconds = meter.time_source(lambda: source, steps=20, least_seconds=1.0, clock=clock)
  assert first == pytest.approx(2.0 if ahead else 2.25)
  assert seconds == pytest.approx(0.25)
  assert next(source) == 20


def test_a_source_is_drawn_from_for_long_enough():
  clock = Clock()
  source = clock.source(start=0.0, ahead=0, seconds=0.125)
  meter.time_source(lambda: source, steps=2, least_seconds=4.0, clock=clock)
  assert next(source) == 33


def test_a_source_that_ends_is_not_timed():
  with pytest.raises(ValueError, match='ended after 3 elements'):
    meter.time_source(lambda: iter(range(3)), steps=4, least_seconds=0.0)


def test_the_call_that_compiles_does_not_count():
  clock = Clock()
  times = iter([9.0, 1.0, 2.0, 3.0, 4.0])

  def call():
    clock.now += next(times)

  timing = meter.time_calls(call, 4, clock=clock)
  assert timing.seconds == (1.0, 2.0, 3.0, 4.0)
  assert timing.median == 2.5
  assert timing.spread == (1.75, 3.25)


def test_shares_are_of_what_the_machine_can_do():
  best = machine.Machine('cpu', 1, flops=100e9, bandwidth=10e9, dtype='float32')
  assert best.shares(flops=25e9, moved=2e9, seconds=0.5) == (0.5, 0.4)


def test_the_benchmark_times_both_stages_and_the_input(tiny_network, short, tmp_path, capsys):
  pytest.importorskip('matplotlib', reason='matplotlib draws the roofline')
  config = tiny_runs.config(benchmark__steps=2, benchmark__batch_size=4)
  job.run(config, tmp_path / 'first')
  found = json.loads((tmp_path / 'first/benchmark.json').read_bytes())
  names = [row['what'] for row in found['rows']]
  assert [name.split(':')[-1].strip() for name in names[:4]] == ['training', 'prediction'] * 2
  assert [name.split(',')[0] for name in names[4:]] == [
    'input of the FCN',
    'input of the ConvLSTM-FCN',
  ]
  for row in found['rows']:
    assert row['frames_per_second'] == pytest.approx(row['frames'] / row['seconds'])
  assert all(row['flops'] > 1000 and row['moved'] > 1000 for row in found['rows'][:4])
  assert found['machine']['flops'] > 1e6 < found['machine']['bandwidth']
  assert (tmp_path / 'first/benchmark.png').stat().st_size > 5000
  again = tiny_runs.config(
    benchmark__steps=1,
    benchmark__batch_size=4,
    benchmark__against=str(tmp_path / 'first'),
    data__data_dir=str(tmp_path / 'none'),
  )
  capsys.readouterr()
  job.run(again, tmp_path / 'second')
  printed = capsys.readouterr().out
  assert 'The input pipeline is not timed' in printed
  lines = (tmp_path / 'second/benchmark.md').read_text().splitlines()
  header = next(line for line in lines if line.startswith('| what'))
  assert header.split('|')[-2].strip() == '× before'
  new = json.loads((tmp_path / 'second/benchmark.json').read_bytes())['rows']
  for before, row in zip(found['rows'][:4], new, strict=True):
    (line,) = [line for line in lines if line.startswith(f'| {row["what"]} ')]
    ratio = row['frames_per_second'] / before['frames_per_second']
    assert line.split('|')[-2].strip() == f'{ratio:.2f}'


def test_an_input_of_whole_frames_is_timed_too(tiny_network, short):
  config = tiny_runs.config(
    data__data_dir=str(tiny_runs.frames_dir()),
    data__dataset='the300vw_mask/stills_frames',
    data__clip_length=1,
    stages=('fcn',),
    benchmark__steps=1,
  )
  dataset = open_dataset(config.data.dataset, config.data.data_dir)
  (row,) = rows.of_input(config, dataset)
  assert row.frames == config.fcn.batch_size
  assert row.seconds > 0


@pytest.mark.parametrize('content', ['', '{}', '{"rows": 3}', '[1]'])
def test_an_earlier_benchmark_that_is_none_is_named(content, tmp_path):
  (tmp_path / 'benchmark.json').write_text(content)
  with pytest.raises(ValueError, match='benchmark.against is .*benchmark.json'):
    report.read(tmp_path)


def test_a_batch_that_does_not_divide_over_the_devices_is_named(tiny_network, short, tmp_path):
  config = tiny_runs.config(benchmark__batch_size=3)
  with pytest.raises(ValueError, match='benchmark.batch_size is 3, which does not divide over 4'):
    job.run(config, tmp_path)


def test_a_trace_tells_the_costliest_operation(tmp_path):
  matrix = jax.numpy.ones((256, 256))
  seconds = tracing.trace(jax.jit(lambda: jax.lax.sort(matrix @ matrix)), tmp_path)
  assert sum(seconds.values()) > 0
  rows = tracing.table(seconds)
  assert rows[0] == ['operation', 'ms', 'share']
  assert [float(row[1]) for row in rows[1:]] == sorted(
    (float(r[1]) for r in rows[1:]), reverse=True
  )


def test_collectives_are_told_by_their_names():
  seconds = {'fusion.1': 3.0, 'all-reduce.2': 1.0, 'all_gather': 0.0}
  assert tracing.collectives(seconds) == 0.25
  assert tracing.collectives({}) == 0.0


def test_more_devices_get_more_work():
  config = tiny_runs.config(benchmark__batch_size=1, benchmark__steps=1)
  with config.unlocked():
    config.model.update(width=2, stem=4, blocks=(1, 1, 1, 1))
  (two,) = scaling.measure(config, (2,))
  assert (two.devices, two.virtual) == (2, True)
  assert two.rate > 0
  table = scaling.table([scaling.Scaled(1, 10.0, 0.0, False), scaling.Scaled(2, 15.0, 0.1, False)])
  assert table[2] == ['2', '15.00', '75 %', '10.0 %']
