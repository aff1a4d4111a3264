"""Networks in other formats say what they say in JAX."""

import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_weights
from jax import export
from PIL import Image
from tiny_programs import KINDS, inputs, model, outputs

from fmx.engines import exporting
from fmx.engines.programs import program

onnxruntime = pytest.importorskip('onnxruntime', reason='needs ONNX Runtime (extra `onnx`)')
pytest.importorskip('onnx', reason='needs the library onnx (extra `onnx`)')


def loaded_onnx(content):
  session = onnxruntime.InferenceSession(content)
  return lambda given: session.run(None, given)


def loaded_stablehlo(content):
  exported = export.deserialize(bytearray(content))
  return lambda given: exported.call(*given.values())


LOAD = {'onnx': loaded_onnx, 'stablehlo': loaded_stablehlo}


@pytest.mark.parametrize('kind', KINDS)
def test_programs_say_what_the_network_says_of_batches_of_any_size(kind):
  of = model(kind)
  written = program(of)
  run = {form: LOAD[form](write(written)) for form, write in exporting.FORMATS.items()}
  for number, size in ((1, (64, 96)), (3, (32, 64))):
    given = inputs(of, number, size)
    expected = outputs(of, given)
    assert expected[0].std() > 0.01  # It tells cells apart: the comparison counts.
    for form in exporting.FORMATS:
      for found, wanted in zip(run[form](given), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-4, err_msg=form)


@pytest.mark.parametrize(
  ('form', 'temporal'), [('onnx', False), ('onnx', True), ('stablehlo', True)]
)
def test_the_example_of_the_folder_runs_and_knows_nothing_of_fmx(form, temporal, tmp_path):
  models = {
    'finder': tiny_weights.model('finder'),
    'primary': tiny_weights.model('primary', temporal=temporal),
  }
  paths = exporting.write_folder(models, tmp_path, form)
  assert [path.name for path in paths] == [f'finder.{form}', f'primary.{form}']
  text = (tmp_path / 'README.md').read_text()
  (example,) = re.findall(r'```python\n(.*?)```', text, re.DOTALL)
  assert len(example.splitlines()) <= 17
  picture = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
  Image.fromarray(picture).save(tmp_path / 'picture.png')
  check = "import sys; assert not {'fmx', 'flax'} & sys.modules.keys(); print(logits.shape)"
  command = [sys.executable, '-c', f'{example}\n{check}']
  done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
  assert done.returncode == 0, done.stderr
  length = (models['primary'].clip_length,) if temporal else ()
  assert done.stdout.strip() == str((1, *length, 32, 32, 5))
  colors = np.asarray(Image.open(tmp_path / 'labels.png'))
  assert set(np.unique(colors)) <= {0, 60, 120, 180, 240}


def test_the_readme_says_what_goes_in_and_what_comes_out(tmp_path):
  models = {name: tiny_weights.model(name) for name in ('mouth', 'finder')}
  exporting.write_folder(models, tmp_path, 'onnx')
  text = (tmp_path / 'README.md').read_text()
  assert '| in | `frames` | uint8 | n, 32, 32, 3 |' in text
  assert '| in | `frames` | uint8 | n, 32*h, 32*w, 3 |' in text
  assert '| out | `cells` | float32 | n, 4*h, 4*w, 14 |' in text
  assert 'Class ids: 0 background, 1 outer_mouth, 2 inner_mouth.' in text


def test_graphs_are_written_of_known_operations_only():
  from fmx.engines import onnx_writer

  x = jax.ShapeDtypeStruct((2, 3), jnp.float32)
  with pytest.raises(NotImplementedError, match="'sort' is not among them"):
    onnx_writer.write(lambda x: (jnp.sort(x),), {'x': x}, ['y'])
