"""A residual network in the make of the ONNX file from which trunks of half width begin."""

import numpy as np


class Folded:
  """Writes a ResNet whose batch norms are folded into its convolutions, as Yahoo's file is made."""

  def __init__(self):
    self.nodes, self.arrays = [], {}
    self.tops = []  # What the stages put out.
    self._rng = np.random.default_rng(0)

  def add(self, kind, *inputs, output=None, **attributes):
    """Adds a node and returns its output."""
    from onnx import helper

    output = output or f'{kind}_{len(self.nodes)}'
    self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
    return output

  def conv(self, x, name, features_in, features, size=1, stride=1):
    """Adds a convolution; what comes out has the name of the batch norm that was there."""
    kernel = self._rng.normal(
      0, (size * size * features_in) ** -0.5, size=(features, features_in, size, size)
    )
    self.arrays[f'{name}_kernel'] = kernel.astype(np.float32)
    self.arrays[f'{name}_bias'] = self._rng.normal(0, 3, features).astype(np.float32)
    return self.add(
      'Conv', x, f'{name}_kernel', f'{name}_bias', output=f'bn_{name}/FusedBatchNorm:0',
      strides=[stride] * 2, pads=[size // 2] * 4,
    )  # fmt: skip

  def block(self, x, name, features_in, features, stride, project):
    """Adds a bottleneck."""
    way = self.add('Relu', self.conv(x, f'{name}_branch2a', features_in, features, 1, stride))
    way = self.add('Relu', self.conv(way, f'{name}_branch2b', features, features, 3))
    way = self.conv(way, f'{name}_branch2c', features, 4 * features)
    if project:
      x = self.conv(x, f'{name}_proj_shortcut', features_in, 4 * features, 1, stride)
    return self.add('Relu', self.add('Add', x, way))

  def save(self, path):
    """Writes the network; its input is BGR without its mean, [1, 3, H, W]."""
    import onnx
    from onnx import helper

    make = helper.make_tensor_value_info
    graph = helper.make_graph(
      self.nodes,
      'folded',
      [make('frames', onnx.TensorProto.FLOAT, [None, 3, None, None])],
      [make(name, onnx.TensorProto.FLOAT, None) for name in self.tops],
      [onnx.numpy_helper.from_array(value, name) for name, value in self.arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8)
    onnx.save(model, path)
    return path


def resnet(*, width, stem, blocks):
  """A ResNet with random weights, its max-pool as Caffe's."""
  made = Folded()
  x = made.add('Relu', made.conv('frames', '1', 3, stem, 7, 2))
  x = made.add('MaxPool', x, kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1])
  features_in = stem
  for stage, number in enumerate(blocks):
    features = width * 2**stage
    for block in range(number):
      stride = 2 if stage and not block else 1
      x = made.block(x, f'stage{stage}_block{block}', features_in, features, stride, not block)
      features_in = 4 * features
    made.tops.append(x)
  return made
