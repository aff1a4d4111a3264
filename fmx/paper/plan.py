"""What a configuration of tables asks for: networks, what they are together, and the tables."""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from ml_collections import ConfigDict

from fmx import study, workdir

KINDS = ('comparison', 'positions', 'subjects', 'pictures')


@dataclasses.dataclass(frozen=True)
class Run:
  """A network that is trained, or several that are evaluated together.

  Attributes:
    name: As the tables call it.
    config: All of it; `jobs.train` or `jobs.evaluate` takes it.
    folder: Named by the configuration alone, so that equal ones share it.
    changes: Pairs (option, value): what the configuration changes of the scale's.
    parts: By what each is to the others, the network's folder; empty for a single network.
  """

  name: str
  config: ConfigDict
  folder: pathlib.Path
  changes: tuple[tuple[str, Any], ...]
  parts: Mapping[str, pathlib.Path] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Table:
  """A table or a figure of the paper.

  Attributes:
    name: For its files, e.g. 'table2'.
    title: What it is of.
    kind: One of KINDS.
    rows: Tuples: what the row is called, the run, which of its systems, the paper's mIoU in %, or
      None where it is lost.
    claims: What the paper says of it, as tuples: a sentence, the row that is better by it, the row
      that is worse, and by which measure (`report.measure`).
    baseline: The row that gain and p are against; the first, if nothing is said.
    note: What differs from the paper's, or ''.
  """

  name: str
  title: str
  kind: str
  rows: tuple[tuple[str, str, str, float | None], ...]
  claims: tuple[tuple[str, str, str, str], ...]
  note: str = ''
  baseline: str = ''

  @property
  def compared_with(self) -> str:
    """The row that gain and p are against."""
    return self.baseline or self.rows[0][0]


@dataclasses.dataclass(frozen=True)
class Plan:
  """All that is to be done: the networks, in the order of training, then the systems."""

  networks: dict[str, Run]
  systems: dict[str, Run]
  tables: tuple[Table, ...]

  @property
  def runs(self) -> dict[str, Run]:
    """Networks and systems by name."""
    return self.networks | self.systems


def read(config: ConfigDict, folder: pathlib.Path) -> Plan:
  """Reads and checks a configuration.

  Args:
    config: As `configs/tables/all.py`.
    folder: The workdir.

  Raises:
    ValueError: there is no such scale or option, or a name that nothing has.
  """
  if config.scale not in config.scales:
    raise ValueError(f'scale is {config.scale!r}; it must be one of {", ".join(config.scales)}.')
  if config.base.model.pretrained:
    raise ValueError(
      f'base.model.pretrained is {config.base.model.pretrained!r}, but trunks differ: set '
      'pretrained.resnet50 or pretrained.vgg16.'
    )
  scale = config.scales[config.scale]
  base = study.changed(config.base, config.scale, scale.all)
  some = dict(scale.some)
  networks: dict[str, Run] = {}
  for name, changes in config.runs:
    options = dict(changes) | dict(some.get(name, ()))
    start = options.get('trained_fcn')
    if start:
      options['trained_fcn'] = str(_known(start, networks, f'runs: {name!r} begins with').folder)
    made_of = (networks[start].folder.name,) if start else ()
    training = study.changed(base, name, options.items())
    training.model.pretrained = config.pretrained[training.model.trunk]
    at = folder / f'{training.stages[-1]}_{_digest(training, made_of)}'
    shown = tuple((dict(changes) | dict(some.get(name, ()))).items())
    networks[name] = Run(name, training, at, shown)
  systems = {}
  for name, parts, changes in config.systems:
    owned = {
      part: _known(network, networks, f'systems: {name!r} has').folder for part, network in parts
    }
    evaluation = study.changed(base, name, (('job', 'evaluate'), *changes))
    together = [f'{part}={at.name}' for part, at in owned.items()]
    at = folder / f'together_{_digest(evaluation, together)}'
    evaluation.weights = str(at / 'weights')
    systems[name] = Run(name, evaluation, at, tuple(changes), owned)
  tables = tuple(Table(**dict(table)) for table in config.tables)
  for table in tables:
    _check(table, networks | systems)
  return Plan(networks, systems, tables)


def _known(name: str, networks: Mapping[str, Run], what: str) -> Run:
  if name not in networks:
    raise ValueError(f'{what} {name!r}, which is no network before it: {", ".join(networks)}.')
  return networks[name]


def _check(table: Table, runs: Mapping[str, Run]) -> None:
  if table.kind not in KINDS:
    raise ValueError(f'{table.name}: kind is {table.kind!r}; it must be one of {", ".join(KINDS)}.')
  for label, run, _, _ in table.rows:
    if run not in runs:
      raise ValueError(f'{table.name}: the row {label!r} is of {run!r}, which is not planned.')
  labels = {label for label, *_ in table.rows}
  if table.compared_with not in labels:
    raise ValueError(f'{table.name}: baseline is {table.baseline!r}, which is no row.')
  for sentence, better, worse, _ in table.claims:
    if not {better, worse} <= labels:
      raise ValueError(f'{table.name}: {sentence!r} compares {better!r} and {worse!r}: no rows.')


def _digest(config: ConfigDict, made_of: Iterable[str]) -> str:
  """Eight hex digits that tell configurations apart, whatever folder or machine they are on."""
  options = workdir.deciding(json.loads(json.dumps(config.to_dict())))
  options.pop('trained_fcn')
  text = json.dumps([sorted(options.items()), list(made_of)])
  return hashlib.sha256(text.encode()).hexdigest()[:8]
