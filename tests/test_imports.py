"""The imports point one way."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
OURS = {'fmx', 'tfds_300vw', 'configs', 'run'}
# Modules that belong to no room and that several use.
BESIDE = ['fmx.pretrained', 'fmx.stopping', 'fmx.summary', 'fmx.weights', 'fmx.workdir']
# What may be imported of ours by the files of each room, nothing else.
RULES = {
  'tfds_300vw/**': ['tfds_300vw'],
  'configs/**': ['configs'],
  'fmx/models/**': ['fmx.models'],
  'fmx/losses.py': [],
  'fmx/tree_io.py': ['tfds_300vw.placing'],
  'fmx/tree_file.py': [],
  'fmx/checkpoint.py': ['fmx.tree_io', 'tfds_300vw.placing'],
  'fmx/summary.py': ['tfds_300vw.placing'],
  'fmx/devices.py': [],
  'fmx/stopping.py': [],
  'fmx/workdir.py': ['tfds_300vw.placing'],
  'fmx/__init__.py': ['fmx.labelling.extractor.FaceMaskExtractor'],
  'fmx/data/**': ['fmx.data', 'tfds_300vw'],
  'fmx/drawing/**': ['fmx.drawing', 'tfds_300vw'],
  'fmx/weights.py': ['fmx.caching', 'fmx.models', 'fmx.tree_file', 'tfds_300vw'],
  'fmx/example/**': ['fmx.example', 'tfds_300vw'],
  'fmx/pretrained/**': [
    'fmx.pretrained',
    'fmx.example',
    'fmx.data.transforms',
    'fmx.weights',
    'tfds_300vw.placing',
  ],
  'fmx/terminal.py': ['fmx.stopping'],
  'fmx/command.py': ['fmx', 'configs'],
  'fmx/caching.py': ['tfds_300vw.placing'],
  'fmx/engines/**': [
    'fmx',
    'fmx.engines',
    'fmx.caching',
    'fmx.models',
    'fmx.weights',
    'tfds_300vw.placing',
  ],
  'fmx/finding/**': [
    'fmx.finding',
    'fmx.engines',
    'fmx.models',
    'fmx.data.transforms',
    'fmx.data.cutting',
    'fmx.data.levels',
    'fmx.weights',
    'tfds_300vw',
  ],
  'fmx/labelling/**': [
    'fmx.labelling',
    'fmx.engines',
    'fmx.finding',
    'fmx.models',
    'fmx.data.transforms',
    'fmx.data.cutting',
    'fmx.data.levels',
    'fmx.pretrained',
    'fmx.weights',
    'tfds_300vw',
  ],
  'fmx/baselines/**': ['fmx.baselines', 'fmx.finding', 'fmx.labelling', 'tfds_300vw'],
  'fmx/evaluation/**': [
    'fmx.evaluation',
    'fmx.baselines',
    'fmx.labelling',
    'fmx.finding',
    'fmx.data',
    'fmx.models.heads',  # The state that zoomed-in models hand on.
    'fmx.models.segmenter',  # What networks are called.
    'fmx.weights',
    'tfds_300vw',
  ],
  'fmx/extraction/**': [
    'fmx.extraction',
    'fmx.engines',
    'fmx.evaluation',
    'fmx.baselines',
    'fmx.labelling',
    *BESIDE,
    'tfds_300vw',
  ],
  'fmx/many/**': ['fmx.many', 'fmx.extraction', 'fmx.caching', *BESIDE, 'tfds_300vw'],
  'fmx/app/**': [
    'fmx.app',
    'fmx.example',
    'fmx.extraction',
    'fmx.labelling',
    'fmx.pretrained',
    'fmx.workdir',
    'tfds_300vw',
  ],
  'fmx/train/step.py': [],
  'fmx/train/optimizer.py': [],
  'fmx/train/**': [
    'fmx.train',
    'fmx.evaluation',
    'fmx.data',
    'fmx.models',
    'fmx.losses',
    'fmx.checkpoint',
    *BESIDE,
    'tfds_300vw',
  ],
  'fmx/benchmark/**': [
    'fmx.benchmark',
    'fmx.data.pipeline',
    'fmx.data.prepared',
    'fmx.engines',
    'fmx.evaluation.tables',
    'fmx.models',
    'fmx.train',
    'fmx.weights',
    'tfds_300vw',
  ],
  'fmx/paper/figures.py': [
    'fmx.data',
    'fmx.evaluation',
    'fmx.weights',
    'tfds_300vw',
  ],
  'fmx/paper/report.py': ['fmx.paper', 'fmx.evaluation', 'tfds_300vw'],
  'fmx/paper/**': [
    'fmx',
    'fmx.paper',
    'fmx.data.prepared',
    'fmx.jobs',
    'fmx.study',
    'fmx.weights',
    'fmx.workdir',
    'tfds_300vw',
  ],
  'fmx/*.py': ['fmx', 'tfds_300vw'],
  'run.py': ['fmx'],
}
# Libraries that the files of a room must not import, or the only ones that they may.
WITHOUT = {
  'tfds_300vw/**': {'jax', 'flax', 'optax', 'tensorflow', 'grain', 'orbax'},
  'configs/**': {'jax', 'flax', 'optax', 'tensorflow', 'numpy'},
  'fmx/data/**': {'jax', 'flax', 'optax', 'tensorflow', 'orbax', 'ml_collections'},
  'fmx/**': {'tensorflow', 'keras', 'clu', 'sklearn'},
}
ONLY = {
  'fmx/models/**': {'jax', 'flax', 'optax', 'numpy', 'h5py', 'onnx'},
  'fmx/losses.py': {'jax', 'flax', 'optax', 'numpy'},
}
MAY_SEE_CONFIGURATIONS = {
  'fmx/finder_jobs.py',
  'fmx/jobs.py',
  'fmx/export_job.py',
  'fmx/demo.py',
  'fmx/app/job.py',
  'fmx/benchmark/job.py',
  'fmx/benchmark/peers.py',
  'fmx/benchmark/rows.py',
  'fmx/benchmark/scaling.py',
  'fmx/paper/job.py',
  'fmx/paper/plan.py',
  'fmx/study.py',
  'fmx/workdir.py',
  'fmx/extraction/job.py',
  'fmx/many/job.py',
  'fmx/many/worker.py',
  'fmx/train/stages.py',
}


def sources():
  files = [ROOT / 'run.py']
  for room in ('configs', 'fmx', 'tfds_300vw'):
    files += (ROOT / room).rglob('*.py')
  return sorted(files)


def imported(path):
  """The full names of the modules, or of what is taken from them, in all import statements."""
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      assert node.level == 0, f'{path}: relative import'
      yield from (f'{node.module}.{alias.name}' for alias in node.names)


def matching(table):
  """Pairs of a file and what the first pattern that it matches has in the table."""
  for path in sources():
    name = path.relative_to(ROOT)
    found = [value for pattern, value in table.items() if matches(name, pattern)]
    if found:
      yield path, found[0]


def matches(name, pattern):
  if pattern.endswith('/**'):
    return name.is_relative_to(pattern.removesuffix('/**'))
  return name.match(pattern) and len(name.parts) == len(pathlib.PurePath(pattern).parts)


def inside(name, packages):
  return any(name == package or name.startswith(f'{package}.') for package in packages)


def test_every_file_has_a_rule():
  assert [path for path, _ in matching(RULES)] == sources()
  assert len(sources()) > 40


def test_our_modules_import_each_other_one_way():
  for path, allowed in matching(RULES):
    ours = [name for name in imported(path) if name.partition('.')[0] in OURS]
    assert [name for name in ours if not inside(name, allowed)] == [], path


def test_no_room_needs_itself_by_way_of_another():
  below = {}
  for path in sources():
    ours = [name.split('.') for name in imported(path) if name.partition('.')[0] in OURS]
    own = room(path.relative_to(ROOT).with_suffix('').parts)
    below.setdefault(own, set()).update({room(parts) for parts in ours} - {own})
  assert {'fmx.finding', 'fmx.labelling', 'fmx.workdir', 'tfds_300vw', 'run'} <= below.keys()
  for name in below:
    reached, new = set(), below[name]
    while new:
      reached |= new
      new = set().union(*(below.get(one, set()) for one in new)) - reached
    assert name not in reached, name


def room(parts):
  """The folder or the module of fmx that a file or a name belongs to, or the whole package."""
  inner = ROOT.joinpath(*parts[:2])
  is_inner = parts[0] == 'fmx' and (inner.is_dir() or inner.with_suffix('.py').is_file())
  return '.'.join(parts[:2]) if is_inner else parts[0]


def test_the_front_doors_alone_import_what_they_open():
  doors = ('fmx.app', 'fmx.benchmark', 'fmx.demo', 'fmx.extraction', 'fmx.many')
  for path in sources():
    own = room(path.relative_to(ROOT).with_suffix('').parts)
    behind = [door for door in doors if own not in (door, 'run', 'fmx.command')]
    if own in ('fmx.app', 'fmx.many'):
      behind.remove('fmx.extraction')  # They are other doors to it.
    assert [name for name in imported(path) if inside(name, behind)] == [], path


@pytest.mark.parametrize('pattern', WITHOUT)
def test_rooms_do_without_the_libraries_that_others_need(pattern):
  for path, forbidden in matching({pattern: WITHOUT[pattern]}):
    assert [name for name in imported(path) if name.partition('.')[0] in forbidden] == [], path


def test_torch_is_there_to_compare_with_alone():
  torch = {path for path in sources() if any(inside(name, ['torch']) for name in imported(path))}
  assert {str(path.relative_to(ROOT)) for path in torch} == {
    'fmx/benchmark/peers.py',
    'fmx/benchmark/torch_network.py',
  }


def test_one_module_knows_of_ray_and_one_of_addresses():
  for library, knows in (('ray', 'fmx/many/ray_pool.py'), ('fsspec', 'fmx/many/storage.py')):
    paths = [path for path in sources() if any(inside(name, [library]) for name in imported(path))]
    assert [str(path.relative_to(ROOT)) for path in paths] == [knows]


@pytest.mark.parametrize('pattern', ONLY)
def test_networks_and_losses_need_few_libraries(pattern):
  for path, allowed in matching({pattern: ONLY[pattern]}):
    roots = {name.partition('.')[0] for name in imported(path)}
    assert roots <= allowed | OURS | sys.stdlib_module_names, path


def test_few_modules_see_a_configuration():
  for path in (ROOT / 'fmx').rglob('*.py'):
    if any(name.startswith('ml_collections') for name in imported(path)):
      assert str(path.relative_to(ROOT)) in MAY_SEE_CONFIGURATIONS, path


def test_nothing_imports_a_test():
  tests = {path.stem for path in (ROOT / 'tests').rglob('*.py')} | {'tests', 'pytest'}
  for path in sources():
    assert not {name.partition('.')[0] for name in imported(path)} & tests, path


@pytest.mark.parametrize(
  'module',
  ['tfds_300vw', 'configs.primary', 'fmx', 'fmx.command', 'fmx.drawing.videos', 'fmx.example.clip'],
)
def test_what_needs_no_device_pulls_in_neither_jax_nor_tensorflow(module):
  code = (
    f'import sys, {module}; '
    "print(sorted({'jax', 'tensorflow', 'torch'} & {name.split('.')[0] for name in sys.modules}))"
  )
  found = subprocess.run(
    [sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=True
  )
  assert found.stdout == '[]\n'


def test_extraction_does_not_wait_for_what_training_needs():
  code = (
    'import sys, fmx.app.job, fmx.extraction.job, fmx.labelling.extractor, fmx.finding.finder; '
    "late = {'optax', 'orbax', 'grain', 'onnx', 'onnxruntime', 'openvino'}; "
    'print(sorted(late & set(sys.modules)), '
    "[name for name in sys.modules if name.startswith('fmx.train')])"
  )
  found = subprocess.run(
    [sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=True
  )
  assert found.stdout == '[] []\n'


WITHOUT_EXTRAS = """
import importlib, sys

EXTRAS = 'matplotlib jinja2 markupsafe onnx onnxruntime openvino h5py ray fsspec starlette uvicorn'
EXTRAS += ' websockets pycocotools dlib torch keras sklearn'

class Hidden:
  def find_spec(self, name, *_):
    if name.partition('.')[0] in EXTRAS.split():
      raise ModuleNotFoundError(f'No module named {name!r}', name=name)

sys.meta_path.insert(0, Hidden())
import run
for job in run.JOBS.values():
  module, _, function = job.partition(':')
  print(callable(getattr(importlib.import_module(module), function)))
"""


def test_no_job_needs_an_extra_before_it_says_so():
  found = subprocess.run(
    [sys.executable, '-c', WITHOUT_EXTRAS], cwd=ROOT, capture_output=True, text=True
  )
  assert found.returncode == 0, found.stderr
  assert set(found.stdout.split()) == {'True'}
