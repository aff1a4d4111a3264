"""The whole job with networks so small that they take seconds."""

import json
import re

import pytest
import tiny_runs

from configs.tables import figure5, figure6, networks, table3, table4, table9
from fmx import jobs
from fmx.models import segmenter
from fmx.paper import job, plan

TINY = {name: value for name, value in tiny_runs.OVERRIDES.items() if 'dataset' not in name}
TINY |= {'convlstm.batch_size': 4, 'fcn.epochs': 1, 'convlstm.epochs': 1}


def configuration(*tables):
  config = networks.plan(*(table.TABLE for table in tables))
  config.scale = 'tiny'
  config.scales.tiny = {'all': tuple(TINY.items()), 'some': ()}
  config.base.data.dataset = tiny_runs.DATASET
  config.runs = tuple(
    (name, tuple((option, of_tests(value)) for option, value in changes))
    for name, changes in config.runs
  )
  config.data_dir = str(tiny_runs.data_dir())
  return config.lock()


def of_tests(value):
  """The dataset of the tests in place of one of the paper's."""
  if not isinstance(value, str) or not value.startswith('the300vw_mask/'):
    return value
  return value.replace('/', '/released_')


@pytest.fixture
def trained(monkeypatch):
  """The networks that were trained, by their folders; each is tiny."""
  monkeypatch.setattr(segmenter, 'build', tiny_runs.build)
  names, train = [], jobs.train
  monkeypatch.setattr(
    jobs, 'train', lambda config, at: names.append(at.name) or train(config, at)
  )
  return names


def test_tables_share_networks_and_what_was_interrupted_goes_on(tmp_path, trained, monkeypatch):
  train = jobs.train

  def break_down(config, at):
    if len(trained) == 2:
      raise KeyboardInterrupt
    return train(config, at)

  monkeypatch.setattr(jobs, 'train', break_down)
  with pytest.raises(KeyboardInterrupt):
    job.run(configuration(table3), tmp_path)
  page = (tmp_path / 'results/index.html').read_text()
  assert '2 of 3 networks and systems are done' in page
  monkeypatch.setattr(jobs, 'train', train)
  assert job.run(configuration(table3), tmp_path) == tmp_path / 'results/index.html'
  assert len(trained) == len(set(trained)) == 3
  job.run(configuration(table4), tmp_path)  # Of the same networks.
  assert len(trained) == 3
  folders = {path.name for path in (tmp_path / 'networks').iterdir()}
  assert folders == set(trained)
  assert {name.partition('_')[0] for name in folders} == {'fcn', 'convlstm'}
  made = json.loads((tmp_path / f'networks/{trained[0]}/made.json').read_bytes())
  assert made['versions'] == [job.version()]


def test_the_ladder_and_its_figures(tmp_path, trained):
  page = job.run(configuration(table9, figure5, figure6), tmp_path).read_text()
  assert len(trained) == len(set(trained)) == 8
  row = re.search(r'<tr><td>Primary \+ zoomed-in models</td>(.*?)</tr>', page)[1]
  cells = re.findall(r'>([^<]*)</td>', row)
  (results,) = (tmp_path / 'networks').glob('together_*/results.json')
  ours = json.loads(results.read_bytes())['ConvLSTM-FCN + zoomed-in models']['miou']
  assert cells[5] == f'{100 * ours:.2f}'
  assert cells[-2:] == ['63.76', '+9.26']
  assert page.count('data:image/jpeg;base64,') == 1
  assert page.count('<svg') == 1
  assert (tmp_path / 'results/figure5.jpg').read_bytes()[:2] == b'\xff\xd8'
  assert 'results/figure6.svg' in {
    str(path.relative_to(tmp_path)) for path in tmp_path.rglob('*.svg')
  }


def test_a_baseline_whose_library_is_missing_is_left_out_with_its_reason(
  tmp_path, trained, monkeypatch
):
  def missing(system):
    raise ImportError("pip install 'fmx[landmarks]'")

  monkeypatch.setattr(job, 'evaluate_together', missing)
  config = configuration(table3).unlock()
  config.systems = ((networks.TRACKER, *networks.SYSTEMS[networks.TRACKER]),)
  table = dict(config.tables[0])
  table['rows'] += (('Face tracker', networks.TRACKER, '68-landmark tracker', 60.09),)
  config.tables = (tuple(table.items()),)
  text = (job.run(config, tmp_path).parent / 'report.md').read_text()
  assert "Left out: Face tracker: pip install 'fmx[landmarks]'" in text
  (row,) = (line for line in text.splitlines() if line.startswith('| Face tracker'))
  cells = [cell.strip() for cell in row.split('|')[1:-1]]
  assert cells[1:-2] == ['–'] * 8
  assert cells[-2] == '60.09'


def test_a_folder_is_named_by_what_is_computed_not_where(tmp_path):
  one = plan.read(configuration(table3), tmp_path / 'a').networks
  config = configuration(table4)
  config.base.data.workers, config.data_dir = 3, 'elsewhere'
  other = plan.read(config, tmp_path / 'b').networks
  names = [[run.folder.name for run in networks.values()] for networks in (one, other)]
  assert names[0] == names[1]
  config.base.seed = 1
  moved = plan.read(config, tmp_path).networks
  assert not {run.folder.name for run in moved.values()} & set(names[0])


@pytest.mark.parametrize(
  ('option', 'value', 'message'),
  [
    ('scale', 'huge', "scale is 'huge'; it must be one of"),
    ('runs', (('a', (('fcn.epoch', 1),)),), "'a' cannot be set"),
    ('runs', (('a', (('trained_fcn', 'b'),)),), "'a' begins with 'b', which is no network"),
    ('runs', (), "row 'baseline-FCN' is of 'baseline-FCN', which is not planned"),
    ('systems', (('s', (('fcn', 'b'),), ()),), "'s' has 'b', which is no network"),
  ],
)
def test_what_makes_no_sense_is_refused(option, value, message, tmp_path):
  config = configuration(table3)
  config[option] = value
  with pytest.raises(ValueError, match=message):
    job.run(config, tmp_path)
  assert not list(tmp_path.iterdir())
