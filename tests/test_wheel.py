import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


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


def test_the_wheel_holds_the_packages_and_nothing_else(installed):
  assert {path.name for path in installed.iterdir() if not path.name.endswith('.dist-info')} == {
    'configs',
    'fmx',
    'tfds_300vw',
  }


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
  done = subprocess.run(
    [sys.executable, '-c', program],
    cwd=tmp_path,
    env={'PYTHONPATH': str(installed), 'PATH': ''},
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  where, facts = done.stdout.splitlines()
  assert Path(where).is_relative_to(installed)
  assert facts == 'True True 4'
