"""A folder of trained networks that can be handed on: it loads without any other file.

  weights.json    what each network is, what goes in and what comes out, the checksum of its file
  primary.npz …   the variables of each

The networks go by name: 'finder' finds faces, 'primary' labels them, 'mouth', 'eye' and 'eyes' look
at these from nearby, and 'fcn' is what the primary network was before it had a ConvLSTM: the
baseline of the evaluation.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
import types
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import traverse_util

from fmx import caching, tree_file
from fmx.models import segmenter
from fmx.models.finder import FinderNetwork
from fmx.models.resnet import MEAN_BGR
from tfds_300vw import face_mask, placing

FORMAT, VERSION = 'fmx weights', 3
DESCRIPTION = 'weights.json'
FOLDER = 'weights'  # Inside the folder of a training of all networks.
REGIONS = {
  'fcn': 'primary',
  'primary': 'primary',
  'eyes': 'eyes',
  'eye': 'eye',
  'mouth': 'mouth',
}
NETWORK_OPTIONS = (
  'trunk',
  'width',
  'blocks',
  'stem',
  'pool_margin',
  'dilate',
  'memory',
  'head',
  'head_features',
  'kernel_size',
  'peepholes',
)
# What networks had before there was a choice: of weights that do not say it.
ABSENT: dict[str, Any] = {'trunk': 'resnet50', 'memory': 'top'}
FINDER = 'finder'
FINDER_OPTIONS = ('widths', 'blocks', 'features')
FINDER_INPUT = {'size': 'multiples of 32', 'channels': 'RGB'}
_KEPT = 64  # Networks whose shapes are kept.
INPUT = {'size': 'stretched, bilinear with antialiasing', 'channels': 'BGR', 'mean': MEAN_BGR}


@dataclasses.dataclass(frozen=True)
class Model:
  """A trained network and how it is used.

  Attributes:
    network: From video [B, T, S, S, 3], RGB in [0, 255], to logits [B, T, S, S, K].
    variables: Its 'params' and 'batch_stats'.
    region: A key of `tfds_300vw.face_mask.REGIONS`.
    class_names: Of the K classes, background first.
    image_size: S, in pixels.
    clip_length: T, the frames of a window.
    margin: Side of the upright crop that it takes over the size of its region
      (`tfds_300vw.pose`); None for one that takes boxes of the paper's kind.
    options: What `segmenter.build` makes the network of: the NETWORK_OPTIONS.
    trained: Where the weights are from, for people: any JSON.
  """

  network: segmenter.Segmenter
  variables: Mapping[str, Any]
  region: str
  class_names: tuple[str, ...]
  image_size: int
  clip_length: int
  margin: float | None = None
  options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  trained: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class FinderModel:
  """A trained finder.

  Attributes:
    network: From frames [N, H, W, 3], RGB in [0, 255], to what cells say.
    variables: Its 'params' and 'batch_stats'.
    options: What the network is made of: the FINDER_OPTIONS.
    trained: Where the weights are from, for people: any JSON.
  """

  network: FinderNetwork
  variables: Mapping[str, Any]
  options: Mapping[str, Any]
  trained: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def save(
  folder: str | os.PathLike, models: Mapping[str, Model | FinderModel], *, half: bool = False
) -> None:
  """Writes weights, in place of those that the folder may hold.

  Args:
    folder: Whole or not there at all, whenever it is looked at. What it held goes last: killed in
      between, that is beside it, in a folder of the same name with '.old' behind.
    models: By name: 'primary', and any of 'finder', 'fcn', 'eyes', 'eye' and 'mouth'.
    half: Whether kernels are kept as float16.

  Raises:
    ValueError: there is no such network, one's region is not its name's, or float16 cannot hold a
      kernel.
    FileExistsError: the folder holds something else.
    OSError: it cannot be written.
  """
  folder = pathlib.Path(folder).absolute()
  for name, model in models.items():
    if isinstance(model, FinderModel) and name == FINDER:
      continue
    if isinstance(model, FinderModel) or REGIONS.get(name) != model.region:
      region = FINDER if isinstance(model, FinderModel) else model.region
      raise ValueError(f'Weights hold networks of {REGIONS}; {name!r} is of {region!r}.')
  if folder.exists() and not (folder / DESCRIPTION).is_file():
    raise FileExistsError(f'{folder} exists and holds no weights: choose another folder.')
  partial, old = (folder.with_name(folder.name + end) for end in ('.partial', '.old'))
  shutil.rmtree(partial, ignore_errors=True)
  placing.make_folder(partial)
  try:
    entries = {}
    for name, model in models.items():
      checksum = tree_file.save(partial / f'{name}{tree_file.SUFFIX}', model.variables, half=half)
      entries[name] = _describe(model) | {'sha256': checksum}
    text = json.dumps({'format': FORMAT, 'version': VERSION, 'models': entries}, indent=2)
    (partial / DESCRIPTION).write_text(text + '\n')
    if folder.exists():
      shutil.rmtree(old, ignore_errors=True)
      os.replace(folder, old)
    placing.place(partial, folder)
    shutil.rmtree(old, ignore_errors=True)
  finally:
    if old.exists() and not folder.exists():
      os.replace(old, folder)
    shutil.rmtree(partial, ignore_errors=True)


def load(folder: str | os.PathLike, *, dtype: str = 'auto') -> dict[str, Any]:
  """Reads weights.

  Args:
    folder: Of weights, or of a training that put them into its folder 'weights'.
    dtype: Of the computation: 'float32', 'bfloat16' or 'auto', bfloat16 on GPUs.

  Returns:
    The networks by name, each a Model but 'finder', a FinderModel; 'primary' is among them unless
    only others were trained.

  Raises:
    FileNotFoundError: there are no weights.
    ValueError: they are of another version or cannot be understood.
    OSError: they are damaged.
  """
  folder = find(folder)
  entries = read_description(folder)
  return {name: _load_model(folder / name, entry, dtype) for name, entry in entries.items()}


def find(folder: str | os.PathLike) -> pathlib.Path:
  """The folder of weights itself.

  Args:
    folder: Of weights, or of a training that put them into its folder 'weights'.

  Raises:
    FileNotFoundError: there are no weights.
  """
  folder = pathlib.Path(folder).expanduser()
  for place in (folder, folder / FOLDER):
    if (place / DESCRIPTION).is_file():
      return place
  raise FileNotFoundError(
    f'{folder} holds no weights (no {DESCRIPTION}): give the folder of weights, or of a '
    'finished training with configs/all.py.'
  )


def read_description(folder: pathlib.Path) -> dict[str, Any]:
  """What the folder of weights says of each network, by name, as JSON.

  Raises:
    ValueError: it is of another version or cannot be understood.
  """
  path = folder / DESCRIPTION
  try:
    description = json.loads(path.read_bytes())
    kind, version = description['format'], description['version']
  except (ValueError, KeyError, TypeError) as error:
    raise ValueError(f'{path} does not describe weights: take another copy of them.') from error
  if (kind, version) != (FORMAT, VERSION):
    raise ValueError(
      f'{path} is {kind!r} version {version}; this program reads {FORMAT!r} version {VERSION}: '
      'update the one that is older.'
    )
  entries = description.get('models')
  if not isinstance(entries, dict) or not entries:
    raise ValueError(f'{path} describes no network: take another copy of the weights.')
  return entries


def _describe(model: Model | FinderModel) -> dict[str, Any]:
  if isinstance(model, FinderModel):
    options = {option: model.options[option] for option in FINDER_OPTIONS}
    return {'network': options, 'input': FINDER_INPUT, 'trained': dict(model.trained)}
  return {
    'region': model.region,
    'class_names': model.class_names,
    'image_size': model.image_size,
    'clip_length': model.clip_length,
    'margin': model.margin,
    'temporal': model.network.temporal,
    'network': {option: model.options[option] for option in NETWORK_OPTIONS},
    'input': INPUT,
    'trained': dict(model.trained),
  }


def _load_finder(folder: pathlib.Path, entry: Mapping[str, Any]) -> FinderModel:
  path = folder.parent / DESCRIPTION
  try:
    options: dict[str, Any] = {
      name: tuple(value) if isinstance(value, list) else value
      for name, value in entry['network'].items()
    }
    known = set(options) == set(FINDER_OPTIONS) and entry['input'] == _as_json(FINDER_INPUT)
  except (KeyError, TypeError, AttributeError) as error:
    raise ValueError(f'{path} does not say all of {folder.name!r} ({error!r}).') from error
  if not known:
    raise ValueError(
      f'{path} describes {folder.name!r} as this program cannot run it: {json.dumps(entry):.300}'
    )
  network = FinderNetwork(**options)
  variables = _load_variables(folder, entry)
  frames = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.uint8)
  _check_shapes(network, variables, frames, folder)
  return FinderModel(network, variables, options, entry.get('trained', {}))


def _load_model(folder: pathlib.Path, entry: Mapping[str, Any], dtype: str) -> Model | FinderModel:
  """Reads one network and checks that everything fits together."""
  if folder.name == FINDER:
    return _load_finder(folder, entry)
  path = folder.parent / DESCRIPTION
  try:
    size, region = entry['image_size'], entry['region']
    class_names, options = tuple(entry['class_names']), ABSENT | dict(entry['network'])
    length, temporal, margin = entry['clip_length'], entry['temporal'], entry['margin']
    options |= {name: tuple(value) for name, value in options.items() if isinstance(value, list)}
    known = set(options) == set(NETWORK_OPTIONS) and entry['input'] == _as_json(INPUT)
  except (KeyError, TypeError, AttributeError) as error:
    raise ValueError(f'{path} does not say all of {folder.name!r} ({error!r}).') from error
  if not known or region not in face_mask.REGIONS or REGIONS.get(folder.name) != region:
    raise ValueError(
      f'{path} describes {folder.name!r} as this program cannot run it: {json.dumps(entry):.300}'
    )
  if class_names != face_mask.class_names(region):
    raise ValueError(
      f'{path}: {folder.name!r} has the classes {", ".join(class_names)}; '
      f'{region!r} has {", ".join(face_mask.class_names(region))}.'
    )
  config = types.SimpleNamespace(**options, dtype=dtype)
  network = segmenter.build(config, len(class_names), temporal=temporal, image_size=size)
  variables = _load_variables(folder, entry)
  video = jax.ShapeDtypeStruct((1, 1, size, size, 3), jnp.uint8)
  _check_shapes(network, variables, video, folder)
  trained = entry.get('trained', {})
  return Model(network, variables, region, class_names, size, length, margin, options, trained)


def _load_variables(folder: pathlib.Path, entry: Mapping[str, Any]) -> dict[str, Any]:
  tree = tree_file.load(folder.with_suffix(tree_file.SUFFIX), entry.get('sha256', 'none'))
  return {'batch_stats': {}} | tree  # VGG has no batch norm.


def _check_shapes(
  network: Any, variables: Any, frames: jax.ShapeDtypeStruct, folder: pathlib.Path
) -> None:
  """Raises ValueError where the variables are not those of the network."""
  shapes, found = _expected_shapes(network, frames), _shapes(variables)
  for name in sorted(shapes.keys() | found.keys()):
    if shapes.get(name) != found.get(name):
      raise ValueError(
        f'{folder}: {name} is {found.get(name, "absent")}, where the network described in '
        f'{DESCRIPTION} has {shapes.get(name, "nothing")}: take another copy of the weights.'
      )


def _expected_shapes(network: Any, frames: jax.ShapeDtypeStruct) -> dict[str, tuple[int, ...]]:
  """The shapes of a network's variables by path, kept: tracing takes half a second a network."""
  asked = hashlib.sha256(caching.code('models') + repr((network, frames.shape)).encode())
  path = caching.folder() / 'shapes' / f'{asked.hexdigest()}.json'
  content = caching.kept(path)
  if content is not None:
    with contextlib.suppress(ValueError, AttributeError, TypeError):  # Of a damaged file.
      return {name: tuple(shape) for name, shape in json.loads(content).items()}
  shapes = _shapes(jax.eval_shape(network.init, jax.random.key(0), frames))
  caching.keep(json.dumps(shapes).encode(), path, most=_KEPT)
  return shapes


def _shapes(variables: Any) -> dict[str, tuple[int, ...]]:
  leaves = traverse_util.flatten_dict(variables, sep='/')
  return {name: leaf.shape for name, leaf in leaves.items()}


def _as_json(value: Any) -> Any:
  return json.loads(json.dumps(value))
