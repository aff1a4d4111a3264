"""Writes what JAX traces of our networks as an ONNX model.

The operations of the jaxpr become those of ONNX one by one; what depends on constants alone is
computed here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import onnx
from jax.extend import core
from onnx import helper

from fmx.engines.onnx_graph import Graph, Operand, Value, axes_of
from fmx.engines.onnx_operations import CONSTANTS, FUNCTIONS, OPERATIONS, part
from fmx.models.convolution import plain

OPSET, IR = 18, 9  # What ONNX Runtime reads from 1.17 on.


def write(
  function: Callable[..., tuple],
  inputs: Mapping[str, jax.ShapeDtypeStruct],
  outputs: Sequence[str],
) -> bytes:
  """Gives an ONNX model that computes what a function does.

  Args:
    function: Of arrays, made of the operations that our networks have.
    inputs: Names and shapes of its arguments; dimensions may be symbolic (`jax.export`).
    outputs: Names of its results.

  Raises:
    NotImplementedError: the function has an operation that is not known here.
  """
  with plain():
    traced = jax.make_jaxpr(function)(*inputs.values())
  graph = Graph()
  arguments = [Value(name, tuple(range(len(of.shape)))) for name, of in inputs.items()]
  found = _run(graph, traced, arguments)
  for name, value in zip(outputs, found, strict=True):
    graph.add('Identity', [graph.tensor(value)], name=name)
  model = helper.make_model(
    helper.make_graph(
      graph.nodes,
      'fmx',
      [_info(name, of) for name, of in inputs.items()],
      [_info(name, of) for name, of in zip(outputs, traced.out_avals)],
      graph.constants,
    ),
    opset_imports=[helper.make_opsetid('', OPSET)],
    ir_version=IR,
    producer_name='fmx',
  )
  return model.SerializeToString()


def _run(graph: Graph, traced: core.ClosedJaxpr, arguments: Sequence[Operand]) -> list[Operand]:
  """Writes a jaxpr and returns its results."""
  known: dict[Any, Operand] = {}
  known |= zip(traced.jaxpr.constvars, map(np.asarray, traced.consts))
  known |= zip(traced.jaxpr.invars, arguments, strict=True)

  def value(atom: Any) -> Operand:
    if not isinstance(atom, core.Literal):
      return known[atom]
    aval: Any = atom.aval
    return np.asarray(atom.val, aval.dtype)

  for equation in traced.jaxpr.eqns:
    found = _write_equation(graph, equation, [value(atom) for atom in equation.invars])
    known |= zip(equation.outvars, found, strict=True)
  return [value(atom) for atom in traced.jaxpr.outvars]


def _write_equation(graph: Graph, equation: Any, operands: list[Operand]) -> list[Operand]:
  name = equation.primitive.name
  if name in ('jit', 'pjit') and equation.params['name'] in FUNCTIONS:
    return [FUNCTIONS[equation.params['name']](graph, equation, *operands)]
  if name in _INNER:
    return _run(graph, equation.params[_INNER[name]], operands)
  if all(isinstance(operand, np.ndarray) for operand in operands) and name in CONSTANTS:
    return [CONSTANTS[name](equation, *operands)]
  if name in _SEVERAL:
    return _SEVERAL[name](graph, equation, *operands)
  if name not in OPERATIONS:
    raise NotImplementedError(
      f'ONNX graphs are written of the operations of the networks in fmx.models; {name!r} is not '
      'among them: add it to fmx/engines/onnx_operations.py.'
    )
  return [OPERATIONS[name](graph, equation, *operands)]


def _info(name: str, of: Any) -> onnx.ValueInfoProto:
  shape = [size if isinstance(size, int) else str(size) for size in of.shape]
  return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(of.dtype), shape)


def _split(graph: Graph, equation: Any, operand: Value) -> list[Operand]:
  sizes, axis = equation.params['sizes'], operand.axes.index(equation.params['axis'])
  names = [graph.new_name('Split') for _ in sizes]
  inputs = [operand.name, graph.constant(np.array(sizes, np.int64))]
  graph.nodes.append(helper.make_node('Split', inputs, names, axis=axis))
  return [Value(name, operand.axes) for name in names]


def _scan(graph: Graph, equation: Any, *operands: Operand) -> list[Operand]:
  """A loop of known length is written turn by turn."""
  of, body = equation.params, equation.params['jaxpr']
  # Which operands are what is told by their ranks, as JAX's own notes of it change with versions.
  carried = _same_ranks(equation.outvars, body.out_avals)
  ends = _same_ranks(equation.invars, body.in_avals)
  constants = operands[: ends - carried]
  carry, sequences = operands[ends - carried : ends], operands[ends:]
  turns: list[Sequence[Operand]] = []
  for turn in range(of['length']):
    parts = [_turn(graph, sequence, turn) for sequence in sequences]
    found = _run(graph, body, [*constants, *carry, *parts])
    carry = tuple(found[:carried])
    turns.append(found[carried:])
  return [*carry, *(_stack(graph, results) for results in zip(*turns))]


def _same_ranks(outside: Sequence[Any], inside: Sequence[Any]) -> int:
  """How many values of a loop are not cut into turns: those that are follow them."""
  return sum(len(of.aval.shape) == len(turn.shape) for of, turn in zip(outside, inside))


def _turn(graph: Graph, sequence: Operand, turn: int) -> Operand:
  if isinstance(sequence, np.ndarray):
    return sequence[turn]
  axis = graph.constant(np.array([sequence.axes.index(0)], np.int64))
  of_turn = part(graph, sequence, 0, turn, turn + 1)
  return Value(graph.add('Squeeze', [of_turn.name, axis]), tuple(a - 1 for a in of_turn.axes if a))


def _stack(graph: Graph, results: Sequence[Operand]) -> Operand:
  axes, first = axes_of(results[0]), graph.constant(np.array([0], np.int64))
  names = [graph.add('Unsqueeze', [graph.tensor(of, axes), first]) for of in results]
  return Value(graph.add('Concat', names, axis=0), (0, *(axis + 1 for axis in axes)))


_INNER = {
  'jit': 'jaxpr',
  'pjit': 'jaxpr',
  'closed_call': 'call_jaxpr',
  'custom_jvp_call': 'call_jaxpr',
}
_SEVERAL: dict[str, Callable[..., list[Operand]]] = {'split': _split, 'scan': _scan}
