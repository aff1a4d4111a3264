"""The jobs 'train', 'train_all' and 'evaluate' of `run.py`."""

import contextlib
import json
import logging
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import jax
from ml_collections import ConfigDict
from PIL import Image

from fmx import finder_jobs, weights, workdir
from fmx.baselines.dense_crf import DenseCRF
from fmx.data.prepared import Dataset, FrameExamples, open_dataset
from fmx.evaluation import run, systems, tables, whole_frames
from fmx.labelling.predictor import STATES
from fmx.models import segmenter
from fmx.summary import Progress
from fmx.train import loop, optimizer
from fmx.train.export import trained_models
from fmx.train.handover import fcn_before, model_of_weights, trained_variables
from fmx.train.stages import FCN, STAGES, Stage
from fmx.train.step import Variables, replicate
from tfds_300vw import face_mask, placing

_logger = logging.getLogger(__name__)


def train(config: ConfigDict, folder: pathlib.Path) -> dict[str, Any]:
  """Trains the stages that the configuration names and evaluates the best of each on the test set.

  The same command goes on where it was interrupted.

  Args:
    config: As `configs/primary.py`.
    folder: The workdir.

  Returns:
    The results by name of the model; they are written to the folder too, and so are the weights.

  Raises:
    ValueError: the configuration does not fit the data, the devices or the workdir.
    OSError: data or checkpoints cannot be read or written.
    Stopped: the process was asked to stop.
  """
  check_stages(config)
  dense_crf(config)  # A mistake there need not wait for the end of the training.
  dataset = open_dataset(config.data.dataset, config.data.data_dir)
  stages = [Stage(name, config, dataset, folder / name) for name in config.stages]
  fcn = trained_fcn(stages, config)
  for stage in stages:
    stage.check()
  with workdir.held(folder):
    workdir.claim(folder, config)
    for stage in stages:
      _logger.info('%s\n%s', stage.title, overview(stage))
      loop.train_stage(stage, fcn)
    models = trained_models(stages, fcn)  # In every process: they agree on the checkpoint.
    if jax.process_index() == 0:
      weights.save(folder / weights.FOLDER, models)
    results: dict[str, Any] = {}
    for stage in stages:
      results |= results_of(stage, config)
    write_results(folder, results)
  return results


def train_all(config: ConfigDict, folder: pathlib.Path) -> None:
  """Trains several models, each in a folder of its own, and puts their weights together.

  The same command goes on where it was interrupted.

  Args:
    config: As `configs/all.py`: `models` holds the configuration of each by region, and that of
      the finder if it is trained with them.
    folder: The workdir; the weights go to its folder 'weights'.

  Raises:
    ValueError: a configuration does not fit the data, the devices or the workdir.
    OSError: data or checkpoints cannot be read or written.
    Stopped: the process was asked to stop.
  """
  config = config.copy_and_resolve_references()
  regions = {name: model for name, model in config.models.items() if name != weights.FINDER}
  for name, of_model in regions.items():
    region = open_dataset(of_model.data.dataset, of_model.data.data_dir).region
    region = of_model.data.view.region if region == 'frames' else region
    if region != name:
      raise ValueError(
        f'models.{name}.data.dataset is {of_model.data.dataset}, which is of {region!r}: name a '
        f'dataset of {name!r}.'
      )
  for name in sorted(regions, key=list(face_mask.REGIONS).index):
    train(config.models[name], folder / name)
  if weights.FINDER in config.models:
    finder_jobs.train(config.models[weights.FINDER], folder / weights.FINDER)
  if jax.process_index() == 0:
    parts = [weights.load(folder / name) for name in config.models]
    weights.save(
      folder / weights.FOLDER, {name: model for part in parts for name, model in part.items()}
    )
    print(f'The weights of {", ".join(config.models)} are in {folder / weights.FOLDER}.')


def evaluate(config: ConfigDict, folder: pathlib.Path) -> dict[str, Any]:
  """Evaluates the best checkpoint of a stage, or weights and what they are together.

  Args:
    config: As `configs/evaluate.py`: `checkpoint` names the stage's folder or `weights` that of the
      weights, `data` the dataset and `evaluation` the split; the network is that of the run.
    folder: Where the results go.

  Returns:
    The results by name of the model; they are written to the folder too.

  Raises:
    ValueError: the configuration does not fit the run or the data.
    OSError: data or checkpoints cannot be read.
  """
  if config.checkpoint and config.weights:
    raise ValueError(
      f'Both checkpoint ({config.checkpoint!r}) and weights ({config.weights!r}) are given: give '
      'one of them.'
    )
  results = evaluate_weights(config, folder) if config.weights else evaluate_checkpoint(config)
  placing.make_folder(folder)
  write_results(folder, results)
  return results


def evaluate_checkpoint(config: ConfigDict) -> dict[str, Any]:
  """Evaluates the best checkpoint of a stage; see `evaluate`."""
  path = pathlib.Path(config.checkpoint).expanduser()
  if not config.checkpoint or path.name not in STAGES:
    raise ValueError(
      f'checkpoint is {config.checkpoint!r}; give the folder of a stage in the workdir of a run, '
      'for instance --config.checkpoint=runs/primary/convlstm, or weights.'
    )
  trained = workdir.load_config(path.parent)
  dataset = open_dataset(config.data.dataset, config.data.data_dir)
  dataset.clips(config.evaluation.split)
  return results_of(Stage(path.name, trained, dataset, path), config)


def evaluate_weights(config: ConfigDict, folder: pathlib.Path) -> dict[str, Any]:
  """Evaluates weights, each network alone and all together; see `evaluate`."""
  options = config.evaluation
  if options.state not in STATES:
    raise ValueError(
      f'evaluation.state is {options.state!r}; it must be one of {", ".join(STATES)}.'
    )
  if options.batch_size < 1:
    raise ValueError(f'evaluation.batch_size is {options.batch_size}; it must be 1 or more.')
  if jax.process_count() > 1:
    raise ValueError('Weights are evaluated by one process: start one alone.')
  models = weights.load(config.weights)
  dataset = open_dataset(config.data.dataset, config.data.data_dir)
  dataset.clips(options.split)
  if dataset.region == 'frames':
    return evaluate_whole_frames(models, dataset, config, folder)
  label_landmarks = None
  if options.landmarks:
    # Only now: it needs a library that not everybody has.
    from fmx.baselines.landmark_tracker import LandmarkTracker

    label_landmarks = LandmarkTracker().label_clip
  _logger.info('Evaluating %s on the %s split.', ', '.join(models), options.split)
  return systems.evaluate(
    models,
    dataset,
    options.split,
    batch_size=options.batch_size,
    stream=options.state == 'stream',
    spoiled=options.spoiled,
    label_landmarks=label_landmarks,
    dense_crf=dense_crf(config),
  )


def evaluate_whole_frames(
  models: dict[str, Any], dataset: Dataset, config: ConfigDict, folder: pathlib.Path
) -> dict[str, Any]:
  """Evaluates weights on whole frames, where faces are found first; see `evaluate`.

  The faces on which each system did worst are drawn too.
  """
  options = config.evaluation
  label = whole_frames.systems(models, alone=options.spoiled)
  if options.landmarks:
    from fmx.baselines.landmark_tracker import LandmarkTracker  # It needs dlib.

    label['68-landmark tracker, faces found'] = lambda frames, _: LandmarkTracker(
      max_faces=whole_frames.MAX_FACES
    )(frames)
  number = len(FrameExamples(dataset, options.split))
  with contextlib.closing(Progress(number, name='frame')) as progress:
    done = 0

    def tell(frames: int) -> None:
      nonlocal done
      done += frames
      progress.update(done, frames)

    scores = whole_frames.evaluate(
      label,
      dataset,
      options.split,
      hidden=options.hidden,
      spoiled=options.spoiled,
      progress=tell,
    )
  folder.mkdir(parents=True, exist_ok=True)
  for name, score in scores.items():
    picture = Image.fromarray(score.draw_worst())
    picture.save(folder / f'worst_{name.replace(" ", "_").replace(",", "")}.png')
  return {name: score.result() for name, score in scores.items()}


def check_stages(config: ConfigDict) -> None:
  """Raises ValueError where the stages cannot be trained in the order that is given."""
  stages = tuple(config.stages)
  if not stages or [name for name in STAGES if name in stages] != list(stages):
    raise ValueError(f'stages is {stages}; it must be {STAGES}, or one of them alone.')
  if (FCN in stages) == bool(config.trained_fcn):
    raise ValueError(
      f'stages is {stages} and trained_fcn {config.trained_fcn!r}: the workdir of a run that '
      f'trained the FCN, or a folder of its weights, must be given if {FCN!r} is not among the '
      'stages, and only then.'
    )


def trained_fcn(stages: Sequence[Stage], config: ConfigDict) -> Stage | pathlib.Path:
  """The FCN that the ConvLSTM-FCN starts from: of this run, or of the one that is named.

  Returns:
    The stage that trains or trained it, or the folder of weights that holds it.

  Raises:
    ValueError: the FCN that is named is another.
    OSError: there is no such run and no such folder, or the run has no checkpoint.
  """
  if stages[0].name == FCN:
    return stages[0]
  other = pathlib.Path(config.trained_fcn).expanduser()
  if not (other / workdir.CONFIG_FILE).is_file() and (other / weights.DESCRIPTION).is_file():
    model_of_weights(fcn_before(stages[0]), other)
    return other
  fcn = Stage(FCN, workdir.load_config(other), stages[0].dataset, other / FCN)
  if fcn.checkpoints(read_only=True).best_step is None:
    raise FileNotFoundError(f'trained_fcn is {other}, but no FCN was trained there yet.')
  segmenter.convert(fcn.shapes, stages[0].shapes)
  return fcn


def results_of(stage: Stage, config: ConfigDict) -> dict[str, Any]:
  """Evaluates the best checkpoint of a stage; the FCN with what can be put behind it too.

  Args:
    stage: With the configuration that it was trained by.
    config: Says split, batch size and the dense CRF.
  """
  crf = dense_crf(config)
  _, variables, _ = trained_variables(stage)
  variables = replicate(Variables(variables['params'], variables['batch_stats']))

  def windows(**how: bool) -> Iterator[run.WindowLogits]:
    options = config.evaluation
    return loop.eval_windows(stage, variables, options.split, batch_size=options.batch_size, **how)

  title, class_names = stage.title, stage.class_names
  _logger.info('Evaluating the %s on the %s split.', title, config.evaluation.split)
  results = {title: run.evaluate(windows(), class_names)}
  if not stage.temporal:
    smoothed = run.smooth_clips(windows())
    results[f'{title} + temporal smoothing'] = run.evaluate(smoothed, class_names)
    if crf is not None:
      refined = run.refine_windows(windows(keep_frames=True), crf)
      results[f'{title} + dense CRF'] = run.evaluate(refined, class_names)
  return results


def dense_crf(config: ConfigDict) -> DenseCRF | None:
  """The one that is to be put behind FCNs, or None.

  Raises:
    ValueError: an option is out of its range.
  """
  options = dict(config.evaluation.dense_crf)
  return DenseCRF(**options) if options.pop('apply') else None


def write_results(folder: pathlib.Path, results: dict[str, Any]) -> None:
  """Writes `results.json` and `results.md`, and prints the tables."""
  if jax.process_index() != 0:
    return
  found = tables_of(results)
  write_json(folder / 'results.json', results)
  placing.write(folder / 'results.md', '\n'.join(tables.as_markdown(rows) for _, rows in found))
  print(*(f'{title}\n{tables.as_text(rows)}' for title, rows in found), sep='\n')


def tables_of(results: dict[str, Any]) -> list[tuple[str, list[list[str]]]]:
  """The tables that results make, of whole frames or of clips, each with what is said above it."""

  def all_have(name: str) -> bool:
    return all(name in result for result in results.values())

  found: list[tuple[str, list[list[str]]]]
  if all_have('face_iou'):
    found = [('', whole_frames.rows(results))]
    moves = all(result['temporal']['pairs'] for result in results.values())  # Photographs do not.
  else:
    found = [
      ('', tables.comparison_rows(results)),
      ('mIoU by position in the window:', tables.position_rows(results)),
    ]
    moves = all_have('temporal')
  if moves:
    found.append(('From frame to frame:', tables.temporal_rows(results)))
  if all_have('spoiled'):
    rows = whole_frames.spoiled_rows if all_have('face_iou') else tables.spoiled_rows
    found.append(('One or two of five frames spoiled:', rows(results)))
  return found


def write_json(path: pathlib.Path, results: dict[str, Any]) -> None:
  """Writes a file that is whole or not there."""
  placing.write(path, json.dumps(results, indent=2) + '\n')


def overview(stage: Stage) -> str:
  """The parameters of a stage by module, with their number and learning rate."""
  options = stage.options
  params = stage.shapes['params']
  labels = optimizer.label_params(params, options.groups)
  sizes: dict[tuple[str, str], int] = {}
  for (path, value), group in zip(
    jax.tree_util.tree_leaves_with_path(params), jax.tree.leaves(labels), strict=True
  ):
    module = '/'.join(str(key.key) for key in path[:2])
    sizes[module, group] = sizes.get((module, group), 0) + value.size
  rates = {'new': options.learning_rate, 'rest': options.learning_rate * options.gamma}
  rows = [['module', 'parameters', 'learning rate']]
  rows += [[module, f'{size:,}', f'{rates[g]:g}'] for (module, g), size in sizes.items()]
  rows.append(['all', f'{sum(sizes.values()):,}', ''])
  return tables.as_text(rows)
