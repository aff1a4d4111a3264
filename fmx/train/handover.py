"""Which variables a stage begins with, and which it hands on."""

import contextlib
import dataclasses
import pathlib
from typing import Any

import jax
import jax.numpy as jnp

from fmx import weights
from fmx.models import pretrained, segmenter
from fmx.train.stages import BEST, FCN, LAST, Stage


def initial_variables(stage: Stage, fcn: Stage | pathlib.Path | None) -> tuple[dict[str, Any], str]:
  """The variables that a stage begins with.

  What decides them, the later over the earlier: the seed; for the FCN, what `model.pretrained`
  names: a trunk, or the whole network out of a folder of weights; for the ConvLSTM-FCN, every
  weight of the best FCN but the replaced ones.
  A checkpoint of the stage itself takes the place of all this.

  Args:
    stage: The one to begin.
    fcn: The stage that trained the FCN, or a folder of weights, for the ConvLSTM-FCN.

  Returns:
    'params' and 'batch_stats', and a text that says where they are from.

  Raises:
    ValueError: the weights are of another network.
    OSError: they are not there or cannot be read.
  """
  variables = stage.fresh_variables()
  if stage.temporal:
    assert fcn is not None
    if isinstance(fcn, Stage):
      step, best, metrics = trained_variables(fcn)
      source = f'{fcn.folder}, step {step}, validation mIoU {100 * metrics["miou"]:.2f} %'
    else:
      best, source = variables_of_weights(fcn_before(stage), fcn), str(fcn)
    variables, transfer = segmenter.convert(best, variables)
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


def fcn_before(stage: Stage) -> Stage:
  """The first stage, of the configuration of the second."""
  return dataclasses.replace(stage, name=FCN)


def variables_of_weights(stage: Stage, folder: str | pathlib.Path) -> dict[str, Any]:
  """The variables of a stage's network that a folder of weights holds; see `model_of_weights`."""
  return jax.tree.map(jnp.asarray, dict(model_of_weights(stage, folder).variables))


def model_of_weights(stage: Stage, folder: str | pathlib.Path) -> weights.Model:
  """The network of a stage's region and shapes in a folder of weights.

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
  return fitting[0]


def trained_variables(stage: Stage) -> tuple[int, dict[str, Any], dict[str, float]]:
  """The result of a stage: its step, its variables and its metrics."""
  checkpoints = stage.checkpoints(read_only=True)
  restore = {BEST: checkpoints.restore_best, LAST: checkpoints.restore_last}[stage.options.result]
  step, state, metrics = restore(stage.state_like())
  result = state.variables
  return step, {'params': result.params, 'batch_stats': result.batch_stats}, metrics
