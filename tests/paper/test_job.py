"""The job: what is trained, shared, gone on with and left out; once with networks, tiny ones."""

import json
import re

import numpy as np
import pytest
import tiny_runs

from configs.tables import figure5, figure6, networks, table2, table3, table4
from fmx import jobs
from fmx.evaluation.protocol import FrameScore, summarize
from fmx.models import segmenter
from fmx.paper import job, plan
from fmx.train.stages import TITLES
from tfds_300vw import placing

TINY = {name: value for name, value in tiny_runs.OVERRIDES.items() if 'dataset' not in name}
TINY |= {'convlstm.batch_size': 4, 'fcn.epochs': 1, 'convlstm.epochs': 1}
CLASSES = ('background', 'facial_skin', 'eyes')


def configuration(*tables):
  config = networks.plan(*(table.TABLE for table in tables))
  config.scale = 'tiny'
  config.scales.tiny = {'all': tuple(TINY.items()), 'some': ()}
  config.base.data.dataset = tiny_runs.DATASET
  return config


def fake_results():
  counts = np.eye(3, dtype=np.int64) * 3 + 1
  scores = [FrameScore('1', clip, 0, 1, counts) for clip in ('a', 'b')]
  return summarize(scores, CLASSES)


@pytest.fixture
def trained(monkeypatch):
  """The folders of the networks that were trained, as it were."""
  names = []

  def train(config, folder):
    names.append(folder.name)
    placing.make_folder(folder)
    (folder / job.RESULTS).write_text(
      json.dumps({TITLES[name]: fake_results() for name in config.stages})
    )

  monkeypatch.setattr(jobs, 'train', train)
  return names


def test_tables_share_networks_and_what_was_interrupted_goes_on(tmp_path, trained, monkeypatch):
  train = jobs.train

  def break_down(config, at):
    if len(trained) == 2:
      raise KeyboardInterrupt
    train(config, at)

  with monkeypatch.context() as context:
    context.setattr(jobs, 'train', break_down)
    with pytest.raises(KeyboardInterrupt):
      job.run(configuration(table3), tmp_path)
  page = tmp_path / 'results/index.html'
  assert '2 of 3 networks and systems are done' in page.read_text()
  assert job.run(configuration(table3), tmp_path) == page
  assert '3 of 3 networks and systems are done' in page.read_text()
  job.run(configuration(table4), tmp_path)  # Of the same networks.
  assert len(trained) == len(set(trained)) == 3
  assert {path.name for path in (tmp_path / 'networks').iterdir()} == set(trained)
  assert [name.partition('_')[0] for name in trained] == ['fcn', 'convlstm', 'convlstm']
  made = json.loads((tmp_path / f'networks/{trained[0]}/made.json').read_bytes())
  assert made['versions'] == [job.version()]


def test_a_second_stage_begins_with_the_network_that_it_names(tmp_path):
  fcn, adam, rmsprop = plan.read(configuration(table3), tmp_path).networks.values()
  assert fcn.config.trained_fcn == ''
  assert adam.config.trained_fcn == rmsprop.config.trained_fcn == str(fcn.folder)
  assert (adam.config.convlstm.optimizer, rmsprop.config.convlstm.optimizer) == ('adam', 'rmsprop')
  assert (adam.config.convlstm.gamma, adam.config.model.width) == (0.0, TINY['model.width'])


def test_equal_networks_of_two_names_are_trained_once(tmp_path, trained):
  config = configuration(table3)
  (_, changes), *_ = config.runs
  config.runs = (*config.runs, ('the same again', changes))
  job.run(config, tmp_path)
  assert len(trained) == 3


def test_networks_and_pictures_of_the_whole_system(tmp_path, monkeypatch):
  monkeypatch.setattr(segmenter, 'build', tiny_runs.build)
  config = configuration(figure5, figure6)
  eyes = (('stages', ('fcn',)), ('data.dataset', 'the300vw_mask/released_eyes'))
  kept = (networks.FCN, networks.primary_model(0.05))
  config.runs = (*(pair for pair in config.runs if pair[0] in kept), ('eyes', eyes))
  parts = (('fcn', kept[0]), ('primary', kept[1]), ('eyes', 'eyes'))
  config.systems = ((networks.TOGETHER, parts, ()),)
  config.data_dir = str(tiny_runs.data_dir())
  page = job.run(config.lock(), tmp_path).read_text()
  (path,) = (tmp_path / 'networks').glob('together_*/results.json')
  ours = json.loads(path.read_bytes())['ConvLSTM-FCN + zoomed-in models']['subjects']['004']
  (row,) = re.findall(r'<tr><td>004</td>(.*?)</tr>', page)
  assert row.endswith(f'<td>{100 * ours["mean"]:.2f} ± {100 * ours["std"]:.2f}</td>')
  assert (page.count('data:image/jpeg;base64,'), page.count('<svg')) == (1, 1)
  assert (tmp_path / 'results/figure5.jpg').read_bytes()[:2] == b'\xff\xd8'
  assert (tmp_path / 'results/figure6.svg').read_text().startswith('<svg')


def test_a_baseline_whose_library_is_missing_is_left_out_with_its_reason(
  tmp_path, trained, monkeypatch
):
  def missing(system):
    raise ImportError("pip install 'fmx[landmarks]'")

  monkeypatch.setattr(job, 'evaluate_together', missing)
  config = configuration(table3)
  config.systems = ((networks.TRACKER, *networks.SYSTEMS[networks.TRACKER]),)
  table = dict(config.tables[0])
  table['rows'] += (('Face tracker', networks.TRACKER, '68-landmark tracker', 60.09),)
  config.tables = (tuple(table.items()),)
  text = (job.run(config, tmp_path).parent / 'report.md').read_text()
  assert "Left out: Face tracker: pip install 'fmx[landmarks]'" in text
  (row,) = (line for line in text.splitlines() if line.startswith('| Face tracker'))
  cells = [cell.strip() for cell in row.split('|')[2:-1]]
  assert cells == ['–', '60.09', '–', '+5.59', '–', *['–'] * len(CLASSES)]


def test_a_folder_is_named_by_what_is_computed_not_where(tmp_path):
  def names(config, folder):
    return [run.folder.name for run in plan.read(config, folder).networks.values()]

  config = configuration(table4)
  config.base.log_every, config.data_dir = 3, 'elsewhere'
  assert names(configuration(table3), tmp_path / 'a') == names(config, tmp_path / 'b')
  before = names(config, tmp_path)
  config.base.seed = 1
  assert not set(before) & set(names(config, tmp_path))


def test_each_trunk_begins_with_its_own_weights(tmp_path):
  config = networks.plan(table2.TABLE)
  config.pretrained.vgg16, config.pretrained.resnet50 = 'vgg.h5', 'resnet.h5'
  planned = plan.read(config, tmp_path).networks
  assert {name: one.config.model.pretrained for name, one in planned.items()} == {
    networks.FCN: 'resnet.h5',
    networks.VGG: 'vgg.h5',
    networks.DEEPLAB: 'vgg.h5',
  }


def test_another_fcn_makes_another_second_stage(tmp_path):
  config = configuration(table3)
  before = plan.read(config, tmp_path).networks
  (fcn, changes), *others = config.runs
  config.runs = ((fcn, (*changes, ('fcn.epochs', 7))), *others)
  after = plan.read(config, tmp_path).networks
  assert not {run.folder for run in before.values()} & {run.folder for run in after.values()}


@pytest.mark.parametrize(
  ('option', 'value', 'message'),
  [
    ('base.model.pretrained', 'a.h5', 'set pretrained.resnet50 or pretrained.vgg16'),
    ('scale', 'huge', "scale is 'huge'; it must be one of"),
    ('runs', (('a', (('fcn.epoch', 1),)),), "'a' cannot be set"),
    ('runs', (('a', (('trained_fcn', 'b'),)),), "'a' begins with 'b', which is no network"),
    ('runs', (), "row 'baseline-FCN' is of 'baseline-FCN', which is not planned"),
    ('systems', (('s', (('fcn', 'b'),), ()),), "'s' has 'b', which is no network"),
  ],
)
def test_what_makes_no_sense_is_refused(option, value, message, tmp_path):
  config = configuration(table3)
  config.update_from_flattened_dict({option: value})
  with pytest.raises(ValueError, match=message):
    job.run(config, tmp_path)
  assert not list(tmp_path.iterdir())


def test_the_report_s_libraries_are_asked_for_before_anything_is_trained(
  tmp_path, trained, monkeypatch
):
  monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
  with pytest.raises(ValueError, match=r"jinja2: pip install 'fmx\[tables\]'"):
    job.run(configuration(table3), tmp_path)
  assert not trained
