import json
import os
import subprocess
import sys

import pytest
from ml_collections import ConfigDict

from configs import primary
from fmx import workdir


def make_config(**changes):
  config = primary.get_config()
  config.update_from_flattened_dict({n.replace('__', '.'): v for n, v in changes.items()})
  return config


def claim_with_a_checkpoint(folder, **changes):
  workdir.claim(folder, make_config(**changes))
  (folder / 'fcn/checkpoints/5').mkdir(parents=True, exist_ok=True)


def test_a_new_workdir_gets_the_configuration_and_the_same_one_may_go_on(tmp_path):
  folder = tmp_path / 'not/there'
  claim_with_a_checkpoint(folder, seed=3)
  workdir.claim(folder, make_config(seed=3))
  assert workdir.load_config(folder).seed == 3
  assert sorted(path.name for path in folder.iterdir()) == ['config.json', 'fcn']


def test_tuples_and_lists_are_the_same(tmp_path):
  claim_with_a_checkpoint(tmp_path, model__blocks=(1, 2, 1, 1))
  other = make_config().to_dict()
  other['model']['blocks'] = [1, 2, 1, 1]
  workdir.claim(tmp_path, ConfigDict(other))
  loaded = workdir.load_config(tmp_path)
  assert loaded.model.blocks == [1, 2, 1, 1]
  assert loaded.convlstm.groups == [[r'head/(convlstm|memory\d?)/.*', 'new'], ['.*', 'rest']]


def test_another_configuration_is_refused_with_all_that_differs(tmp_path):
  claim_with_a_checkpoint(tmp_path)
  before = (tmp_path / 'config.json').read_text()
  other = make_config(fcn__learning_rate=0.1, model__head='fine')
  other.new = 1
  with pytest.raises(ValueError) as refusal:
    workdir.claim(tmp_path, other)
  assert str(refusal.value).startswith(
    f'{tmp_path} holds a run of another configuration: '
    "fcn.learning_rate is 0.1, there 0.001; model.head is 'fine', there 'coarse'; "
    "new is 1, there 'absent'. "
  )
  assert (tmp_path / 'config.json').read_text() == before


def test_a_run_of_before_there_was_a_choice_goes_on(tmp_path):
  claim_with_a_checkpoint(tmp_path)
  path = tmp_path / 'config.json'
  written = json.loads(path.read_text())
  del written['model']['trunk'], written['model']['memory'], written['data']['spoiled_frames']
  del written['evaluation']['dense_crf']
  path.write_text(json.dumps(written))
  workdir.claim(tmp_path, make_config())
  assert workdir.load_config(tmp_path).model.trunk == 'resnet50'
  assert workdir.load_config(tmp_path).data.spoiled_frames == 0
  with pytest.raises(ValueError, match="model.trunk is 'vgg16', there 'resnet50'"):
    workdir.claim(tmp_path, make_config(model__trunk='vgg16'))


def test_how_it_is_computed_may_differ(tmp_path):
  claim_with_a_checkpoint(tmp_path)
  free = {'data__workers': 7, 'data__data_dir': 'there', 'log_every': 1}
  workdir.claim(tmp_path, make_config(evaluation__batch_size=8, **free))


def test_where_nothing_was_saved_another_configuration_takes_the_place(tmp_path):
  workdir.claim(tmp_path, make_config(seed=1))
  (tmp_path / 'fcn/checkpoints').mkdir(parents=True)
  workdir.claim(tmp_path, make_config(seed=2))
  assert workdir.load_config(tmp_path).seed == 2


@pytest.mark.parametrize('content', [b'', b'{"job": "tra', b'[1]', b'\xff\xfe\x00'])
def test_a_torn_configuration_is_one_sentence_that_names_the_file(tmp_path, content):
  claim_with_a_checkpoint(tmp_path)
  (tmp_path / 'config.json').write_bytes(content)
  for use in (workdir.load_config, lambda folder: workdir.claim(folder, make_config())):
    with pytest.raises(ValueError, match=r'config\.json is no configuration .*restore it'):
      use(tmp_path)


def test_a_folder_that_is_no_workdir_says_so(tmp_path):
  with pytest.raises(FileNotFoundError, match='is not the workdir of a run'):
    workdir.load_config(tmp_path)


def test_a_workdir_that_cannot_be_written_is_one_sentence(tmp_path):
  (tmp_path / 'file').write_text('')
  with pytest.raises(OSError, match=r'file/run cannot be written \(Not a directory\)'):
    workdir.claim(tmp_path / 'file/run', make_config())


def test_a_claim_that_is_cut_short_leaves_the_old_configuration(tmp_path, monkeypatch):
  workdir.claim(tmp_path, make_config(seed=1))

  def full(*_):
    raise OSError(28, 'No space left on device')

  monkeypatch.setattr(os, 'replace', full)
  with pytest.raises(OSError, match='No space left on device'):
    workdir.claim(tmp_path, make_config(seed=2))
  assert json.loads((tmp_path / 'config.json').read_text())['seed'] == 1
  assert [path.name for path in tmp_path.iterdir()] == ['config.json']


def test_a_workdir_that_another_run_holds_is_refused_until_that_ends(tmp_path):
  script = (
    'import pathlib, sys, time; from fmx import workdir\n'
    'with workdir.held(pathlib.Path(sys.argv[1])): print("held", flush=True); time.sleep(60)'
  )
  other = subprocess.Popen([sys.executable, '-c', script, str(tmp_path)], stdout=subprocess.PIPE)
  assert other.stdout.readline() == b'held\n'
  with pytest.raises(ValueError, match='Another run is at work in'), workdir.held(tmp_path):
    raise AssertionError('both runs are in the folder')
  other.kill()
  other.wait()
  with workdir.held(tmp_path):
    assert (tmp_path / '.lock').exists()


def test_options_of_other_jobs_may_differ(tmp_path):
  claim_with_a_checkpoint(tmp_path)
  workdir.claim(tmp_path, make_config(video='clip.mp4', extraction__max_faces=3, weights='there'))
