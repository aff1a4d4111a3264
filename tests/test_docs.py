"""What the documents name is there, and the commands that they show can be given."""

import importlib
import importlib.util
import pathlib
import re
import shlex
import subprocess
import sys

import pytest
from absl import flags
from ml_collections import config_flags

import configs
from tfds_300vw import __main__ as dataset_command

ROOT = pathlib.Path(__file__).parent.parent
CONFIGS = sorted(path for path in (ROOT / 'configs').glob('*.py') if path.stem != '__init__')
DOCUMENTS = sorted([*ROOT.glob('*.md'), *ROOT.glob('docs/*.md')])
TABLES = sorted((ROOT / 'configs/tables').glob('[aflt]*.py'))
SOURCES = [*DOCUMENTS, *CONFIGS, *TABLES, ROOT / 'run.py', ROOT / 'Makefile']


def commands(path, program):
  """The arguments of the commands in a file, with something in place of the shell's variables."""
  text = re.sub(r'\\{1,2}\n\s*', '', path.read_text())  # Lines that a backslash joins.
  text = re.sub(r'\$\{?region\}?', 'eyes', text)
  for found in re.findall(rf'python {re.escape(program)}( [^`|#\n\[]*)', text):
    arguments = [one for one in shlex.split(found) if one.startswith('--')]
    yield [re.sub(r'\$\w+', '1', one) for one in arguments]


@pytest.mark.parametrize('path', SOURCES, ids=lambda path: path.name)
def test_commands_name_configurations_and_options_that_exist(path, monkeypatch):
  monkeypatch.chdir(ROOT)
  for arguments in commands(path, 'run.py'):
    line, values = ['run.py', *arguments], flags.FlagValues()
    config_flags.DEFINE_config_file('config', flag_values=values, sys_argv=line)
    flags.DEFINE_string('workdir', None, '', flag_values=values)
    assert values(line) == ['run.py'], line
    assert values.config.job, line
    assert values.workdir or values.config.job in ('extract', 'app'), line


@pytest.mark.parametrize('path', SOURCES, ids=lambda path: path.name)
def test_the_commands_that_make_datasets_can_be_parsed(path):
  for arguments in commands(path, '-m tfds_300vw'):
    if arguments != ['--help']:
      dataset_command.parser().parse_args(arguments)


def test_the_modules_that_commands_run_are_there():
  pattern = r'python -m ((?:fmx|tfds_300vw)[\w.]*)'
  found = {name for path in SOURCES for name in re.findall(pattern, path.read_text())}
  assert {'fmx.drawing', 'tfds_300vw', 'tfds_300vw.contact_sheet'} <= found
  for name in found:
    assert importlib.util.find_spec(name), name


@pytest.mark.parametrize('path', DOCUMENTS, ids=lambda path: path.name)
def test_the_files_that_a_document_names_are_there(path):
  text = path.read_text()
  links = [link for link in re.findall(r'\]\(([^)#]+)', text) if '://' not in link]
  for link in links:
    assert (path.parent / link).exists(), link
  rooms = '|'.join(('fmx', 'tfds_300vw', 'configs', 'tests', 'docs'))
  for name in re.findall(rf'`((?:{rooms})/[\w./]*)`', text):
    assert (ROOT / name).exists(), name
  for name in re.findall(r'`((?:fmx|tfds_300vw)(?:\.\w+)+)(?:\(.*\))?`', text):
    assert is_there(name), name


def is_there(name):
  """Whether a dotted name is a module or something in one."""
  first, *parts = name.split('.')
  found = importlib.import_module(first)
  for part in parts:
    if not hasattr(found, part):
      try:
        importlib.import_module(f'{found.__name__}.{part}')
      except ImportError:
        return False
    found = getattr(found, part)
  return True


@pytest.fixture(scope='module')
def examples():
  """What `run.py` says to somebody who gives no argument."""
  program = [sys.executable, 'run.py']
  done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=True)
  assert done.stderr == ''
  return done.stdout


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_a_newcomer_is_told_of_every_configuration(path, examples):
  workdir = '\n' if path.stem == 'app' else ' --workdir='
  assert examples.count(f'  python run.py --config=configs/{path.name}{workdir}') == 1
  assert re.search(rf'  {path.stem} +\w', configs.__doc__)
  assert f'`{path.name}`' in (ROOT / 'docs/training.md').read_text()


def test_what_a_newcomer_is_told_is_one_line_for_each_command(examples):
  lines = [line for line in examples.splitlines() if 'python ' in line]
  assert len(lines) == len(CONFIGS) + 4  # The paper's tables are one folder.
  assert all(re.fullmatch(r'[ ,\w]{28} python (run\.py|-m \w+).*', line) for line in lines)
  assert lines[0].endswith(' python -m fmx --demo')
