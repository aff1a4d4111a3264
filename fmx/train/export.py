"""From the checkpoints of a training to weights that can be handed on."""

import dataclasses
import pathlib
from collections.abc import Sequence

import jax
import numpy as np

from fmx import weights
from fmx.train.handover import fcn_before, model_of_weights, trained_variables
from fmx.train.stages import Stage


def trained_models(stages: Sequence[Stage], fcn: Stage | pathlib.Path) -> dict[str, weights.Model]:
  """The best network of a training; for whole faces also the FCN that it was made from.

  If that is out of a folder of weights, the other networks there come along, so that what comes out
  can be used as that folder was.

  Args:
    stages: Of the training, the last one's network being the result.
    fcn: The stage that trained the FCN, or the folder of weights that holds it.

  Returns:
    The networks by the names that `fmx.weights` has for them.

  Raises:
    OSError: a checkpoint cannot be read.
  """
  last = stages[-1]
  region = last.region
  models = {region: _model(last)}
  if region == 'primary' and last.temporal:
    if isinstance(fcn, Stage):
      models['fcn'] = _model(fcn)
    else:
      origin = model_of_weights(fcn_before(last), fcn)
      models[region] = dataclasses.replace(models[region], margin=origin.margin)
      models = weights.load(fcn, dtype='float32') | models | {'fcn': origin}
  length = models[region].clip_length
  return {
    name: dataclasses.replace(model, clip_length=length) if name != weights.FINDER else model
    for name, model in models.items()
  }


def _model(stage: Stage) -> weights.Model:
  step, variables, metrics = trained_variables(stage)
  return weights.Model(
    network=stage.model(axis_name=None),
    variables=jax.tree.map(np.asarray, variables),
    region=stage.region,
    class_names=stage.class_names,
    margin=stage.view().margin if stage.sees_frames else None,
    image_size=stage.config.data.image_size,
    clip_length=stage.config.data.clip_length,
    options={name: stage.config.model[name] for name in weights.NETWORK_OPTIONS},
    trained={
      'dataset': stage.dataset.name,
      'loss': stage.options.loss,
      'step': step,
      'validation_miou': round(metrics['miou'], 4),
    },
  )
