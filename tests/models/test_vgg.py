import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from fmx.models import vgg
from fmx.models.resnet import max_pool

TINY = {'width': 2, 'stem': 3, 'blocks': (1, 1, 1, 1)}


def shapes(frames=(1, 64, 96, 3), **options):
  module = vgg.VGG(**options)
  return jax.eval_shape(module.init_with_output, jax.random.key(0), jnp.zeros(frames))


@pytest.mark.parametrize(('dilate', 'strides'), [(False, (4, 8, 16, 32)), (True, (4, 8, 8, 8))])
def test_maps_have_the_strides_of_the_original_or_of_deeplab(dilate, strides):
  maps, _ = shapes(**TINY, dilate=dilate)
  found = [x.shape for x in maps]
  assert found == [
    (1, 64 // stride, 96 // stride, channels)
    for stride, channels in zip(strides, (4, 8, 16, 16), strict=True)
  ]
  assert vgg.VGG.top_stride(TINY['blocks'], dilate) == strides[-1]


def test_vgg_16_has_as_many_parameters_as_keras_counts_without_the_classifier():
  _, variables = shapes()
  assert set(variables) == {'params'}
  assert sum(x.size for x in jax.tree.leaves(variables)) == 14_714_688


def test_three_stages_end_a_stage_earlier():
  maps, variables = shapes(**TINY | {'blocks': (1, 1, 1)}, dilate=False)
  assert maps.stage5 is None
  assert maps.top.shape == (1, 4, 6, 16)
  assert 'stage5' not in variables['params']


@pytest.mark.parametrize('size', [(6, 8), (7, 5), (2, 3), (1, 1)])
def test_maxima_are_those_of_the_library(size):
  x = jax.random.normal(jax.random.key(0), (2, *size, 3))
  np.testing.assert_array_equal(vgg.halve(x), nn.max_pool(x, (2, 2), (2, 2)))
  expected = nn.max_pool(x, (3, 3), padding=((1, 1), (1, 1)))
  np.testing.assert_array_equal(vgg.spread(x), expected)


def test_maxima_by_hand():
  x = jnp.array([[1.0, 5.0, 2.0], [4.0, 3.0, 0.0], [9.0, 0.0, 0.0]]).reshape(1, 3, 3, 1)
  # The last row and column have no partner.
  assert vgg.halve(x).ravel().tolist() == [5]
  assert vgg.spread(x)[0, ..., 0].tolist() == [[5, 5, 5], [9, 9, 5], [9, 9, 3]]


def test_stage_5_sees_twice_as_far_where_it_is_dilated(draw_variables):
  # Of one pixel of stage 4's map, a 3x3 kernel dilated by 2 sees others at a distance of 2.
  module = vgg.VGG(**TINY)
  variables = draw_variables(module, 1, 64, 64, 3)
  frames = jax.random.uniform(jax.random.key(1), (1, 64, 64, 3), maxval=100.0)
  maps = module.apply(variables, frames)
  kernel, bias = (variables['params']['stage5']['conv1'][name] for name in ('kernel', 'bias'))
  x = np.pad(maps.stage4[0], ((2, 2), (2, 2), (0, 0)))
  found = sum(
    x[2 * row : 2 * row + 8, 2 * column : 2 * column + 8] @ kernel[row, column]
    for row in range(3)
    for column in range(3)
  )
  expected = vgg.spread(jnp.maximum(found + bias, 0)[None])
  np.testing.assert_allclose(maps.stage5, expected, rtol=1e-4, atol=1e-4)


def test_a_dilated_trunk_has_wider_maxima_before_that(draw_variables):
  module = vgg.VGG(**TINY)
  variables = draw_variables(module, 1, 16, 16, 3)
  frames = jax.random.uniform(jax.random.key(1), (1, 16, 16, 3), maxval=100.0)
  own = [{'params': variables['params'][f'stage{stage}']} for stage in (1, 2)]
  x = max_pool(vgg.Stage(3, 2).apply(own[0], frames))
  x = max_pool(vgg.Stage(4, 1).apply(own[1], x))
  np.testing.assert_allclose(module.apply(variables, frames).stage2, x, rtol=1e-4, atol=1e-4)
