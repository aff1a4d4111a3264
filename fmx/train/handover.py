"""Which variables a stage begins with, and which it hands on."""

import contextlib
import pathlib
from typing import Any

import jax
import jax.numpy as jnp

from fmx import weights
from fmx.models import pretrained, segmenter
from fmx.train.stages import BEST, LAST, Stage


def initial_variables(stage: Stage, fcn: Stage | None) -> tuple[dict[str, Any], str]:
  """The variables that a stage begins with.

  What decides them, the later over the earlier: the seed; for the FCN, what `model.pretrained`
  names: a trunk, or the whole network out of a folder of weights; for the ConvLSTM-FCN, every
  weight of the best FCN but the replaced ones.
  A checkpoint of the stage itself takes the place of all this.

  Args:
    stage: The one to begin.
    fcn: The trained FCN, for the ConvLSTM-FCN.

  Returns:
    'params' and 'batch_stats', and a text that says where they are from.

  Raises:
    ValueError: the weights are of another network.
    OSError: they are not there or cannot be read.
  """
  variables = stage.fresh_variables()
  if stage.temporal:
    assert fcn is not None
    step, best, metrics = trained_variables(fcn)
    variables, transfer = segmenter.convert(best, variables)
    source = f'{fcn.folder}, step {step}, validation mIoU {100 * metrics["miou"]:.2f} %'
  elif (source := stage.config.model.pretrained) and pathlib.Path(source).expanduser().is_dir():
    variables = variables_of_weights(stage, source)
    return variables, f'Weights from {source}.'
  elif source:
    network = stage.model(axis_name=None)
    # The frames of the first process, for all: they must begin alike.
    with contextlib.closing(stage.batches(0, process_index=0)) as batches:
      video = next(batches)['video'][0]
    variables, transfer = pretrained.load(
      source, variables, lambda begun: segmenter.conv_outputs(network, begun, video)
    )
  else:
    return variables, f'Random weights from the seed {stage.config.seed}.'
  return variables, f'Weights from {source}:\n{transfer}'


def variables_of_weights(stage: Stage, folder: str) -> dict[str, Any]:
  """Those of the network of the stage's region in a folder of weights.

  Raises:
    ValueError: there is none, or it is another network.
    OSError: the weights are damaged or not there.
  """
  models = weights.load(folder, dtype='float32')
  ours = [model for model in models.values() if getattr(model, 'region', None) == stage.region]
  fitting = [
    model for model in ours if jax.tree.map(jnp.shape, dict(model.variables)) == stage.shape_tree
  ]
  if not fitting:
    what = 'is of another network: see model' if ours else f'is missing: it has {", ".join(models)}'
    raise ValueError(f'{folder}: the network of {stage.region!r} {what}.')
  return jax.tree.map(jnp.asarray, dict(fitting[0].variables))


def trained_variables(stage: Stage) -> tuple[int, dict[str, Any], dict[str, float]]:
  """The result of a stage: its step, its variables and its metrics."""
  checkpoints = stage.checkpoints(read_only=True)
  restore = {BEST: checkpoints.restore_best, LAST: checkpoints.restore_last}[stage.options.result]
  step, state, metrics = restore(stage.state_like())
  result = state.variables
  return step, {'params': result.params, 'batch_stats': result.batch_stats}, metrics
