import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from finder_scenes import frame

from configs import primary
from fmx import finder_jobs, weights
from fmx.checkpoint import Checkpoints
from fmx.data.finder_pictures import Painter, Scenes
from fmx.data.finder_scenes import scene
from fmx.data.finder_targets import targets
from fmx.train import finder, finder_step

NETWORK = {'widths': (4, 4, 4, 4), 'blocks': (0, 0, 1, 0), 'features': 4}
OPTIONS = {
  'network': NETWORK,
  'steps': 4,
  'batch_size': jax.device_count(),
  'learning_rate': 0.01,
  'warmup': 1,
  'weight_decay': 0.01,
  'average': 0.9,
  'save_every': 2,
  'log_every': 1,
  'workers': 0,
  'seed': 0,
}


def told():
  example = frame((40, 50, 30), (100, 40, 40))
  of = scene(example.image, example.landmarks, example.others)
  return {
    name: jnp.asarray(value)[None] for name, value in targets(96, 128, of.faces, of.ignored).items()
  }


def test_what_is_right_costs_nothing():
  batch = told()
  heat = batch['told'][..., :1]
  sure = jnp.where(heat > 0.9999, 20.0, -20.0)
  parts = finder_step.losses(jnp.concatenate([sure, batch['told'][..., 1:]], axis=-1), batch)
  assert all(float(part) < 1e-3 for part in parts.values())


def test_errors_cost_what_they_are():
  batch = told()
  # Heat of one half everywhere: 0.25 log 2 at each of two faces, elsewhere 0.25 (1 - heat)^4 log 2.
  heat = batch['told'][..., 0]
  expected = 0.25 * np.log(2) * (2 + ((1 - heat) ** 4).sum()) / 2
  output = batch['told'].at[..., 0].set(0.0).at[..., 1].add(0.5)
  parts = finder_step.losses(output, batch)
  assert float(parts['heat']) == pytest.approx(float(expected), rel=1e-5)
  assert float(parts['size']) == pytest.approx(0.49)  # 0.5 less half of what is rounded off, 0.02.
  assert float(parts['points']) == 0


def test_what_is_ignored_does_not_count():
  batch = told() | {'heat_weight': jnp.zeros((1, 12, 16))}
  parts = finder_step.losses(batch['told'], batch)
  assert float(parts['heat']) == 0


def test_without_a_face_there_is_a_finite_gradient():
  batch = {name: jnp.zeros_like(value) for name, value in told().items()}
  gradient = jax.grad(lambda x: sum(finder_step.losses(x, batch).values()))(
    jnp.ones((1, 12, 16, 14))
  )
  assert jnp.isfinite(gradient).all()


def test_the_average_follows_the_parameters():
  tx = optax.chain(optax.sgd(1.0), finder_step.average_params(0.9))
  params = {'w': jnp.array(1.0)}
  state = tx.init(params)
  mean = 1.0
  for step in range(3):
    updates, state = tx.update({'w': jnp.array(0.5)}, state, params)
    params = optax.apply_updates(params, updates)
    keep = min(0.9, (1 + step) / (10 + step))
    mean = keep * mean + (1 - keep) * float(params['w'])
  assert float(finder_step.averaged(state)['w']) == pytest.approx(mean)


def trained(folder, validate=lambda model: {'found': 1.0}, **changes):
  frames = [frame((40, 50, 40)), frame((80, 40, 30), (30, 40, 20))]
  painter = Painter(64, ((Scenes(frames, room=10**8), 1.0),))
  options = finder.Options(**OPTIONS | changes)
  return finder.train(
    options, painter, folder / 'finder', validate=validate, trained={'by': 'test'}
  )


def test_a_run_that_went_on_is_the_run_that_was_not_interrupted(tmp_path):
  whole = trained(tmp_path / 'whole')

  class Killed(Exception):
    pass

  def die_at_the_end(model):
    if model.trained['step'] == 4:
      raise Killed
    return {'found': 0.5}

  with pytest.raises(Killed):
    trained(tmp_path / 'parts', die_at_the_end)
  assert Checkpoints(tmp_path / 'parts/finder/checkpoints', best='found').latest_step == 2
  parts = trained(tmp_path / 'parts')
  jax.tree.map(np.testing.assert_array_equal, whole.variables, parts.variables)
  (loaded,) = weights.load(tmp_path / 'parts').values()
  assert loaded.trained == {'by': 'test', 'step': 4, 'steps': 4}
  jax.tree.map(np.testing.assert_array_equal, whole.variables, loaded.variables)


def test_options_that_make_no_sense_are_refused():
  with pytest.raises(ValueError, match='finder.steps is 0'):
    finder.Options(**OPTIONS | {'steps': 0})


def test_a_finder_begins_with_weights_that_were_handed_on(tmp_path):
  first = trained(tmp_path / 'first', steps=2)
  config = primary.get_config()
  config.finder.update({name: NETWORK[name] for name in NETWORK}, batch_size=jax.device_count())
  config.finder.pretrained = str(tmp_path / 'first')
  options = finder_jobs.training_options(config)
  still = trained(
    tmp_path / 'second', begin=options.begin, steps=1, learning_rate=1e-12, weight_decay=0.0
  )
  close = functools.partial(np.testing.assert_allclose, atol=1e-6)
  jax.tree.map(close, dict(first.variables['params']), dict(still.variables['params']))


def test_another_finder_is_no_beginning(tmp_path):
  trained(tmp_path, steps=1)
  config = primary.get_config()
  config.finder.pretrained = str(tmp_path)
  with pytest.raises(ValueError, match=r'has a finder of widths \(4, 4, 4, 4\)'):
    finder_jobs.training_options(config)
