"""Tables of results, as text for a terminal and as Markdown for a document."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from fmx.evaluation import significance

ABSENT = '–'


def comparison_rows(
  results: Mapping[str, Mapping[str, Any]], baseline: str | None = None
) -> list[list[str]]:
  """A table of models, as the paper's: IoU by class, mIoU, gain over the first model and its p.

  The gain is absolute: 55.53 over a baseline of 54.50 is +1.03.

  Args:
    results: From the name of each model to its results (`protocol.summarize`). All are on the same
      clips.
    baseline: Which of them the others are compared with; the first, if nothing is said.

  Returns:
    Rows of cells, the header first. IoU, mIoU and gain are × 100, with two decimals; p is that of
    the paired t-test over groups of clips.

  Raises:
    ValueError: the models do not have the same classes, or not the same clips.
  """
  first = results[baseline or next(iter(results))]
  classes = first['classes']
  rows = [['model', *classes, 'mIoU', 'gain', 'p']]
  for name, result in results.items():
    if result['classes'] != classes:
      raise ValueError(f'{name} has the classes {result["classes"]}, the baseline {classes}.')
    ratios = [percent(result['iou'][label]) for label in classes]
    gain, p = (ABSENT, ABSENT) if result is first else _against(result, first)
    rows.append([name, *ratios, percent(result['miou']), gain, p])
  return rows


def position_rows(results: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
  """The mIoU × 100 by position in the window (the paper's Table 4), the header first.

  Args:
    results: As in `comparison_rows`.

  Returns:
    Rows of cells; below the baseline each cell holds the gain in brackets too. A position that a
    model lacks leaves a dash.
  """
  baseline = next(iter(results.values()))
  positions = sorted(baseline['positions'], key=int)
  rows = [['model', *(f't = {position}' for position in positions)]]
  for name, result in results.items():
    ratios = [result['positions'].get(position) for position in positions]
    cells = [percent(ratio) for ratio in ratios]
    if result is not baseline:
      gains = [_gain(ratio, baseline['positions'][t]) for ratio, t in zip(ratios, positions)]
      cells = [f'{cell} ({gain})' for cell, gain in zip(cells, gains)]
    rows.append([name, *cells])
  return rows


def temporal_rows(results: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
  """How still the masks are over time, the header first: IoU of consecutive frames, and flicker.

  Args:
    results: From the name of each model to its results, with 'temporal' and 'temporal_labels' of
      `temporal.TemporalQuality`.

  Returns:
    Rows of cells, × 100 with two decimals; the last is of the labels, which move as the faces do.
  """
  stillness = {name: result['temporal'] for name, result in results.items()}
  stillness['labels'] = next(iter(results.values()))['temporal_labels']
  classes = list(stillness['labels']['iou'])
  rows = [['model', *classes, 'mIoU', 'flicker']]
  for name, found in stillness.items():
    ratios = [found['iou'][label] for label in classes]
    rows.append([name, *map(percent, (*ratios, found['miou'], found['flicker']))])
  return rows


def spoiled_rows(results: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
  """The mIoU × 100 of spoiled frames and of the others around them, each with gain and p.

  Args:
    results: From the name of each model to its results, with 'spoiled' of `systems.evaluate`; the
      first is the baseline.

  Returns:
    Rows of cells, the header first; gain and p as in `comparison_rows`.
  """
  rows = [['model', 'spoiled frames', 'gain', 'p', 'others', 'gain', 'p']]
  baseline = next(iter(results.values()))
  for name, result in results.items():
    row = [name]
    for frames, found in result['spoiled'].items():
      of_baseline = baseline['spoiled'][frames]
      against = (ABSENT, ABSENT) if result is baseline else _against(found, of_baseline)
      row += [percent(found['miou']), *against]
    rows.append(row)
  return rows


def as_text(rows: Sequence[Sequence[str]]) -> str:
  """Rows of cells, the header first, as lines of aligned columns: names left, numbers right."""
  widths = _widths(rows)
  lines = [_line(row, widths, '  ') for row in rows]
  lines.insert(1, '  '.join('-' * width for width in widths))
  return '\n'.join(line.rstrip() for line in lines) + '\n'


def as_markdown(rows: Sequence[Sequence[str]]) -> str:
  """Rows of cells, the header first, as a Markdown table: names left, numbers right."""
  rows = [[cell.replace('|', '\\|') for cell in row] for row in rows]
  widths = [max(width, 3) for width in _widths(rows)]
  rule = ['-' * widths[0], *('-' * (width - 1) + ':' for width in widths[1:])]
  lines = [f'| {_line(row, widths, " | ")} |' for row in (rows[0], rule, *rows[1:])]
  return '\n'.join(lines) + '\n'


def percent(ratio: float | None) -> str:
  """A ratio in [0, 1] × 100, with two decimals."""
  return ABSENT if ratio is None else f'{100 * ratio:.2f}'


def _against(result: Mapping[str, Any], baseline: Mapping[str, Any]) -> tuple[str, str]:
  """The cells of gain and p; a single clip leaves no p."""
  gain = _gain(result['miou'], baseline['miou'])
  if len(result['clips']) < 2:
    return gain, ABSENT
  p = significance.compare(result['clips'], baseline['clips']).p
  if math.isnan(p):
    return gain, ABSENT
  return gain, '< 0.001' if p < 0.001 else f'{p:.3f}'


def _gain(ratio: float | None, baseline: float | None) -> str:
  if ratio is None or baseline is None:
    return ABSENT
  return f'{100 * (ratio - baseline):+.2f}'


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
  return [max(map(len, column)) for column in zip(*rows)]


def _line(row: Sequence[str], widths: Sequence[int], separator: str) -> str:
  cells = [cell.rjust(width) for cell, width in zip(row, widths)]
  return separator.join([row[0].ljust(widths[0]), *cells[1:]])
