"""The job 'export' of `run.py`: networks for programs that know nothing of fmx."""

import pathlib

from ml_collections import ConfigDict

from fmx import pretrained, weights
from fmx.engines import exporting
from fmx.workdir import held


def run(config: ConfigDict, folder: pathlib.Path) -> None:
  """Writes each network of the weights, and README.md.

  Args:
    config: As `configs/export.py`: `weights` and `format`.
    folder: Where the files go.

  Raises:
    ValueError: there is no such format, or a library for it is not installed.
    OSError: the weights cannot be read, or something cannot be written.
  """
  if config.format not in exporting.FORMATS:
    known = ' or '.join(map(repr, exporting.FORMATS))
    raise ValueError(f'format is {config.format!r}; it must be {known}.')
  models = weights.load(config.weights or pretrained.folder(), dtype='float32')
  with held(folder):
    try:
      paths = exporting.write_folder(models, folder, config.format)
    except ModuleNotFoundError as error:
      raise ValueError(
        f"The format {config.format!r} needs the library {error.name!r}: pip install 'fmx[onnx]'."
      ) from error
  for path in paths:
    print(f'{path}  {path.stat().st_size / 1e6:.1f} MB')
  print(f'{folder / exporting.README} says what goes in and what comes out.')
