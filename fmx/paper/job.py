"""The job 'tables' of `run.py`: trains what the paper's tables are of, and writes the report."""

import datetime
import importlib.util
import json
import logging
import pathlib
import subprocess

import jax
from ml_collections import ConfigDict

import fmx
from fmx import jobs, study, weights
from fmx.data.prepared import open_dataset
from fmx.paper import figures, plan, report
from fmx.paper.plan import Plan, Run
from tfds_300vw import placing

RESULTS = 'results.json'  # Of one run; written when all of it is done.
MADE = 'made.json'  # By which versions of the code a run was made.
PICTURE = 'pictures.jpg'
_logger = logging.getLogger(__name__)


def run(config: ConfigDict, folder: pathlib.Path) -> pathlib.Path:
  """Trains and evaluates every network that is not done, and writes the report after each.

  The same command goes on where it was interrupted; other tables in the same workdir share the
  networks that they have in common.

  Args:
    config: As `configs/tables/all.py`.
    folder: The workdir; each network has a folder of its own in its folder 'networks'.

  Returns:
    The report, results/index.html in the workdir.

  Raises:
    ValueError: the configuration makes no sense, or does not fit the data.
    OSError: data or checkpoints cannot be read or written.
    Stopped: the process was asked to stop.
  """
  check_libraries()
  if jax.process_count() > 1:
    raise ValueError('Tables are made by one process, on all of its devices: start one alone.')
  planned = plan.read(config, folder / 'networks')
  missing: dict[str, str] = {}
  for number, (name, one) in enumerate(planned.runs.items(), start=1):
    if (one.folder / RESULTS).is_file():
      continue
    _logger.info('%s (%d of %d), in %s', name, number, len(planned.runs), one.folder)
    note_version(one.folder)
    try:
      if one.parts:
        evaluate_together(one)
      else:
        jobs.train(one.config, one.folder)
    except ImportError as error:  # A baseline's library, which not everybody has.
      _logger.warning('%s is left out: %s', name, error)
      missing[name] = str(error)
    write_report(config, planned, folder, missing)
  page = write_report(config, planned, folder, missing)
  print(f'The report is {page}.')
  return page


def check_libraries() -> None:
  """Raises ValueError where the report's libraries are missing, before hours of training."""
  for library in ('jinja2', 'matplotlib'):
    if importlib.util.find_spec(library) is None:
      raise ValueError(f"The report needs {library}: pip install 'fmx[tables]'.")


def evaluate_together(system: Run) -> None:
  """Puts the networks of a system into one folder of weights, and evaluates that."""
  models = {}
  for part, at in system.parts.items():
    (models[part],) = (of for name, of in weights.load(at).items() if name != 'fcn')  # Its start.
  weights.save(system.folder / weights.FOLDER, models)
  jobs.evaluate(system.config, system.folder)


def write_report(
  config: ConfigDict, planned: Plan, folder: pathlib.Path, missing: dict[str, str]
) -> pathlib.Path:
  """Writes the report of what is done; returns its page."""
  outcomes = {name: read_outcome(one) for name, one in planned.runs.items()}
  pictures = {
    table.name: draw_pictures(planned.systems[table.rows[0][1]], table.rows)
    for table in planned.tables
    if table.kind == 'pictures' and outcomes[table.rows[0][1]].results
  }
  scaled = study.changed(config.base, config.scale, config.scales[config.scale].all)
  return report.write(
    folder / 'results',
    planned.tables,
    outcomes,
    pictures,
    missing,
    config.scale,
    facts(scaled, config.pretrained[scaled.model.trunk]),
  )


def read_outcome(one: Run) -> report.Outcome:
  """What a run left, as far as it got."""
  results, made = (
    json.loads(path.read_bytes()) if path.is_file() else {}
    for path in (one.folder / RESULTS, one.folder / MADE)
  )
  return report.Outcome(one.folder.name, one.changes, made.get('versions', ()), results)


def draw_pictures(system: Run, rows: tuple) -> bytes:
  """The JPEG of Fig. 5: drawn once, of the clips on which the first row's system is worst."""
  path = system.folder / PICTURE
  if not path.is_file():
    data = system.config.data
    results = json.loads((system.folder / RESULTS).read_bytes())
    placing.write(
      path,
      figures.masks(
        weights.load(system.folder),
        open_dataset(data.dataset, data.data_dir),
        system.config.evaluation.split,
        results[rows[0][2]]['clips'],
        {label: title for label, _, title, _ in rows},
      ),
    )
  return path.read_bytes()


def facts(config: ConfigDict, pretrained: str) -> list[tuple[str, str]]:
  """What the networks have in common, for the head of the report."""
  return [
    ('input', f'{config.data.image_size} × {config.data.image_size} pixels'),
    ('head', config.model.head),
    ('width', f'{config.model.width} (ResNet-50 has 64)'),
    ('begins with', pretrained or 'random weights'),
    ('FCN', f'{config.fcn.epochs} epochs, batches of {config.fcn.batch_size} frames'),
    (
      'ConvLSTM-FCN',
      f'{config.convlstm.epochs} epochs, batches of {config.convlstm.batch_size} clips of '
      f'{config.data.clip_length} frames',
    ),
    ('seed', str(config.seed)),
    ('evaluated on', f'the {config.evaluation.split} split'),
  ]


def note_version(folder: pathlib.Path) -> None:
  """Writes down by which code a run is made; one that goes on may have seen several."""
  path = folder / MADE
  versions = json.loads(path.read_bytes())['versions'] if path.is_file() else []
  if version() not in versions:
    versions.append(version())
  placing.make_folder(folder)
  date = datetime.datetime.now(datetime.UTC).date().isoformat()
  jobs.write_json(path, {'versions': versions, 'date': date})


def version() -> str:
  """The commit if fmx is in a checkout, with '-dirty' after changes, else the version."""
  root = pathlib.Path(__file__).resolve().parents[2]
  if (root / '.git').exists():
    command = ['git', '-C', str(root), 'describe', '--always', '--dirty', '--abbrev=12']
    try:
      return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
      pass
  return fmx.__version__
