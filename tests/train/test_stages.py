import jax
import numpy as np
import pytest
import tiny_runs

from fmx import jobs
from fmx.data.prepared import Dataset, open_dataset
from fmx.models import segmenter
from fmx.train import stages


def stage_of(name, folder='nowhere', **overrides):
  config = tiny_runs.config(**overrides)
  dataset = open_dataset(config.data.dataset, config.data.data_dir)
  return stages.Stage(name, config, dataset, folder)


def test_the_stages_differ_in_what_the_paper_says():
  fcn, convlstm = stage_of('fcn'), stage_of('convlstm')
  assert (fcn.clip_length, convlstm.clip_length) == (1, 5)
  assert (fcn.temporal, convlstm.temporal) == (False, True)
  assert (fcn.model().axis_name, fcn.model(axis_name=None).axis_name) == ('devices', None)
  new = convlstm.shapes['params']['head'].keys() - fcn.shapes['params']['head'].keys()
  assert new == {'convlstm'}
  convlstm.check()


def test_a_network_without_batch_norm_has_no_averages_and_trains_alone():
  vgg = {'model__trunk': 'vgg16', 'model__head': 'aspp', 'model__head_features': 4}
  fcn = stage_of('fcn', **vgg)
  assert fcn.shapes['batch_stats'] == fcn.shape_tree['batch_stats'] == {}
  assert fcn.state_like().batch_stats == {}
  fcn.check()
  with pytest.raises(ValueError, match="model.head is 'aspp', which has no ConvLSTM"):
    stage_of('convlstm', **vgg).check()


@pytest.mark.parametrize(
  ('overrides', 'expected'),
  [
    ({'fcn__epochs': 0}, 'fcn.epochs is 0; it must be above 0'),
    ({'fcn__learning_rate': float('nan')}, 'fcn.learning_rate is nan'),
    ({'fcn__gamma': -0.1}, 'fcn.gamma is -0.1; it must be 0 .frozen. or more'),
    ({'fcn__batch_size': 6}, 'fcn.batch_size is 6, which does not divide over 4 devices'),
    ({'evaluation__batch_size': 2}, 'evaluation.batch_size is 2, which does not divide over 4'),
    ({'fcn__margin': -1.0}, 'margin'),
    ({'fcn__groups': (('head/.*', 'new'),)}, 'matches no learning-rate rule'),
    ({'fcn__groups': (('.*', 'old'),)}, 'name the groups'),
    ({'data__augmentation__scale': 1.0}, 'scale is 1.0; it must be'),
    ({'data__image_size': 40}, 'must be a multiple of 16'),
    ({'data__clip_length': 0}, 'at least 1 frame'),
  ],
)
def test_what_cannot_be_trained_is_found_before_anything_is_written(overrides, expected):
  stage = stage_of('fcn', **overrides)
  with pytest.raises(ValueError, match=expected):
    stage.check()


@pytest.mark.parametrize('missing', ['train', 'validation', 'test'])
def test_every_split_that_will_be_needed_must_be_there(missing):
  stage = stage_of('fcn')
  lengths = {name: n for name, n in stage.dataset.clip_lengths.items() if name != missing}
  found = stage.dataset
  dataset = Dataset(found.name, found.directory, found.region, found.class_names, lengths)
  stage = stages.Stage('fcn', stage.config, dataset, 'nowhere')
  with pytest.raises(ValueError, match=f"has no split '{missing}'"):
    stage.check()


def test_fresh_variables_follow_from_seed_and_stage(monkeypatch):
  monkeypatch.setattr(segmenter, 'build', tiny_runs.build)
  one, other = stage_of('fcn'), stage_of('fcn', seed=1)
  kernels = [
    variables['params']['head']['conv6']['kernel']
    for variables in (one.fresh_variables(), one.fresh_variables(), other.fresh_variables())
  ]
  np.testing.assert_array_equal(kernels[0], kernels[1])
  assert np.abs(kernels[0] - kernels[2]).max() > 0.01


def test_frozen_groups_do_not_learn_and_gamma_divides_the_rates():
  stage = stage_of('convlstm', convlstm__gamma=0.0)
  _, trainable = stage.optimizer(stage.shapes['params'], 10)
  learning = {
    '/'.join(key.key for key in path[:2])
    for path, learns in jax.tree_util.tree_leaves_with_path(trainable)
    if learns
  }
  assert learning == {'head/convlstm'}
  table = jobs.overview(stage).splitlines()
  assert next(row for row in table if row.startswith('head/convlstm')).split()[-1] == '0.001'
  assert next(row for row in table if row.startswith('trunk/stage5')).split()[-1] == '0'
  sizes = [int(row.split()[1].replace(',', '')) for row in table[2:]]
  assert sum(sizes[:-1]) == sizes[-1]


@pytest.mark.parametrize(
  ('names', 'other', 'holds'),
  [
    (('fcn', 'convlstm'), '', True),
    (('fcn',), '', True),
    (('convlstm',), 'there', True),
    (('convlstm',), '', False),
    (('fcn', 'convlstm'), 'there', False),
    (('convlstm', 'fcn'), '', False),
    (('fcn', 'fcn'), '', False),
    (('eyes',), 'there', False),
    ((), '', False),
  ],
)
def test_stages_come_in_order_and_the_fcn_from_one_place(names, other, holds):
  config = tiny_runs.config(stages=names, trained_fcn=other)
  if holds:
    jobs.check_stages(config)
    return
  with pytest.raises(ValueError, match='stages is'):
    jobs.check_stages(config)
