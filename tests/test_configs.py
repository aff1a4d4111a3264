import dataclasses
import importlib
import pathlib
import re

import pytest
from ml_collections import ConfigDict

from configs import primary
from fmx import jobs, losses
from fmx.data.spoiling import Spoiling
from fmx.data.transforms import Augmentation
from fmx.data.views import View
from fmx.models import segmenter
from fmx.paper import plan
from fmx.train import optimizer
from fmx.train.stages import STAGES

FOLDER = pathlib.Path(primary.__file__).parent
# What each says that it changes; whatever else it changed would be a surprise.
CHANGED = {
  'primary': set(),
  'fcn': {'stages'},
  'vgg16': {'stages', 'model', 'fcn'},
  'deeplab': {'stages', 'model', 'fcn', 'evaluation'},
  'evaluate': {'job'},
  'benchmark': {'job'},
  'finder': {'job', 'data'},
  'evaluate_finder': {'job', 'data'},
  'extract': {'job'},
  'extract_many': {'job'},
  'export': {'job'},
  'app': {'job'},
  'eyes': {'data', 'convlstm'},
  'mouth': {'data', 'convlstm'},
  'small': {'data', 'model', 'fcn', 'convlstm', 'evaluation'},
  'demo': {'job', 'data', 'model', 'fcn', 'convlstm', 'evaluation', 'demo', 'seed', 'log_every'},
}
# What each model of a configuration for several changes of the one of its region.
OF_SEVERAL = {'all': set(), 'faces': {'data', 'model', 'fcn', 'convlstm', 'evaluation'}}
# Its tables and figures.
OF_THE_PAPER = [path.stem for path in sorted((FOLDER / 'tables').glob('[tf]*.py'))]
OURS = ['losses']
# What the networks out of whole frames change of the paper's.
UPRIGHT = {'stages', 'data', 'model', 'fcn', 'evaluation'}


def flat(config, prefix=''):
  found = {}
  for name, value in config.items():
    if isinstance(value, ConfigDict):
      found |= flat(value, f'{prefix}{name}.')
    else:
      found[f'{prefix}{name}'] = value
  return found


def load(name):
  return importlib.import_module(f'configs.{name}')


def test_every_configuration_is_looked_at_here():
  assert {path.stem for path in FOLDER.glob('*.py')} - {
    '__init__'
  } == CHANGED.keys() | OF_SEVERAL.keys() | {'upright', 'ablations', 'memory'}


@pytest.mark.parametrize('name', CHANGED)
def test_a_configuration_adds_no_option_and_changes_what_it_says(name):
  changed = changed_groups(load(name).get_config(), primary.get_config())
  assert changed == CHANGED[name] or changed < CHANGED[name] and name == 'demo'


@pytest.mark.parametrize('name', OF_SEVERAL)
def test_a_configuration_of_several_models_is_made_of_theirs(name):
  config = load(name).get_config()
  assert set(config) == {'job', 'data_dir', 'models'}
  assert set(config.models) - {'finder'} == {'primary', 'eyes', 'mouth'}
  for region, model in config.models.items():
    expected = {'data'} if region == 'finder' else OF_SEVERAL[name]
    assert changed_groups(model, load(region).get_config()) == expected, region


def test_the_upright_networks_change_what_they_say_of_the_paper_s():
  config = load('upright').get_config()
  assert set(config) == {'job', 'data_dir', 'pretrained', 'models'}
  assert set(config.models) == {'primary', 'mouth', 'eye', 'finder'}
  del config.models.finder
  for region, model in config.models.items():
    assert changed_groups(model, primary.get_config()) == UPRIGHT
    assert model.data.view.region == region
    assert (model.data.clip_length, model.stages) == (1, ('fcn',))
  assert [model.model.blocks for model in config.models.values()] == [
    {'primary': (3, 4, 6, 3)}.get(region, (3, 4, 6)) for region in config.models
  ]


def test_the_upright_networks_begin_with_one_file_and_are_made_of_one_dataset():
  config = load('upright').get_config()
  config.data_dir, config.pretrained = 'elsewhere', 'there.onnx'
  assert {model.data.data_dir for model in config.models.values()} == {'elsewhere'}
  assert {model.model.pretrained for model in config.models.values()} == {'there.onnx', ''}
  assert len({model.data.dataset for model in config.models.values()}) == 1


def test_models_of_one_configuration_share_the_folder_of_their_data():
  config = load('all').get_config()
  config.data_dir = 'elsewhere'
  assert {model.data.data_dir for model in config.models.values()} == {'elsewhere'}


def changed_groups(ours, theirs):
  """The groups of the options that differ; there are the same ones, of the same types."""
  ours, theirs = flat(ours), flat(theirs)
  assert ours.keys() == theirs.keys()
  assert all(type(ours[option]) is type(theirs[option]) for option in ours)
  return {option.partition('.')[0] for option in ours if ours[option] != theirs[option]}


def test_ablations_change_the_recipe_of_whole_faces_one_choice_at_a_time():
  config = load('ablations').get_config()
  face = load('upright').get_config().models.primary
  shorter = {'data.image_size', 'fcn.epochs', 'model.pretrained'}
  assert differing(config.base, face) <= shorter
  (_, nothing), *changes = config.runs
  assert nothing == ()
  known = flat(config.base)
  for name, options in changes:
    assert options, name
    for option, value in options:
      assert type(value) is type(known[option]), f'{name}: {option}'


def differing(config, other):
  ours, theirs = flat(config), flat(other)
  return {name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)}


@pytest.mark.parametrize('name', [*CHANGED, *OF_SEVERAL, 'upright', 'ablations'])
def test_a_docstring_begins_with_a_sentence_and_has_the_command(name):
  doc = load(name).__doc__
  assert re.match(r'\S.*[.:]', doc)
  workdir = '\n' if name == 'app' else ' --workdir='
  assert f'python run.py --config=configs/{name}.py{workdir}' in doc


def test_the_paper_trains_like_this():
  config = primary.get_config().lock()
  fcn, convlstm = config.fcn, config.convlstm
  assert (fcn.epochs, fcn.batch_size, fcn.loss, fcn.gamma) == (80, 16, 'cross_entropy', 1.0)
  assert (convlstm.epochs, convlstm.batch_size, convlstm.loss) == (60, 2, 'seg_loss_linear')
  assert (convlstm.margin, convlstm.gamma, convlstm.batch_statistics) == (0.0, 0.05, False)
  assert (fcn.optimizer, fcn.learning_rate) == (convlstm.optimizer, 0.001) == ('adam', 0.001)
  assert (config.data.image_size, config.data.clip_length) == (320, 5)
  assert (config.model.head, config.model.peepholes, config.model.kernel_size) == (
    ('coarse', True, (1, 1))
  )


def test_the_baselines_of_table_2_are_made_as_their_papers_say():
  fcn, deeplab = (load(name).get_config() for name in ('vgg16', 'deeplab'))
  for config, stride, crf in ((fcn, 32, None), (deeplab, 8, 10)):
    network = segmenter.build(config.model, 5, temporal=False, image_size=config.data.image_size)
    assert (network.trunk, network.blocks, network.top_stride) == ('vgg16', (2, 3, 3, 3), stride)
    assert (config.model.width, config.model.stem) == (64, 64)
    assert getattr(jobs.dense_crf(config), 'iterations', None) == crf
  assert (fcn.model.head, fcn.model.head_features) == ('fcn8', 4096)
  assert (deeplab.model.head, deeplab.model.head_features) == ('aspp', 1024)
  assert jobs.dense_crf(primary.get_config()) is None


def test_choices_are_among_those_of_the_library():
  config = primary.get_config()
  for stage in (config[name] for name in STAGES):
    assert stage.loss in losses.LOSSES
    assert stage.optimizer in optimizer.OPTIMIZERS
    assert stage.schedule in optimizer.SCHEDULES


def test_augmentation_is_off_and_has_every_option_there_is():
  assert primary.get_config().data.augmentation.to_dict() == dataclasses.asdict(Augmentation())


def test_views_vary_in_nothing_and_spoiling_is_off_and_both_have_every_option_there_is():
  data = primary.get_config().data
  assert data.view.to_dict() == dataclasses.asdict(View(region='primary', margin=1.45))
  assert data.spoiling.to_dict() == dataclasses.asdict(Spoiling())


@pytest.mark.parametrize('scale', ['paper', 'small'])
@pytest.mark.parametrize('name', ['all', *OF_THE_PAPER, *OURS])
def test_every_network_of_the_tables_can_be_built_at_both_scales(name, scale, tmp_path):
  config = load(f'tables.{name}').get_config().lock()
  config.scale = scale
  planned = plan.read(config, tmp_path)
  assert changed_groups(config.base, primary.get_config()) == set()
  assert planned.tables
  assert {one.folder for one in planned.networks.values()}.isdisjoint(
    one.folder for one in planned.systems.values()
  )
  for one in planned.networks.values():
    jobs.check_stages(one.config)
    (stage,) = one.config.stages
    losses.build(one.config[stage].loss, margin=one.config[stage].margin)
    segmenter.build(
      one.config.model, 5, temporal=stage == 'convlstm', image_size=one.config.data.image_size
    )


def test_all_tables_are_made_of_the_networks_of_each():
  config = load('tables.all').get_config()
  assert {dict(table)['name'] for table in config.tables} == set(OF_THE_PAPER)
  assert len(OF_THE_PAPER) == 10
  alone = {run for name in OF_THE_PAPER for run in load(f'tables.{name}').get_config().runs}
  assert alone == set(config.runs)
  assert len(config.runs) == 27


def test_the_tables_have_the_numbers_of_the_paper_that_survive():
  config = load('tables.all').get_config()
  known = {
    (label, miou)
    for table in config.tables
    for label, _, _, miou in dict(table)['rows']
    if miou is not None
  }
  assert {miou for _, miou in known} == {60.09, 54.50, 55.53, 63.76}
  assert ('Face tracker', 60.09) in known
  assert ('Primary + zoomed-in models', 63.76) in known


def test_losses_of_the_second_stage_are_compared_with_either_head_and_at_any_size():
  config = load('tables.losses').get_config
  assert dict(config().scales.small['all'])['model.head'] == 'fine'
  assert dict(config('coarse').scales.small['all'])['model.head'] == 'coarse'
  assert dict(config('coarse').scales.paper['all']) == {'model.head': 'coarse'}
  assert dict(config('coarse,160').scales.small['all'])['data.image_size'] == 160
  with pytest.raises(ValueError, match="'x' is no number of pixels"):
    config('coarse,x')
