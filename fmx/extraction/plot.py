"""A picture of the measurements over time."""

import pathlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from pyarrow import parquet

from fmx.extraction.measurements import AREAS, EYES, LOST
from fmx.labelling.frame_masks import VERDICTS

_SIZE, _DPI = (14, 9), 110  # Inches, and pixels of each.
_COLORS = colormaps['tab10'](range(10))
_LEGEND = 10  # Faces that are named; more have the same colours again.
_SURE = 0.9  # Confidence. Below it the axis begins, so that noise looks small.
_NEIGHBOURS = 1.5  # Frames. A line does not go on where more are missing.


def draw_plot(path: pathlib.Path, to: pathlib.Path) -> None:
  """Draws the measurements of all faces, one colour each.

  Args:
    path: What `Measurements` wrote, as Parquet.
    to: Where the PNG goes.

  Raises:
    OSError: one cannot be read, the other not be written.
  """
  table = parquet.read_table(path)
  figure = Figure(figsize=_SIZE, layout='constrained')
  axes = figure.subplots(6, 1, sharex=True, height_ratios=(3, 3, 3, 2, 2, 1.3))
  mouth, left, right, area, confidence, verdict = axes
  left.sharey(right)
  for panel, title in (
    (mouth, 'mouth opening'),
    (left, 'left eye opening'),
    (right, 'right eye opening'),
    (area, 'labelled pixels'),
    (confidence, 'confidence'),
    (verdict, 'verdict'),
  ):
    panel.set_title(title, loc='left', fontsize=10)
    panel.grid(alpha=0.3)
    panel.spines[['top', 'right']].set_visible(False)
  faces = list(_faces(table))
  for face, rows, color in faces:
    _draw_line(mouth, rows, rows['mouth_opening'], color)
    for eye, panel in zip(EYES, (left, right)):
      _draw_line(panel, rows, rows[f'{eye}_eye_opening'], color)
      _draw_blinks(panel, rows, rows[f'{eye}_blink'], color)
    total = np.sum([rows[name] for name in AREAS.values()], axis=0)
    _draw_line(area, rows, total, color)
    _draw_line(confidence, rows, rows['confidence'], color)
    _draw_verdicts(verdict, rows, color)
    mouth.plot([], [], color=color, label=f'face {face}')
  _finish(figure, axes, len(faces))
  figure.savefig(to, format='png', dpi=_DPI)


def _faces(table: pa.Table) -> Iterator[tuple[int, dict[str, np.ndarray], np.ndarray]]:
  """Yields the id of each face, its columns as float64 with NaN for what is empty, a colour."""
  ids = table['face'].to_numpy()
  codes = {verdict: float(i) for i, verdict in enumerate((LOST, *reversed(VERDICTS)))}
  columns = {
    name: np.array(
      [codes[value] for value in table[name].to_pylist()]
      if name == 'verdict'
      else [np.nan if value is None else value for value in table[name].to_pylist()],
      np.float64,
    )
    for name in table.column_names
  }
  for number, face in enumerate(np.unique(ids)):
    rows = ids == face
    color = _COLORS[number % len(_COLORS)]
    yield int(face), {name: values[rows] for name, values in columns.items()}, color


def _draw_line(
  panel: Axes, rows: dict[str, np.ndarray], values: np.ndarray, color: np.ndarray
) -> None:
  """Draws a line with gaps where frames are missing, and points where they stand alone."""
  gaps = np.flatnonzero(np.diff(rows['frame']) > _NEIGHBOURS) + 1
  times, values = np.insert(rows['time'], gaps, np.nan), np.insert(values, gaps, np.nan)
  panel.plot(times, values, color=color, linewidth=1.2)
  known = np.concatenate([[False], ~np.isnan(values), [False]])
  alone = known[1:-1] & ~known[:-2] & ~known[2:]
  panel.plot(times[alone], values[alone], '.', color=color, markersize=4)


def _draw_blinks(
  panel: Axes, rows: dict[str, np.ndarray], blinks: np.ndarray, color: np.ndarray
) -> None:
  """Shades the frames of each blink and points at it from above."""
  is_blink = np.concatenate([[False], blinks == 1, [False]])
  edges = np.flatnonzero(np.diff(is_blink.astype(int)))
  frame = np.median(np.diff(rows['time'])) if len(blinks) > 1 else 0.0
  for first, stop in zip(edges[::2], edges[1::2]):
    begin, end = rows['time'][first] - frame / 2, rows['time'][stop - 1] + frame / 2
    panel.axvspan(begin, end, color=color, alpha=0.2, linewidth=0)
    panel.plot(
      (begin + end) / 2, 1, 'v', color=color, markersize=5,
      transform=panel.get_xaxis_transform(), clip_on=False,
    )  # fmt: skip


def _draw_verdicts(panel: Axes, rows: dict[str, np.ndarray], color: np.ndarray) -> None:
  panel.plot(rows['time'], rows['verdict'], '|', color=color, markersize=7, markeredgewidth=2)


def _finish(figure: Figure, axes: np.ndarray, faces: int) -> None:
  """Gives the axes their limits and units, and names the faces."""
  mouth, left, right, area, confidence, verdict = axes
  for panel in (mouth, left, right):
    panel.set_ylim(bottom=0)
    panel.yaxis.set_major_formatter(FuncFormatter(lambda x, _: f'{100 * x:.3g}%'))
    panel.set_ylabel('of the face', fontsize=8)
  for panel in axes[:-1]:
    panel.yaxis.set_major_locator(MaxNLocator(4))
  area.set_ylim(bottom=0)
  confidence.set_ylim(min(confidence.get_ylim()[0], _SURE), 1)
  names = (LOST, *reversed(VERDICTS))
  verdict.set_ylim(-0.5, len(names) - 0.5)
  verdict.set_yticks(range(len(names)), names, fontsize=8)
  verdict.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f'{x // 60:.0f}:{x % 60:04.1f}'))
  verdict.set_xlabel('time, minutes and seconds; triangles and shade: blinks')
  if faces > 1:
    figure.legend(*_named(mouth), loc='outside upper right', ncols=_LEGEND, fontsize=8)


def _named(panel: Axes) -> tuple[list, list]:
  handles, labels = panel.get_legend_handles_labels()
  return handles[:_LEGEND], labels[:_LEGEND]
