"""A folder of networks that run without fmx: a file each, and a README.md that says how."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterable, Mapping

import jax
from jax import export

from fmx.engines.programs import NEXT, Program, program
from fmx.models.convolution import plain
from fmx.models.finder import CHANNELS, MULTIPLE, STRIDE, UNIT_SIZE
from fmx.weights import FinderModel, Model
from tfds_300vw import placing

PLATFORMS = ('cpu', 'cuda', 'rocm', 'tpu')  # That a StableHLO program can be run on.
README = 'README.md'


def as_stablehlo(of: Program) -> bytes:
  """A program as `jax.export` serialises it."""
  with plain():
    exported = export.export(jax.jit(of.function), platforms=PLATFORMS)(*of.inputs.values())
  return bytes(exported.serialize())


def as_onnx(of: Program) -> bytes:
  """A program as an ONNX model.

  Raises:
    ModuleNotFoundError: the library `onnx` is not installed.
    NotImplementedError: the network has an operation that graphs cannot be written of.
  """
  from fmx.engines import onnx_writer  # It needs a library that not everybody has.

  return onnx_writer.write(*of)


FORMATS: dict[str, Callable[[Program], bytes]] = {'onnx': as_onnx, 'stablehlo': as_stablehlo}


def write_folder(
  models: Mapping[str, Model | FinderModel], folder: pathlib.Path, form: str
) -> list[pathlib.Path]:
  """Writes networks and README.md; returns the paths of the networks.

  Args:
    models: By name, computed in float32.
    folder: Created if it is not there; files of the same names are replaced.
    form: A key of FORMATS.

  Raises:
    ModuleNotFoundError: a library is not installed.
    OSError: something cannot be written.
  """
  placing.make_folder(folder)
  programs = {name: program(model) for name, model in models.items()}
  paths = []
  for name, of in programs.items():
    paths.append(folder / f'{name}.{form}')
    placing.write(paths[-1], FORMATS[form](of))
  placing.write(folder / README, readme(models, programs, form))
  return paths


def readme(
  models: Mapping[str, Model | FinderModel], programs: Mapping[str, Program], form: str
) -> str:
  """What a folder says of itself."""
  parts = [_HEAD.format(how=_HOW[form])]
  for name, model in models.items():
    parts.append(_section(name, model, programs[name], form))
  parts.append(_example(models, programs, form))
  return '\n'.join(parts)


def _section(name: str, model: Model | FinderModel, of: Program, form: str) -> str:
  outputs = jax.eval_shape(of.function, *of.inputs.values())
  lines = [f'## {name}.{form}\n', '| | name | type | shape |', '|---|---|---|---|']
  for kind, ends in (('in', of.inputs.items()), ('out', zip(of.outputs, outputs))):
    for end, array in ends:
      shape = ', '.join(str(size) for size in array.shape)
      lines.append(f'| {kind} | `{end}` | {array.dtype} | {shape} |')
  if isinstance(model, FinderModel):
    return '\n'.join([*lines, '', _FINDER])
  what = {'primary': 'a face', 'eyes': 'both eyes', 'eye': "an eye (on the image's left)"}
  crop = '' if model.margin is None else f' Its side is {model.margin} times the size of that.'
  ids = ', '.join(f'{number} {name}' for number, name in enumerate(model.class_names))
  lines += ['', f'Sees an upright crop of {what.get(model.region, f"a {model.region}")}.{crop}']
  lines += [f'Class ids: {ids}.', '']
  if model.network.temporal:
    _, *state = of.inputs
    lines += [_MEMORY.format(state=_told(state), after=_told(NEXT + end for end in state)), '']
  return '\n'.join(lines)


def _told(names: Iterable[str]) -> str:
  """Names as people list them: `a`, `b` and `c`."""
  *others, last = (f'`{name}`' for name in names)
  return f'{", ".join(others)} and {last}'


def _example(
  models: Mapping[str, Model | FinderModel], programs: Mapping[str, Program], form: str
) -> str:
  """Lines that can be run in the folder, on the first network that labels pixels."""
  labelling = [name for name, model in models.items() if isinstance(model, Model)]
  name = min(labelling, key=lambda of: of != 'primary') if labelling else next(iter(models))
  of = programs[name]
  model = models[name]
  side = model.image_size if isinstance(model, Model) else 320
  first, *rest = of.inputs
  inputs = {first: 'pixels[None]' if first == 'frames' else 'pixels[None, None]'}
  if rest:
    inputs[first] = f'np.repeat(pixels[None, None], {of.inputs[first].shape[1]}, axis=1)'
    inputs |= {end: f'np.zeros({(1, *of.inputs[end].shape[1:])}, np.float32)' for end in rest}
  values = '\n'.join(f'  {end!r}: {value},' for end, value in inputs.items())
  text = _RUN[form].format(name=name, side=side, inputs=values, outputs=', '.join(of.outputs))
  return f'## Example\n\n```python\n{text}{_SAVE if labelling else ""}```\n'


_HOW = {
  'onnx': 'They are ONNX models, for ONNX Runtime and others.',
  'stablehlo': 'They are StableHLO as `jax.export` serialises it: JAX runs them on CPUs, GPUs and '
  'TPUs.',
}
_HEAD = """\
# Networks of fmx

{how}
Weights are inside. Frames are RGB, uint8; the networks normalise them (subtract the mean, change
the order of channels) themselves. Letters in shapes are free: batches of any size. `logits` are
scores of the classes, `probabilities` their softmax; the class of a pixel is the largest of either.

The networks that ship with fmx may be used for research only, not commercially; others have the
terms of their data.
"""
_FINDER = f"""\
Sees whole frames, both sides multiples of {MULTIPLE}, at best with a longer side of about 320
pixels; black where there is nothing. The cell in row r and column c stands for the pixels
around x = {STRIDE} (c + 0.5), y = {STRIDE} (r + 0.5), counted from the frame's upper left corner.
Of its {CHANNELS} numbers, 0 is the logit of a face's middle being there, 1 the logarithm of its
size over {UNIT_SIZE:.0f} pixels; 2 and 3 lead from there to the face's middle, 4 to 13 to five
points (the eye on the image's left, the other one, nose, left and right corner of the mouth), x
then y, in units of the size. A face is where the sigmoid of 0 is the largest of its 3 x 3
neighbours and above 0.4.
"""
_MEMORY = """\
{state} are its memory: zeros before a video's first frame, then what the frames
before left, {after}."""
_RUN = {
  'onnx': """\
import numpy as np
import onnxruntime
from PIL import Image

network = onnxruntime.InferenceSession('{name}.onnx')
picture = Image.open('picture.png').convert('RGB').resize(({side}, {side}))
pixels = np.asarray(picture)  # uint8 [H, W, 3]
inputs = {{
{inputs}
}}
{outputs}, = network.run(None, inputs)
""",
  'stablehlo': """\
import numpy as np
from jax import export
from PIL import Image

network = export.deserialize(bytearray(open('{name}.stablehlo', 'rb').read()))
picture = Image.open('picture.png').convert('RGB').resize(({side}, {side}))
pixels = np.asarray(picture)  # uint8 [H, W, 3]
inputs = {{
{inputs}
}}
{outputs}, = network.call(*inputs.values())
""",
}
_SAVE = """\
labels = np.asarray(logits).argmax(axis=-1)[0]  # Class ids.
colors = (60 * labels).astype(np.uint8).reshape(-1, pixels.shape[1])
Image.fromarray(colors).save('labels.png')
"""
