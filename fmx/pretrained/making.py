"""From the weights of trainings to those that ship: float16, and all that is known of them."""

import json
import math
import pathlib
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from fmx import weights
from fmx.data.transforms import resize_frame
from fmx.example import clip
from fmx.pretrained import LARGEST, LOG, RECIPE, RELEASE
from fmx.weights import FinderModel, Model
from tfds_300vw import placing

NEEDED = ('primary', 'finder')
LEFT_OUT = ('fcn',)  # Networks that only evaluations need.
# What the rounding of kernels may change: the outputs, root mean square over that of their spread,
# and the share of pixels of another class.
MOST_CHANGE, MOST_PIXELS = 0.02, 0.001
NUM_WINDOWS = 24  # Of the example clip, wide and near, in which that is looked at.
FINDER_SIZE = 256  # Pixels.


def make(
  folders: Sequence[pathlib.Path],
  version: str,
  to: pathlib.Path,
  *,
  logs: Sequence[pathlib.Path] = (),
) -> dict[str, Any]:
  """Puts the networks of trainings together for others to use.

  Args:
    folders: Of trainings with their weights, or of weights alone.
    version: Of what ships.
    to: Folder of what ships, which is replaced.
    logs: Workdirs of the trainings where the weights lie elsewhere.

  Returns:
    What `release.json` says.

  Raises:
    ValueError: two folders hold a network of one name, a network is missing that nobody can do
      without, the rounding changes too much, or all is too large.
    OSError: something cannot be read or written.
  """
  models = gather(folders)
  rounding = {}
  for name, model in models.items():
    rounding[name] = changes(model)
    if not acceptable(rounding[name]):
      raise ValueError(f'{name}: float16 kernels change too much: {rounding[name]}.')
  partial = to.with_name(f'{to.name}.new')
  shutil.rmtree(partial, ignore_errors=True)
  try:
    weights.save(partial, models, half=True)
    release = {
      'version': version,
      'sha256': {
        name: entry['sha256'] for name, entry in weights.read_description(partial).items()
      },
      'rounding': rounding,
    }
    places = [*folders, *logs]
    recipe = {at: without_places(config) for at, config in configurations(places).items()}
    for name, content in ((RELEASE, release), (RECIPE, recipe), (LOG, log(places))):
      (partial / name).write_text(json.dumps(content, indent=1, allow_nan=False) + '\n')
    weights.load(partial)  # As whoever installs it will.
    if (size := size_of(partial)) > LARGEST:
      raise ValueError(f'{size / 1e6:.1f} MB are too much: at most {LARGEST / 1e6:g} MB ship.')
    shutil.rmtree(to, ignore_errors=True)
    placing.place(partial, to)
  finally:
    shutil.rmtree(partial, ignore_errors=True)
  return release


def size_of(folder: pathlib.Path) -> int:
  """The bytes of the files of a folder."""
  return sum(file.stat().st_size for file in folder.iterdir())


def gather(folders: Sequence[pathlib.Path]) -> dict[str, Model | FinderModel]:
  """The networks of all folders by name; see `make`."""
  models: dict[str, Model | FinderModel] = {}
  for folder in folders:
    found = {n: m for n, m in weights.load(folder, dtype='float32').items() if n not in LEFT_OUT}
    if twice := models.keys() & found.keys():
      raise ValueError(f'{folder} holds {min(twice)!r}, and so does a folder before it.')
    models |= found
  for name in NEEDED:
    if name not in models:
      raise ValueError(f'{", ".join(map(str, folders))}: there is no network {name!r} there.')
  return models


def changes(model: Model | FinderModel) -> dict[str, float]:
  """What rounding its kernels to float16 changes of what a network says.

  Args:
    model: A network of `fmx.weights`.

  Returns:
    'output': the root mean square of the changes over the outputs' standard deviation; and 'pixels'
    of networks that label: the share that gets another class.
  """
  rounded = jax.tree.map(
    lambda value: value.astype(np.float16).astype(np.float32) if value.ndim > 1 else value,
    dict(model.variables),
  )
  labels = isinstance(model, Model)
  frames = windows(model.image_size)[:, None] if isinstance(model, Model) else windows(FINDER_SIZE)
  apply = jax.jit(model.network.apply)
  outputs = (apply(variables, frames) for variables in (model.variables, rounded))
  exact, other = (np.asarray(out[0] if labels else out, np.float64) for out in outputs)
  change = math.sqrt(float(np.mean((other - exact) ** 2))) / max(float(np.std(exact)), 1e-12)
  found = {'output': change}
  if labels:
    found['pixels'] = float(np.mean(exact.argmax(-1) != other.argmax(-1)))
  return {name: float(f'{value:.3g}') for name, value in found.items()}


def acceptable(change: Mapping[str, float]) -> bool:
  """Whether what the rounding changes is next to nothing; False where it is no number."""
  return change['output'] <= MOST_CHANGE and change.get('pixels', 0.0) <= MOST_PIXELS


def windows(size: int) -> np.ndarray:
  """The middles of frames of the example clip, uint8 [NUM_WINDOWS, size, size, 3]."""
  frames = list(clip.frames())
  chosen = np.linspace(0, len(frames) - 1, NUM_WINDOWS).round().astype(int)
  sides = np.tile([360, 240, 120], NUM_WINDOWS)[:NUM_WINDOWS]
  cut = []
  for index, side in zip(chosen, sides):
    top, left = (clip.HEIGHT - side) // 2, (clip.WIDTH - side) // 2
    cut.append(resize_frame(frames[index][top : top + side, left : left + side], size))
  return np.stack(cut)


def configurations(folders: Sequence[pathlib.Path]) -> dict[str, Any]:
  """What trainings left of their configurations, by place under the name of their folder."""
  return {place: json.loads(path.read_bytes()) for place, path in files(folders, 'config.json')}


def log(folders: Sequence[pathlib.Path]) -> dict[str, Any]:
  """The lines of numbers that trainings left, and their results, in the same way."""
  found: dict[str, Any] = {
    place: [json.loads(line) for line in path.read_text().splitlines()]
    for place, path in files(folders, 'metrics.jsonl')
  }
  return found | {
    place: without_clips(json.loads(path.read_bytes()))
    for place, path in files(folders, 'results.json')
  }


def files(folders: Sequence[pathlib.Path], name: str) -> list[tuple[str, pathlib.Path]]:
  """The files of that name, and their places."""
  return [
    (str(pathlib.Path(folder.absolute().name, path.relative_to(folder))), path)
    for folder in folders
    for path in sorted(folder.rglob(name))
    if 'checkpoints' not in path.parts
  ]


def without_clips(results: Mapping[str, Any]) -> dict[str, Any]:
  """Results less what is said of each clip."""
  return {
    title: {name: value for name, value in result.items() if name != 'clips'}
    if isinstance(result, dict)
    else result
    for title, result in results.items()
  }


def without_places(config: Any) -> Any:
  """A configuration in which paths of one machine are the last of their names."""
  if isinstance(config, dict):
    return {name: without_places(value) for name, value in config.items()}
  if isinstance(config, list):
    return [without_places(value) for value in config]
  if isinstance(config, str) and config.startswith(('/', '~', '.')) and '/' in config:
    return pathlib.PurePath(config).name
  return config
