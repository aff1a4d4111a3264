import json

import pytest
import tiny_runs

from fmx import benchmark
from fmx.models import segmenter


@pytest.fixture
def tiny_network(monkeypatch):
  monkeypatch.setattr(segmenter, 'build', tiny_runs.build)


def test_the_benchmark_times_both_stages_and_the_input(tiny_network, tmp_path, capsys):
  config = tiny_runs.config(benchmark__steps=2, benchmark__batch_size=4)
  benchmark.run(config, tmp_path)
  rows = json.loads((tmp_path / 'benchmark.json').read_text())
  assert [row['what'].split(':')[-1].strip() for row in rows[:4]] == ['training', 'prediction'] * 2
  assert [row['what'].split(',')[0] for row in rows[4:]] == [
    'input of the FCN',
    'input of the ConvLSTM-FCN',
  ]
  for row in rows:
    frames = int(row['batch'].split(' x ')[0]) * int(row['batch'].split(' x ')[1])
    # Both figures are rounded, the time to 0.1 ms.
    assert float(row['frames/s']) * float(row['ms/step']) / 1000 == pytest.approx(frames, rel=0.6)
  printed = capsys.readouterr().out
  assert all(row['ms/step'] in printed for row in rows)
  assert (tmp_path / 'benchmark.md').read_text().startswith('| what')


def test_the_benchmark_needs_no_data(tiny_network, tmp_path, capsys):
  config = tiny_runs.config(
    benchmark__steps=1, benchmark__batch_size=4, data__data_dir=str(tmp_path / 'none')
  )
  benchmark.run(config, tmp_path)
  assert 'The input pipeline is not timed' in capsys.readouterr().out
  assert len(json.loads((tmp_path / 'benchmark.json').read_text())) == 4


def test_a_batch_that_does_not_divide_over_the_devices_is_named(tiny_network, tmp_path):
  config = tiny_runs.config(benchmark__batch_size=3)
  with pytest.raises(ValueError, match='benchmark.batch_size is 3, which does not divide over 4'):
    benchmark.run(config, tmp_path)
