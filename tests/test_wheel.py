import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import small_extractions
import tiny_weights

from fmx import pretrained

ROOT = Path(__file__).parent.parent
# Runs the console command of the folder that is its first argument, where no network is.
COMMAND = """
import importlib.metadata, socket, sys
def refuse(*_): raise OSError('there is no network')
socket.socket.connect = socket.getaddrinfo = refuse
(wheel,) = importlib.metadata.distributions(path=[sys.argv.pop(1)])
(command,) = wheel.entry_points.select(group='console_scripts', name='fmx')
sys.exit(command.load()())
"""


@pytest.fixture(scope='module')
def installed(tmp_path_factory):
  """The wheel, built and unpacked as pip would."""
  folder = tmp_path_factory.mktemp('wheel')
  build = [sys.executable, '-m', 'hatchling', 'build', '--target=wheel', f'--directory={folder}']
  done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
  assert done.returncode == 0, done.stderr
  (wheel,) = folder.glob('*.whl')
  with zipfile.ZipFile(wheel) as archive:
    archive.extractall(folder / 'site')
  return folder / 'site'


@pytest.fixture(scope='module')
def with_networks(installed, tmp_path_factory):
  """The same, with tiny networks in the place of those that ship."""
  site = shutil.copytree(installed, tmp_path_factory.mktemp('networks') / 'site')
  shutil.rmtree(site / 'fmx/pretrained/weights', ignore_errors=True)
  tiny_weights.shipped(site / 'fmx/pretrained/weights', 'finder', 'primary', 'mouth')
  return site


def run(site, folder, *arguments):
  """Runs python in a folder, with the packages of a site before all others."""
  return subprocess.run(
    [sys.executable, *map(str, arguments)],
    cwd=folder,
    env={'PYTHONPATH': str(site), 'PATH': '', 'JAX_DISABLE_MOST_OPTIMIZATIONS': '1'},
    capture_output=True,
    text=True,
    check=False,
  )


def test_the_wheel_holds_the_packages_and_nothing_else(installed):
  assert {path.name for path in installed.iterdir() if not path.name.endswith('.dist-info')} == {
    'configs',
    'fmx',
    'tfds_300vw',
  }
  for package in ('configs', 'fmx', 'tfds_300vw'):
    for path in (ROOT / package).rglob('*.py'):
      assert (installed / path.relative_to(ROOT)).is_file(), path


def test_the_wheel_holds_what_ships_with_the_code(installed):
  for name in ('example/astronaut.jpg', 'pretrained/TERMS.md'):
    assert (installed / 'fmx' / name).read_bytes() == (ROOT / 'fmx' / name).read_bytes()
  (licences,) = installed.glob('*.dist-info/licenses')
  assert {path.name for path in licences.rglob('*') if path.is_file()} == {'LICENSE', 'TERMS.md'}
  networks = pretrained.FOLDER.rglob('*') if pretrained.FOLDER.is_dir() else ()
  for path in networks:
    copy = installed / 'fmx/pretrained/weights' / path.relative_to(pretrained.FOLDER)
    assert copy.read_bytes() == path.read_bytes()


def test_the_wheel_says_that_the_packages_are_typed(installed):
  assert [
    package for package in ('fmx', 'tfds_300vw') if not (installed / package / 'py.typed').is_file()
  ] == []


def test_the_dataset_of_the_wheel_has_its_description_citation_and_tags(installed, tmp_path):
  program = (
    'import tfds_300vw; print(tfds_300vw.__file__);'
    'metadata = tfds_300vw.Builder.get_metadata();'
    'print(len(metadata.description) > 500, "@article" in metadata.citation, len(metadata.tags))'
  )
  done = run(installed, tmp_path, '-c', program)
  assert done.returncode == 0, done.stderr
  where, facts = done.stdout.splitlines()
  assert Path(where).is_relative_to(installed)
  assert facts == 'True True 4'


def test_a_video_becomes_masks_by_the_command_of_the_wheel_alone(with_networks, tmp_path):
  small_extractions.write_video(
    tmp_path / 'clip.mp4', small_extractions.pictures(7), sound='aac', beep=(0, 0.1)
  )
  command = ['-c', COMMAND, with_networks]
  done = run(
    with_networks, tmp_path, *command, 'clip.mp4', '--box', 8, 4, 48, 44, '--contact-sheet'
  )
  assert done.returncode == 0, done.stderr
  assert 'Look at clip_masks/overlay.mp4' in done.stdout
  out = tmp_path / 'clip_masks'
  assert {path.name for path in out.iterdir()} == {
    '.lock', 'contact_sheet.png', 'extraction.json', 'masks', 'measurements.csv',
    'measurements.parquet', 'overlay.mp4', 'summary.json',
  }  # fmt: skip
  assert len(list((out / 'masks').iterdir())) == 7
  summary = json.loads((out / 'summary.json').read_text())
  assert summary['weights'] == 'networks 7 (finder, primary, mouth)'
  assert (summary['totals']['frames'], summary['video']['sound']) == (7, 'copied')


def test_the_command_of_the_wheel_says_what_it_lacks(with_networks, tmp_path):
  done = run(with_networks, tmp_path, '-m', 'fmx', 'nothere.mp4')
  assert (done.returncode, done.stdout) == (1, '')
  assert done.stderr == f'error: {tmp_path}/nothere.mp4: there is no such file; check the path.\n'
