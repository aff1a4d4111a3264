import json

import pytest
import tiny_runs

from configs import ablations
from fmx import jobs, study
from fmx.models import segmenter

TINY = {
  'data.image_size': 32,
  'model.head_features': 4,
  'model.width': 2,
  'model.stem': 4,
  'model.blocks': (1, 1, 1),
  'fcn.epochs': 1,
  'fcn.batch_size': 8,
}
RUNS = (('The recipe', ()), ('no mean', (('fcn.average', 0.0),)))


def configuration(runs=RUNS):
  config = ablations.get_config()
  config.base.update_from_flattened_dict(TINY)
  config.base.data.data_dir = str(tiny_runs.frames_dir())
  config.runs = runs
  return config.lock()


@pytest.fixture
def tiny_network(monkeypatch):
  monkeypatch.setattr(segmenter, 'build', tiny_runs.build)


@pytest.mark.usefixtures('tiny_network')
def test_each_run_has_its_change_and_what_is_done_is_not_done_again(tmp_path, monkeypatch, capsys):
  results = study.run(configuration(RUNS[:1]), tmp_path)
  assert list(results) == ['The recipe']
  trained = []
  train = jobs.train
  monkeypatch.setattr(
    jobs, 'train', lambda config, at: trained.append((at.name, config)) or train(config, at)
  )
  results = study.run(configuration(), tmp_path)
  ((name, config),) = trained
  assert (name, config.fcn.average) == ('no_mean', 0.0)
  assert json.loads((tmp_path / 'results.json').read_bytes()) == results
  lines = (tmp_path / 'results.md').read_text().splitlines()
  assert [line.split('|')[1].strip() for line in lines[2:]] == ['The recipe', 'no mean']
  seen, hidden = (results['no mean'][kind]['miou'] for kind in ('seen', 'hidden'))
  before = results['The recipe']['seen']['miou']
  cells = [cell.strip() for cell in lines[3].split('|')[2:-1]]
  assert cells[:2] == [f'{100 * seen:.2f}', f'{100 * (seen - before):+.2f}']
  assert cells[6] == f'{100 * hidden:.2f}'
  assert set(results['no mean']['test']['iou']) >= {'facial_skin', 'eyes'}
  assert 'no mean' in capsys.readouterr().out


@pytest.mark.usefixtures('tiny_network')
def test_a_run_that_was_changed_since_is_refused(tmp_path):
  study.run(configuration(RUNS[:1]), tmp_path)
  with pytest.raises(ValueError, match='fcn.gamma'):
    study.run(configuration((('The recipe', (('fcn.gamma', 0.5),)),)), tmp_path)


@pytest.mark.parametrize(
  ('runs', 'message'),
  [
    ((), 'runs is empty'),
    ((('a', (('fcn.epoch', 1),)),), "'a' cannot be set.*epoch"),
    ((('a', (('fcn.epochs', 'two'),)),), "'a' cannot be set"),
    ((('a b', ()), ('A-b', ())), "two have the folder 'a_b'"),
  ],
)
def test_runs_that_make_no_sense_are_refused(runs, message, tmp_path):
  with pytest.raises(ValueError, match=message):
    study.run(configuration(runs), tmp_path)
  assert not list(tmp_path.iterdir())
