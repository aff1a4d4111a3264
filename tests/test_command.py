"""The command `fmx`, in this process; tests/test_wheel.py runs it as people have it."""

import json
import pathlib

import pytest

import fmx
from configs import extract
from fmx import caching, command, pretrained, terminal
from fmx.extraction import job
from fmx.workdir import folder_of


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(pretrained, 'FOLDER', tmp_path / 'no weights')
  monkeypatch.setattr(terminal, 'talk', lambda level: None)  # It would outlast the test.


@pytest.fixture
def done(monkeypatch):
  """What the job is asked for, in place of doing it."""
  asked = []
  monkeypatch.setattr(job, 'run', lambda *arguments: asked.append(arguments))
  monkeypatch.setattr(job, 'check', lambda config: None)
  monkeypatch.setattr(caching, 'keep_compiled', lambda: None)
  return asked


@pytest.mark.parametrize(
  ('video', 'folder'),
  [
    ('clip.mp4', 'clip_masks'),
    ('/videos/of me/1.take.mkv', '1.take_masks'),
    ('~/clip', 'clip_masks'),
    ('frames', 'frames_masks'),
    ('frames/', 'frames_masks'),
    ('day.1', 'day.1_masks'),
    ('/', 'video_masks'),
  ],
)
def test_masks_go_to_a_folder_of_the_video_s_name_where_one_is(video, folder):
  for name in ('frames', 'day.1'):
    pathlib.Path(name).mkdir()
  assert folder_of(video) == pathlib.Path(folder)


def test_the_folder_in_which_one_is_has_a_name_too(tmp_path):
  assert folder_of('.') == pathlib.Path(f'{tmp_path.name}_masks')


def test_a_video_alone_is_enough(done):
  assert command.run(['videos/clip.mp4']) == 0
  ((config, workdir),) = done
  assert workdir == pathlib.Path('clip_masks')
  wanted = extract.get_config()
  wanted.video = 'videos/clip.mp4'
  assert config.to_dict() == wanted.to_dict()


def test_every_option_reaches_the_job(done):
  options = ['--faces=3', '--masks=video', '--contact-sheet', '--weights=mine', '--out=there']
  options += ['--outputs=masks,coco', '--plot', '--finder=CenterFace', '--engine=xla']
  options += ['--bridge=2', '--steadiness=0.5', '--skip=1']
  command.run(['clip.mp4', *options, '--box', '1', '2', '30', '40'])
  ((config, workdir),) = done
  assert workdir == pathlib.Path('there')
  assert (config.weights, config.contact_sheet, config.plot) == ('mine', True, True)
  assert config.extraction.outputs == ('masks', 'coco')
  options = config.extraction
  assert (options.max_faces, options.box, options.masks) == (3, (1, 2, 30, 40), 'video')
  assert (options.finder, options.engine) == ('CenterFace', 'xla')
  assert (options.bridge, options.steadiness, options.skip) == (2, 0.5, 1)


def test_what_is_compiled_is_kept_unless_an_option_says_not_to(done, monkeypatch):
  kept = []
  monkeypatch.setattr(caching, 'keep_compiled', lambda: kept.append(True))
  command.run(['clip.mp4', '--no-compilation-cache'])
  assert kept == []
  command.run(['clip.mp4'])
  assert kept == [True]


def test_the_demo_brings_its_own_clip_and_keeps_it(done):
  assert command.run(['--demo', '--out', 'demo']) == 0
  path = pathlib.Path('demo/astronaut.mp4')
  written = path.stat().st_mtime_ns
  assert command.run(['--demo', '--out', 'demo']) == 0
  assert path.stat().st_mtime_ns == written
  assert [config.video for config, _ in done] == [str(path)] * 2
  assert done[0][0].contact_sheet


@pytest.mark.parametrize(
  ('arguments', 'expected'),
  [
    ([], 'error: name a video, as in fmx clip.mp4, or see fmx --demo'),
    (['clip.mp4', '--demo'], 'error: name a video'),
    (['clip.mp4', '--face', '2'], 'error: unrecognized arguments: --face 2'),
    (['clip.mp4', '--faces', 'two'], "error: argument --faces: invalid int value: 'two'"),
    (['clip.mp4', '--masks', 'gif'], "error: argument --masks: invalid choice: 'gif'"),
  ],
)
def test_a_mistake_is_one_line(arguments, expected, capsys):
  with pytest.raises(SystemExit) as ended:
    command.run(arguments)
  output = ''.join(capsys.readouterr())
  assert ended.value.code == 2
  assert output.startswith(expected)
  assert output.count('\n') == 1


def test_without_networks_nothing_is_begun(tmp_path):
  for arguments in (['clip.mp4'], ['--demo']):
    answer = command.run(arguments)
    assert answer.startswith('error: No trained networks came with this copy of fmx')
    assert '\n' not in answer
  assert list(tmp_path.iterdir()) == []


def test_what_the_job_refuses_is_one_line_and_can_be_traced(tmp_path):
  arguments = ['nothere.mp4', '--weights', str(tmp_path)]
  assert command.run(arguments).endswith('nothere.mp4: there is no such file; check the path.')
  with pytest.raises(FileNotFoundError):
    command.run([*arguments, '--traceback'])


def test_the_version_names_the_networks(capsys, tmp_path, monkeypatch):
  assert command.run(['--version']) == 0
  assert capsys.readouterr().out == f'fmx {fmx.__version__}, no networks\n'
  (tmp_path / 'release.json').write_text(json.dumps({'version': '7', 'sha256': {'primary': 'ab'}}))
  monkeypatch.setattr(pretrained, 'FOLDER', tmp_path)
  command.run(['--version'])
  assert capsys.readouterr().out == f'fmx {fmx.__version__}, networks 7 (primary)\n'
