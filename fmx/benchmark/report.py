"""The table, the file and the picture of a benchmark, and its comparison with an earlier one."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Sequence
from typing import Any

from fmx.benchmark.machine import Machine
from fmx.benchmark.rows import Row
from fmx.evaluation import tables

FILE = 'benchmark.json'
ABSENT = tables.ABSENT


def as_json(rows: Sequence[Row], machine: Machine, about: dict[str, Any]) -> dict[str, Any]:
  """Everything, in seconds, operations and bytes."""
  return {
    'about': about,
    'machine': machine._asdict(),
    'rows': [dataclasses.asdict(row) | {'frames_per_second': row.rate} for row in rows],
  }


def read(path: str | pathlib.Path) -> dict[str, float]:
  """Frames a second of an earlier benchmark by what was timed.

  Raises:
    ValueError: there is no such file, or it is something else.
  """
  path = pathlib.Path(path).expanduser()
  path = path / FILE if path.is_dir() else path
  try:
    rows = json.loads(path.read_bytes())['rows']
    return {row['what']: float(row['frames_per_second']) for row in rows}
  except (OSError, ValueError, KeyError, TypeError) as error:
    raise ValueError(
      f'benchmark.against is {path}, which holds no benchmark ({error}): give a {FILE}.'
    ) from error


def table(
  rows: Sequence[Row], machine: Machine, earlier: dict[str, float] | None = None
) -> list[list[str]]:
  """The rows for people, the header first.

  Args:
    rows: What was measured.
    machine: The shares are of its rates.
    earlier: Frames a second to compare with; adds a column of ratios.
  """
  header = ['what', 'frames', 'compile s', 'ms/step', 'quartiles', 'frames/s']
  header += ['GFLOP', 'of products', 'GB moved', 'of bandwidth', 'peak GB']
  found = [header + ['× before'] * (earlier is not None)]
  for row in rows:
    low, high = row.spread
    cells = [row.what, str(row.frames), f'{row.first:.1f}', f'{1e3 * row.seconds:.1f}']
    cells += [f'{1e3 * low:.1f}–{1e3 * high:.1f}', f'{row.rate:.2f}']
    if row.flops is None or row.moved is None:
      cells += [ABSENT] * 4
    else:
      product, bandwidth = machine.shares(row.flops, row.moved, row.seconds)
      cells += [f'{row.flops / 1e9:.2f}', f'{100 * product:.0f} %']
      cells += [f'{row.moved / 1e9:.2f}', f'{100 * bandwidth:.0f} %']
    cells.append(f'{row.peak / 1e9:.2f}')
    if earlier is not None:
      before = earlier.get(row.what)
      cells.append(ABSENT if before is None else f'{row.rate / before:.2f}')
    found.append(cells)
  return found


def draw(rows: Sequence[Row], machine: Machine, path: pathlib.Path) -> bool:
  """Draws the roofline: operations a second over operations a byte, and each row beneath it.

  Returns:
    Whether it was drawn: it needs matplotlib.
  """
  try:
    from matplotlib.figure import Figure
  except ImportError:
    return False
  counted = [row for row in rows if row.flops and row.moved]
  figure = Figure(figsize=(8, 5), layout='constrained')
  axes = figure.add_subplot()
  ridge = machine.flops / machine.bandwidth
  intensities = [row.flops / row.moved for row in counted if row.flops and row.moved]
  low, high = min([*intensities, ridge]) / 3, max([*intensities, ridge]) * 3
  axes.plot(
    [low, ridge, high], [low * machine.bandwidth / 1e9, *[machine.flops / 1e9] * 2], color='0.3'
  )
  for row, intensity in zip(counted, intensities, strict=True):
    assert row.flops is not None
    axes.plot(intensity, row.flops / row.seconds / 1e9, 'o', label=row.what)
  axes.set_xscale('log')
  axes.set_yscale('log')
  axes.set_xlabel('floating-point operations a byte')
  axes.set_ylabel('GFLOP/s')
  axes.set_title(f'{machine.device}: {machine.flops / 1e9:.0f} GFLOP/s {machine.dtype}, '
                 f'{machine.bandwidth / 1e9:.0f} GB/s')  # fmt: skip
  axes.grid(which='both', color='0.9')
  axes.legend(fontsize='small')
  figure.savefig(path, dpi=120)
  return True
