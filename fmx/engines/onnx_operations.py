"""What each operation of our networks is in ONNX.

Images stay in the order that ONNX wants (N, C, H, W) from operation to operation: each value knows
how its axes lie, and is transposed only where that matters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import helper

from fmx.engines.onnx_graph import Graph, Operand, Value, axes_of

_IMAGE = (0, 3, 1, 2)  # Of the axes N, H, W, C, in the order of ONNX.


def _is_all(operand: Operand, number: float) -> bool:
  return isinstance(operand, np.ndarray) and bool((operand == number).all())


def _elementwise(operation: str) -> Callable[..., Operand]:
  def written(graph: Graph, equation: Any, *operands: Operand) -> Operand:
    axes = next(operand.axes for operand in operands if isinstance(operand, Value))
    return Value(graph.add(operation, [graph.tensor(of, axes) for of in operands]), axes)

  return written


def _unless_neutral(operation: str, neutral: float) -> Callable[..., Operand]:
  """An operation that is left out where a constant behind the value changes nothing."""
  usual = _elementwise(operation)

  def written(graph: Graph, equation: Any, first: Operand, second: Operand) -> Operand:
    return first if _is_all(second, neutral) else usual(graph, equation, first, second)

  return written


def _maximum(graph: Graph, equation: Any, first: Operand, second: Operand) -> Operand:
  if isinstance(first, Value) and _is_all(second, 0):
    return Value(graph.add('Relu', [first.name]), first.axes)
  return _elementwise('Max')(graph, equation, first, second)


def _cast(graph: Graph, equation: Any, operand: Value) -> Operand:
  before, after = equation.invars[0].aval.dtype, equation.outvars[0].aval.dtype
  if before == after:
    return operand
  to = helper.np_dtype_to_tensor_dtype(after)
  return Value(graph.add('Cast', [operand.name], to=to), operand.axes)


def _convolution(graph: Graph, equation: Any, x: Operand, kernel: Operand) -> Operand:
  of, numbers = equation.params, equation.params['dimension_numbers']
  assert set(of['lhs_dilation']) == {1}, 'Transposed convolutions have no place in our networks.'
  name = graph.add(
    'Conv',
    [graph.tensor(x, numbers.lhs_spec), graph.tensor(kernel, numbers.rhs_spec)],
    strides=of['window_strides'],
    dilations=of['rhs_dilation'],
    pads=[edge for edges in zip(*of['padding']) for edge in edges],
    group=of['feature_group_count'],
  )
  return Value(name, tuple(numbers.out_spec))


def _max_pool(graph: Graph, equation: Any, x: Operand) -> Operand:
  of = equation.params
  window, strides, padding = of['window_dimensions'], of['window_strides'], of['padding']
  assert len(window) == 4, 'Only images are pooled in our networks.'
  name = graph.add(
    'MaxPool',
    [graph.tensor(x, _IMAGE)],
    kernel_shape=window[1:3],
    strides=strides[1:3],
    pads=[edge for edges in zip(*padding[1:3]) for edge in edges],
  )
  return Value(name, _IMAGE)


def _reshape(graph: Graph, equation: Any, operand: Operand) -> Operand:
  """Also what only adds or removes axes of one position."""
  before, after = equation.invars[0].aval.shape, equation.outvars[0].aval.shape
  if tuple(before) == tuple(after):
    return operand
  sizes = [size if isinstance(size, int) else -1 for size in after]
  if sizes.count(-1) > 1:
    raise NotImplementedError(f'An array of {before} cannot become one of {after} in ONNX graphs.')
  shape = graph.constant(np.array(sizes, np.int64))
  return Value(graph.add('Reshape', [graph.tensor(operand), shape]), tuple(range(len(after))))


def _broadcast(graph: Graph, equation: Any, operand: Value) -> Operand:
  before, after = equation.invars[0].aval.shape, equation.outvars[0].aval.shape
  if [size for size in before if size != 1] != [size for size in after if size != 1]:
    raise NotImplementedError(f'An array of {before} cannot be repeated to one of {after}.')
  return _reshape(graph, equation, operand)


def _transpose(graph: Graph, equation: Any, operand: Value) -> Operand:
  order = equation.params['permutation']
  return Value(operand.name, tuple(order.index(axis) for axis in operand.axes))


def _slice(graph: Graph, equation: Any, operand: Value) -> Operand:
  of, shape = equation.params, equation.invars[0].aval.shape
  steps = of['strides'] or (1,) * len(shape)
  found = operand
  for axis, (first, last, step) in enumerate(zip(of['start_indices'], of['limit_indices'], steps)):
    if (first, step) != (0, 1) or last != shape[axis]:
      found = part(graph, found, axis, first, last, step)
  return found


def part(graph: Graph, of: Value, axis: int, first: int, last: int, step: int = 1) -> Value:
  """The positions from `first` to before `last` along an axis."""
  ends = [np.array([number], np.int64) for number in (first, last, of.axes.index(axis), step)]
  return Value(graph.add('Slice', [of.name, *map(graph.constant, ends)]), of.axes)


def _reverse(graph: Graph, equation: Any, operand: Value) -> Operand:
  for axis in equation.params['dimensions']:
    operand = part(graph, operand, axis, -1, np.iinfo(np.int64).min, -1)
  return operand


def _concatenate(graph: Graph, equation: Any, *operands: Operand) -> Operand:
  axes = axes_of(operands[0])
  names = [graph.tensor(operand, axes) for operand in operands]
  return Value(graph.add('Concat', names, axis=axes.index(equation.params['dimension'])), axes)


def _upsample(graph: Graph, equation: Any, x: Operand) -> Operand:
  """`fmx.models.upsampling.upsample`: JAX and ONNX resize bilinearly alike where images grow."""
  before, after = (of.aval.shape for of in (equation.invars[0], equation.outvars[0]))
  if before == after:
    return x
  if any(new % old for old, new in zip(before[1:3], after[1:3])):
    raise NotImplementedError(
      f'Images of {before[1:3]} cannot grow to {after[1:3]} in ONNX graphs.'
    )
  times = [new // old for old, new in zip(before[1:3], after[1:3])]
  # Not by sizes and `axes`: optimising that, ONNX Runtime 1.32 mixes the axes up.
  scales = graph.constant(np.array([1, 1, *times], np.float32))
  name = graph.add(
    'Resize',
    [graph.tensor(x, _IMAGE), '', scales],
    mode='linear',
    coordinate_transformation_mode='half_pixel',
  )
  return Value(name, _IMAGE)


def _twice_as_large(graph: Graph, equation: Any, x: Operand) -> Operand:
  """`fmx.models.finder.twice_as_large`."""
  scales = graph.constant(np.array([1, 1, 2, 2], np.float32))
  name = graph.add(
    'Resize',
    [graph.tensor(x, _IMAGE), '', scales],
    mode='nearest',
    coordinate_transformation_mode='asymmetric',
    nearest_mode='floor',
  )
  return Value(name, _IMAGE)


def _patches(graph: Graph, equation: Any, frames: Operand) -> Operand:
  """`fmx.models.finder.patches`."""
  side = round((equation.outvars[0].aval.shape[3] / equation.invars[0].aval.shape[3]) ** 0.5)
  return Value(graph.add('SpaceToDepth', [graph.tensor(frames, _IMAGE)], blocksize=side), _IMAGE)


def _probabilities(graph: Graph, equation: Any, logits: Operand) -> Operand:
  """`fmx.models.fcn.probabilities`."""
  axes = axes_of(logits)
  axis = axes.index(len(axes) - 1)
  return Value(graph.add('Softmax', [graph.tensor(logits, axes)], axis=axis), axes)


# Functions of `fmx.models` for which ONNX has one operation, by name.
FUNCTIONS: dict[str, Callable[..., Operand]] = {
  'upsample': _upsample,
  'twice_as_large': _twice_as_large,
  'patches': _patches,
  'probabilities': _probabilities,
}
# Of constants alone; computed where the graph is written.
CONSTANTS: dict[str, Callable[..., np.ndarray]] = {
  'add': lambda _, a, b: a + b,
  'sub': lambda _, a, b: a - b,
  'mul': lambda _, a, b: a * b,
  'div': lambda _, a, b: a / b,
  'rsqrt': lambda _, a: (1 / np.sqrt(a)).astype(a.dtype),
  'convert_element_type': lambda of, a: a.astype(of.outvars[0].aval.dtype),
  'reshape': lambda of, a: a.reshape(of.outvars[0].aval.shape),
  'broadcast_in_dim': lambda of, a: _repeated(of, a),
}
# By the name of the primitive.
OPERATIONS: dict[str, Callable[..., Operand]] = {
  'add': _unless_neutral('Add', 0),
  'sub': _unless_neutral('Sub', 0),
  'mul': _unless_neutral('Mul', 1),
  'div': _unless_neutral('Div', 1),
  'max': _maximum,
  'logistic': _elementwise('Sigmoid'),
  'tanh': _elementwise('Tanh'),
  'convert_element_type': _cast,
  'conv_general_dilated': _convolution,
  'reduce_window_max': _max_pool,
  'reshape': _reshape,
  'squeeze': _reshape,
  'broadcast_in_dim': _broadcast,
  'transpose': _transpose,
  'slice': _slice,
  'rev': _reverse,
  'concatenate': _concatenate,
}


def _repeated(equation: Any, array: np.ndarray) -> np.ndarray:
  shape, axes = equation.params['shape'], equation.params['broadcast_dimensions']
  sizes = [1] * len(shape)
  for axis, size in zip(axes, array.shape):
    sizes[axis] = size
  return np.broadcast_to(array.reshape(sizes), shape)
