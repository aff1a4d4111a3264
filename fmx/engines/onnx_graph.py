"""An ONNX graph in the making: nodes, constants, and how the axes of values lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import helper, numpy_helper


class Value(NamedTuple):
  """A tensor of the graph.

  Attributes:
    name: In the graph.
    axes: Of the array in JAX, in the order in which the tensor has them.
  """

  name: str
  axes: tuple[int, ...]


Operand = Value | np.ndarray  # The latter is a constant.


class Graph:
  """Nodes and constants as they are added.

  Attributes:
    nodes: In an order in which they can be computed.
    constants: Of the nodes.
  """

  def __init__(self) -> None:
    """Begins without any."""
    self.nodes: list[onnx.NodeProto] = []
    self.constants: list[onnx.TensorProto] = []
    self._number = 0

  def add(self, operation: str, inputs: Sequence[str], *, name: str = '', **options: Any) -> str:
    """Adds a node of one output and returns the output's name."""
    name = name or self.new_name(operation)
    self.nodes.append(helper.make_node(operation, inputs, [name], **options))
    return name

  def new_name(self, stem: str) -> str:
    """A name that nothing has yet."""
    self._number += 1
    return f'{stem}_{self._number}'

  def constant(self, array: Any) -> str:
    """Adds a constant and returns its name."""
    name = self.new_name('constant')
    self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
    return name

  def tensor(self, operand: Operand, axes: Sequence[int] | None = None) -> str:
    """The name of a tensor of an operand whose axes lie as asked for, by default as in JAX."""
    axes = tuple(range(rank(operand))) if axes is None else tuple(axes)
    if isinstance(operand, np.ndarray):
      return self.constant(operand.transpose(axes) if operand.ndim else operand)
    if operand.axes == axes:
      return operand.name
    return self.add('Transpose', [operand.name], perm=[operand.axes.index(axis) for axis in axes])


def rank(operand: Operand) -> int:
  """How many axes there are."""
  return operand.ndim if isinstance(operand, np.ndarray) else len(operand.axes)


def axes_of(operand: Operand) -> tuple[int, ...]:
  """How they lie."""
  return tuple(range(operand.ndim)) if isinstance(operand, np.ndarray) else operand.axes
