"""The pictures of the report: SVG that fits a page of either colour, and masks over frames."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from fmx.data.eval_batches import clip_windows
from fmx.data.prepared import Dataset, Window
from fmx.evaluation import systems
from fmx.evaluation.confusion import mean_iou
from fmx.weights import Model
from tfds_300vw import pictures

if TYPE_CHECKING:  # It is in the extra `tables`.
  from matplotlib.axes import Axes
  from matplotlib.figure import Figure

INK = '#808080'  # Can be read on white and on black.
COLORS = ('#4a86d9', '#d9574a', '#9a9a9a')  # The paper's in Fig. 6: blue, red, gray.
COLUMNS = 6  # Of masks, at most.
_SIZE = (7.5, 3.2)  # Inches.


def subjects(results: Mapping[str, Mapping[str, Any]]) -> str:
  """Fig. 6 as SVG: mean and standard deviation of each subject's frames, a bar for each model.

  Args:
    results: From the name of each model to its results (`protocol.summarize`).
  """
  names = list(next(iter(results.values()))['subjects'])
  figure, axes = _plot('mIoU (%)')
  width = 0.8 / len(results)
  for number, (label, result) in enumerate(results.items()):
    spreads = [result['subjects'][name] for name in names]
    axes.bar(
      np.arange(len(names)) + (number - (len(results) - 1) / 2) * width,
      [_percent(one['mean']) for one in spreads],
      width * 0.9,
      yerr=[_percent(one['std']) for one in spreads],
      color=COLORS[number % len(COLORS)],
      ecolor=INK,
      label=label,
    )
  axes.set_xticks(range(len(names)), names, rotation=45 if len(names) > 6 else 0)
  axes.set_xlabel('subject')
  return _svg(figure, axes)


def positions(results: Mapping[str, Mapping[str, Any]]) -> str:
  """Table 4 as SVG: the gain over the first model at each frame of a window.

  Args:
    results: As in `subjects`.
  """
  (_, baseline), *others = results.items()
  times = sorted(baseline['positions'], key=int)
  figure, axes = _plot('gain (points of mIoU)')
  axes.axhline(0, color=INK, linewidth=1)
  for number, (label, result) in enumerate(others):
    gains = [
      _percent(result['positions'].get(t)) - _percent(baseline['positions'][t]) for t in times
    ]
    axes.plot(times, gains, 'o-', color=COLORS[number % len(COLORS)], label=label)
  axes.set_xlabel('frame of the window')
  return _svg(figure, axes)


def masks(
  models: Mapping[str, Model],
  dataset: Dataset,
  split: str,
  counts: Mapping[str, Any],
  titles: Mapping[str, str],
) -> bytes:
  """Fig. 5 as JPEG: a frame of each subject's worst clip, its middle, and what models make of it.

  Args:
    models: By name, as `systems.evaluate` takes them.
    dataset: Of whole faces.
    split: Of the dataset.
    counts: [K, K] pixels of each clip by the model that says which are the worst.
    titles: From what a row is called to its system's title.
  """
  length = next(iter(models.values())).clip_length
  worst: dict[str, tuple[float, list[Window]]] = {}
  for clip in clip_windows(dataset, split, clip_length=length):
    score = float(mean_iou(np.array(counts[clip[0].clip])))
    video = clip[0].video_id
    if video not in worst or score < worst[video][0]:
      worst[video] = score, clip
  clips = [clip for _, clip in sorted(worst.values(), key=lambda pair: pair[0])[:COLUMNS]]
  frames = [_middle([frame for window in clip for frame in window.frames]) for clip in clips]
  truth = [_middle([labels for window in clip for labels in window.labels]) for clip in clips]
  labelled = systems.label_clips(models, dataset, clips)
  rows = [pictures.Row(frames, [f'video {clip[0].video_id}' for clip in clips])]
  for label, of_clips in (
    ('labels', truth),
    *(
      (label, [_middle(of_clip) for of_clip in labelled[title]]) for label, title in titles.items()
    ),
  ):
    painted = [pictures.overlay(frame, ids) for frame, ids in zip(frames, of_clips)]
    rows.append(pictures.Row(painted, [label] * len(painted)))
  content = io.BytesIO()
  Image.fromarray(pictures.sheet(rows)).save(content, 'JPEG', quality=88)
  return content.getvalue()


def _middle(of_clip: list) -> Any:
  return of_clip[len(of_clip) // 2]


def _percent(ratio: float | None) -> float:
  return float('nan') if ratio is None else 100 * ratio


def _plot(label: str) -> tuple[Figure, Axes]:
  from matplotlib.figure import Figure

  figure = Figure(figsize=_SIZE, layout='constrained')
  axes = figure.subplots()
  axes.set_ylabel(label)
  axes.spines[['top', 'right']].set_visible(False)
  axes.spines[['left', 'bottom']].set_color(INK)
  axes.tick_params(colors=INK)
  axes.grid(axis='y', alpha=0.25, color=INK)
  axes.set_axisbelow(True)
  return figure, axes


def _svg(figure: Figure, axes: Axes) -> str:
  """The figure on a transparent ground, without the head of a file, the same each time."""
  import matplotlib

  axes.xaxis.label.set_color(INK)
  axes.yaxis.label.set_color(INK)
  figure.legend(loc='outside upper left', ncols=3, frameon=False, labelcolor=INK)
  content = io.StringIO()
  with matplotlib.rc_context({'svg.fonttype': 'path', 'svg.hashsalt': 'fmx'}):
    figure.savefig(content, format='svg', transparent=True, metadata={'Date': None})
  text = content.getvalue()
  return text[text.index('<svg') :]
