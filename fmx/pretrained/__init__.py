"""The networks that ship with fmx, as weights in a folder of the package.

TERMS.md says what they may be used for. `python -m fmx.pretrained` puts them here out of trainings.

  weights/weights.json     what each network is (see `fmx.weights`)
  weights/finder.npz …     the variables of each, kernels as float16
  weights/release.json     their version, their size, and what the rounding to float16 changes
  weights/recipe.json      the configurations that they were trained by
  weights/log.json         the numbers of their training, step by step

Who only uses them needs nothing else of fmx; making them needs `fmx.weights`, `fmx.example` and
`fmx.data.transforms`.
"""

import json
import pathlib
from typing import Any

FOLDER = pathlib.Path(__file__).parent / 'weights'
RELEASE, RECIPE, LOG = 'release.json', 'recipe.json', 'log.json'
LARGEST = 25e6  # Bytes of all of them together.


def folder() -> pathlib.Path:
  """Where the networks are.

  Raises:
    FileNotFoundError: none came with this copy of fmx.
  """
  if not (FOLDER / RELEASE).is_file():
    raise FileNotFoundError(
      f'No trained networks came with this copy of fmx ({FOLDER} is not there): give a folder of '
      'weights of your own, --config.weights=FOLDER of run.py or --weights FOLDER of fmx; '
      'docs/weights.md says how to train some.'
    )
  return FOLDER


def release() -> dict[str, Any]:
  """What `release.json` says of them: 'version', 'sha256' by network and more.

  Raises:
    FileNotFoundError: none came with this copy of fmx.
    ValueError: the file cannot be read.
  """
  path = folder() / RELEASE
  try:
    found = json.loads(path.read_bytes())
    return {'version': found['version'], 'sha256': dict(found['sha256'])} | found
  except (ValueError, KeyError, TypeError) as error:
    raise ValueError(f'{path} cannot be read ({error!r}): install fmx again.') from error


def caption() -> str:
  """Which networks these are, in a few words."""
  try:
    found = release()
  except (FileNotFoundError, ValueError):
    return 'no networks'
  return f'networks {found["version"]} ({", ".join(found["sha256"])})'
