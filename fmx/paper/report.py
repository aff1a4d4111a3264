"""The report: our numbers beside the paper's, as one page and as Markdown."""

from __future__ import annotations

import base64
import dataclasses
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fmx.evaluation import significance, tables
from fmx.paper import figures
from fmx.paper.plan import Table
from tfds_300vw import placing

if TYPE_CHECKING:  # It is in the extra `tables`.
  import jinja2

PAGE, DOCUMENT = 'index.html', 'report.md'
PAPER = 'paper'  # Head of the columns with its numbers.
LATER = 'later'  # A measure: how much more the later frames of a window have than the first.


@dataclasses.dataclass(frozen=True)
class Outcome:
  """What became of a run.

  Attributes:
    folder: Its name in the workdir.
    changes: Pairs (option, value).
    versions: Of the code that made it.
    results: By title of the system (`protocol.summarize`); empty while it is not done.
  """

  folder: str
  changes: Sequence[tuple[str, Any]]
  versions: Sequence[str]
  results: Mapping[str, Mapping[str, Any]]


@dataclasses.dataclass(frozen=True)
class Section:
  """A table or a figure as the templates show it.

  Attributes:
    table: What it is.
    rows: Of cells, the header first; empty for pictures.
    verdicts: Tuples: what the paper says, whether that holds here, and by how much.
    figure: An SVG, or ''.
    picture: The bytes of a JPEG, or b''.
    picture_name: The JPEG's file beside the report.
    missing: Why rows are empty, if a library was missing.
  """

  table: Table
  rows: list[list[str]]
  verdicts: list[tuple[str, str, str]]
  figure: str
  picture: bytes
  missing: list[str]

  @property
  def picture_name(self) -> str:
    """The file beside the Markdown."""
    return f'{self.table.name}.{"jpg" if self.picture else "svg"}'


def write(
  folder: pathlib.Path,
  planned: Sequence[Table],
  outcomes: Mapping[str, Outcome],
  pictures: Mapping[str, bytes],
  missing: Mapping[str, str],
  scale: str,
  facts: Sequence[tuple[str, str]],
) -> pathlib.Path:
  """Writes the page and the Markdown with its pictures; what is not done has dashes.

  Args:
    folder: Created if it is not there.
    planned: The tables, in the order of the report.
    outcomes: Of each run that they name.
    pictures: JPEGs by name of the table.
    missing: Why a run was left out, by its name.
    scale: Of the networks.
    facts: Pairs of what all networks have in common.

  Returns:
    The page.

  Raises:
    OSError: a file cannot be written.
  """
  placing.make_folder(folder)
  sections = [section(table, outcomes, pictures, missing) for table in planned]
  for one in sections:
    if one.picture or one.figure:
      placing.write(folder / one.picture_name, one.picture or one.figure)
  shown = {
    'sections': sections,
    'outcomes': outcomes,
    'scale': scale,
    'facts': facts,
    'done': sum(bool(outcome.results) for outcome in outcomes.values()),
  }
  for name, template in ((DOCUMENT, 'report.md.jinja'), (PAGE, 'index.html.jinja')):
    placing.write(folder / name, _environment().get_template(template).render(shown))
  return folder / PAGE


def section(
  table: Table,
  outcomes: Mapping[str, Outcome],
  pictures: Mapping[str, bytes],
  missing: Mapping[str, str],
) -> Section:
  """A table with what was measured so far."""
  results = {
    label: outcomes[run].results[system]
    for label, run, system, _ in table.rows
    if system in outcomes[run].results
  }
  reasons = [f'{label}: {missing[run]}' for label, run, *_ in table.rows if run in missing]
  rows: list[list[str]] = []
  figure = ''
  if table.kind == 'comparison':
    rows = compared(table, results)
  elif results:
    rows = tables.position_rows(results) if table.kind == 'positions' else []
    rows = subject_rows(results) if table.kind == 'subjects' else rows
    draw = {'positions': figures.positions, 'subjects': figures.subjects}.get(table.kind)
    figure = draw(results) if draw and len(results) > 1 else ''
  verdicts = [(sentence, *verdict(results, *of)) for sentence, *of in table.claims]
  return Section(table, rows, verdicts, figure, pictures.get(table.name, b''), reasons)


def compared(table: Table, results: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
  """Rows as the paper's, and the paper's own mIoU and gain where they are known.

  Args:
    table: Of kind 'comparison'.
    results: By row; rows without are dashes.
  """
  classes: list[str] = []
  ours: dict[str, list[str]] = {}
  if results:
    first = table.compared_with
    header, *found = tables.comparison_rows(results, first if first in results else None)
    classes = header[1:-3]
    if first not in results:  # Nothing to compare with: neither gain nor p.
      found = [[*row[:-2], tables.ABSENT, tables.ABSENT] for row in found]
    ours = {row[0]: row for row in found}
  known = {label: miou for label, _, _, miou in table.rows}
  baseline = known[table.compared_with]
  rows = [['model', 'mIoU', PAPER, 'gain', PAPER, 'p', *classes]]
  for label, theirs in known.items():
    lacking = [tables.ABSENT] * (len(classes) + 3)
    *ratios, miou, gain, p = ours[label][1:] if label in ours else lacking
    of_paper = their_gain = tables.ABSENT
    if theirs is not None:
      of_paper = f'{theirs:.2f}'
      if baseline is not None and label != table.compared_with:
        their_gain = f'{theirs - baseline:+.2f}'
    rows.append([label, miou, of_paper, gain, their_gain, p, *ratios])
  return rows


def subject_rows(results: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
  """Mean and standard deviation of each subject's frames in %, the header first."""
  subjects = next(iter(results.values()))['subjects']
  rows = [['subject', *results]]
  for subject in subjects:
    spreads = [result['subjects'][subject] for result in results.values()]
    rows.append([subject, *(_spread(one) for one in spreads)])
  return rows


def verdict(
  results: Mapping[str, Mapping[str, Any]], better: str, worse: str, by: str
) -> tuple[str, str]:
  """Whether a claim holds here, and the difference in points that says so.

  Args:
    results: By row.
    better: The row that is better by the claim.
    worse: The other.
    by: As in `measure`.
  """
  if not {better, worse} <= results.keys():
    return 'not measured', ''
  values = [measure(results[label], by) for label in (better, worse)]
  if None in values:
    return 'not measured', ''
  difference = 100 * (values[0] - values[1])
  text = f'{difference:+.2f}'
  p = _p(results[better], results[worse]) if by == 'mIoU' else None
  if p is None:
    return ('holds' if difference > 0 else 'does not hold'), text
  text = f'{text}, {"p < 0.001" if p < 0.001 else f"p = {p:.3f}"}'
  if p >= significance.LEVEL:
    return 'open: within chance', text
  return ('holds' if difference > 0 else 'does not hold'), text


def measure(result: Mapping[str, Any], by: str) -> Any:
  """A number of a model, or None: 'mIoU', the IoU of a class by its name, or LATER."""
  if by == 'mIoU':
    return result['miou']
  if by != LATER:
    return result['iou'].get(by)
  first, *later = (result['positions'][t] for t in sorted(result['positions'], key=int))
  if not later or None in (first, *later):
    return None
  return sum(later) / len(later) - first


def _p(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> float | None:
  if len(ours['clips']) < 2:
    return None
  p = significance.compare(ours['clips'], theirs['clips']).p
  return None if math.isnan(p) else p


def _spread(one: Mapping[str, Any]) -> str:
  return f'{tables.percent(one["mean"])} ± {tables.percent(one["std"])}'


def _environment() -> jinja2.Environment:
  import jinja2
  from markupsafe import Markup

  environment = jinja2.Environment(
    loader=jinja2.PackageLoader('fmx.paper'),
    autoescape=lambda name: bool(name and '.html' in name),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
  )
  environment.filters['markdown_table'] = tables.as_markdown
  environment.filters['inline'] = Markup
  environment.filters['base64'] = lambda content: base64.b64encode(content).decode()
  environment.filters['changes'] = lambda changes: ', '.join(f'{k} = {v}' for k, v in changes)
  return environment
