"""The job 'extract' of `run.py`: from a person's video to masks on disk."""

import json
import logging
import pathlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from fmx import pretrained, weights
from fmx.engines import choice
from fmx.extraction import joining
from fmx.extraction.contact_sheet import CONTACT_SHEET, draw_contact_sheet
from fmx.extraction.layers import MASKS, Place, check_outputs, layers_of
from fmx.extraction.loop import Extractor, Listener, Record, extract_parts
from fmx.extraction.outputs import Layer, Part, PartLayer, files_of, read_parts
from fmx.extraction.report import Stopwatch, speed, write_summary
from fmx.extraction.sources import Properties, Source, identity, open_source
from fmx.extraction.square_pixels import box_as_shown
from fmx.labelling.frame_masks import (
  BRIDGED,
  DOUBTFUL,
  check_bridge,
  check_skip,
  check_steadiness,
  is_box,
)
from fmx.stopping import stop_requests
from fmx.summary import Progress
from fmx.workdir import (
  MEASUREMENTS,
  OVERLAY,
  PARTS,
  PLOT,
  SUMMARY,
  UNFINISHED,
  claim_extraction,
  finishing,
  held,
  is_extracted,
)
from tfds_300vw import boxes, face_mask

_SLOWEST, _FASTEST = 0.01, 240.0  # Frames a second, between which parts are encoded.
_logger = logging.getLogger(__name__)


def run(config: ConfigDict, workdir: pathlib.Path) -> dict[str, Any]:
  """Extracts the masks of a video; the same command goes on where it was interrupted.

  Args:
    config: As `configs/extract.py`: `video`, `weights`, `contact_sheet`, `plot` and `extraction`.
    workdir: Gets `summary.json`, the outputs and what else is asked for.

  Returns:
    The summary, less the frames.

  Raises:
    ValueError: the video cannot be read, an option is out of its range, or the workdir holds
      something else or is in use.
    OSError: the video or the weights are not there, or something cannot be written.
    Stopped: the process was asked to stop.
  """
  check(config)
  source = open_source(config.video)
  made_of = ingredients(config, identity(source.properties.path, source.files))
  if is_extracted(workdir, made_of):
    print(f'The masks of {config.video} are in {workdir} already; nothing is left to do.')
  else:
    extractor = METHODS[config.extraction.method](_with_box_as_shown(config, source))
    with held(workdir):
      claim_extraction(workdir, made_of)
      progress = Progress(source.properties.num_frames, name='frame')
      tell(*extract(config, source, extractor, workdir, progress), workdir)
  return complete(config, workdir)


def complete(config: ConfigDict, workdir: pathlib.Path) -> dict[str, Any]:
  """Draws what is asked for out of what an extraction made, and gives its summary as `run` does."""
  summary = json.loads((workdir / SUMMARY).read_bytes())
  if config.contact_sheet and not (workdir / CONTACT_SHEET).exists():
    with finishing(workdir, CONTACT_SHEET) as path:
      draw_contact_sheet(workdir / OVERLAY, path)
  if config.plot and not (workdir / PLOT).exists():
    from fmx.extraction.plot import draw_plot  # It needs matplotlib.

    with finishing(workdir, PLOT) as path:
      draw_plot(workdir / MEASUREMENTS, path)
  shutil.rmtree(workdir / UNFINISHED, ignore_errors=True)
  summary.pop('frames')
  return summary


def check(config: ConfigDict) -> None:
  """Looks at the options before anything is done.

  Raises:
    ValueError: one is none of those that exist.
    FileNotFoundError: no weights are named, and none ship with this copy of fmx.
  """
  options = config.extraction
  for name, value, known in (
    ('extraction.method', options.method, METHODS),
    ('extraction.masks', options.masks, MASKS),
  ):
    if value not in known:
      raise ValueError(f'{name} is {value!r}; it must be {" or ".join(map(repr, known))}.')
  check_outputs(options.outputs, contact_sheet=config.contact_sheet, plot=config.plot)
  if options.rest < 0:
    raise ValueError(f'extraction.rest is {options.rest}; it must be 0 frames or more.')
  check_bridge(options.bridge, 'extraction.bridge')
  check_steadiness(options.steadiness, 'extraction.steadiness')
  check_skip(options.skip, 'extraction.skip')
  if not 1 <= options.max_faces <= 255:
    raise ValueError(f'extraction.max_faces is {options.max_faces}; it must be 1 to 255.')
  if options.box and not is_box(options.box):
    raise ValueError(
      f'extraction.box is {tuple(options.box)}; give x0, y0, x1, y1 in pixels with x0 < x1 and '
      'y0 < y1, for instance --config.extraction.box="(120, 40, 320, 260)", or in the command fmx '
      '--box 120 40 320 260.'
    )
  choice.check(options.engine)
  if options.method == 'network' and not config.weights:
    pretrained.folder()


def _with_box_as_shown(config: ConfigDict, source: Source) -> ConfigDict:
  """With the box in pixels of what the extractor sees; raises ValueError if it is outside."""
  properties, box = source.properties, config.extraction.box
  if box:
    boxes.clamp(np.asarray(box), properties.height, properties.width)
  changed = config.copy_and_resolve_references()
  with changed.unlocked():
    changed.extraction.box = box_as_shown(box, properties.pixel_aspect)
  return changed


def network(config: ConfigDict) -> Extractor:
  """The networks of the weights."""
  from fmx.labelling.extractor import FaceMaskExtractor  # It needs jax.

  options = config.extraction
  return FaceMaskExtractor(
    config.weights or None,
    max_faces=options.max_faces,
    box=tuple(options.box) or None,
    state=options.state,
    zoom=options.zoom,
    finder=options.finder,
    engine=options.engine,
    rest=options.rest,
    bridge=options.bridge,
    steadiness=options.steadiness,
    skip=options.skip,
  )


def landmarks(config: ConfigDict) -> Extractor:
  """The 68-landmark tracker."""
  from fmx.baselines.landmark_tracker import LandmarkTracker  # It needs dlib.

  options = config.extraction
  return LandmarkTracker(max_faces=options.max_faces, box=tuple(options.box) or None)


METHODS: dict[str, Callable[[ConfigDict], Extractor]] = {'network': network, 'landmarks': landmarks}


def ingredients(config: ConfigDict, of_video: dict[str, Any]) -> dict[str, Any]:
  """What decides the masks, as JSON: the video's identity, the weights and the options."""
  of_weights, engine = None, None
  if config.extraction.method == 'network':
    of_weights, engine = identity_of(config.weights), choice.described(config.extraction.engine)
  made_of = {
    'video': of_video,
    'weights': of_weights,
    'extraction': config.extraction.to_dict() | {'engine': engine},
  }
  return json.loads(json.dumps(made_of))  # JSON has no tuples.


def identity_of(folder: str) -> dict[str, Any]:
  """What tells weights from others, as JSON; '' for those that ship."""
  if not folder:
    return {'shipped': pretrained.release()['sha256']}  # The same when fmx is installed again.
  path = pathlib.Path(folder).expanduser()
  if (path / weights.FOLDER / weights.DESCRIPTION).is_file():
    path = path / weights.FOLDER
  return identity(path, [file for file in path.rglob('*') if file.is_file()])


def extract(
  config: ConfigDict,
  source: Source,
  extractor: Extractor,
  workdir: pathlib.Path,
  progress: Listener,
) -> tuple[dict[str, Any], Record]:
  """Writes everything but the contact sheet and the plot.

  Returns:
    The summary, less the frames, and the record.
  """
  properties, options = source.properties, config.extraction
  rate, layers = frame_rate(source), layers_in(config, source, workdir)
  folder = workdir / UNFINISHED / PARTS
  _logger.info(
    '%s: %d frames of %d x %d pixels, %.5g a second.',
    properties.path.name,
    properties.num_frames,
    properties.width,
    properties.height,
    properties.frame_rate,
  )
  with stop_requests() as asked:
    record = extract_parts(source, extractor, folder, layers, asked=asked, progress=progress)
  parts, _ = read_parts(folder)
  watch = Stopwatch(record.seconds, record.elapsed)
  watch.start()
  with watch.timed('join'):
    times = [json.loads(line)['time'] for line in _lines(parts)]
    clock = joining.make_clock(times, rate, 0.0, properties.clock)
    sound = None
    for name, layer in layers.items():
      if isinstance(layer, Layer):
        layer.finish(parts, clock)
      elif name == 'overlay':
        with finishing(workdir, OVERLAY) as path:
          sound = join_overlay(parts, path, times, rate, properties, record)
  head = {
    'video': describe(properties, record, clock.duration, sound),
    'weights': None if config.extraction.method != 'network' else named(config.weights),
    'engine': None if config.extraction.method != 'network' else choice.described(options.engine),
    'options': options.to_dict(),
    'classes': dict(enumerate(face_mask.CLASS_NAMES)),
    'totals': {**record.totals.result(), 'temporal_quality': record.quality.result()},
    'speed': speed(watch.seconds, watch.elapsed, record.totals.frames),
  }
  with finishing(workdir, SUMMARY) as path:
    write_summary(path, head, _lines(parts))
  return head, record


def frame_rate(source: Source) -> float:
  """Frames a second at which parts are encoded."""
  return min(max(source.properties.frame_rate, _SLOWEST), _FASTEST)


def layers_in(config: ConfigDict, source: Source, workdir: pathlib.Path) -> dict[str, PartLayer]:
  """The outputs that are asked for, by name."""
  options = config.extraction
  place = Place(workdir, source, frame_rate(source), options.masks)
  return layers_of(place, options.outputs, has_ids=options.max_faces > 1)


def named(folder: str) -> str:
  """What the summary says of weights."""
  return folder or pretrained.caption()


def join_overlay(
  parts: Sequence[Part],
  path: pathlib.Path,
  times: Sequence[float],
  rate: float,
  properties: Properties,
  record: Record,
) -> str | None:
  """Joins the parts of the overlay and adds the sound; returns what became of that."""
  files = files_of(parts, OVERLAY)
  if properties.kind != 'video':
    joining.join(files, path, joining.make_clock(times, rate), rate)
    return None
  return joining.join_with_sound(
    files,
    path,
    times,
    rate,
    source=properties.path,
    start=properties.start,
    ticks=properties.clock,
    is_cut=record.damage is not None,
  )


def describe(
  properties: Properties, record: Record, duration: float, sound: str | None
) -> dict[str, Any]:
  """What the summary says of the video."""
  return {
    'path': properties.address or str(properties.path),
    'kind': properties.kind,
    'codec': properties.codec,
    'frames': record.totals.frames,
    'frame_rate': round(properties.frame_rate, 5),
    'duration': round(duration, 6),
    'width': properties.width,
    'height': properties.height,
    'rotation': properties.rotation,
    'pixel_aspect': float(round(properties.pixel_aspect or 1, 6)),
    'sound': sound,
    'damage': record.damage,
  }


def tell(head: dict[str, Any], record: Record, workdir: pathlib.Path) -> None:
  """Says in a few lines what came out."""
  totals, pace = head['totals'], head['speed']
  if record.damage:
    _logger.warning('Not all frames could be read. %s', record.damage)
  if record.totals.frames_with_face == 0:
    _logger.warning(
      'No face was found in any frame: all masks are empty. Where one can be seen, say where it is '
      'in the first frame: --config.extraction.box="(x0, y0, x1, y1)", or --box x0 y0 x1 y1 of fmx.'
    )
  shares = ', '.join(
    f'{name} {100 * stage["share"]:.0f} %' for name, stage in pace['stages'].items()
  )
  print(
    f'{totals["frames"]} frames, {totals["frames_without_face"]} of them without a face, '
    f'{totals["cuts"]} cuts; {pace["frames_per_second"]:.1f} frames/s, during which were at work '
    f'side by side: {shares}.'
  )
  lost, verdicts = sum(totals['frames_lost'].values()), totals['verdicts']
  print(
    f'In {totals["windows_refound"]} of {totals["windows"]} windows a face had to be found again; '
    f'a face that was followed has no mask in {lost} frames, one of the frames around in '
    f'{verdicts[BRIDGED]} and a doubtful one in {verdicts[DOUBTFUL]}.'
  )
  seen = workdir / OVERLAY if 'overlay' in head['options']['outputs'] else workdir
  print(f'Look at {seen}; the numbers are in {workdir / SUMMARY}.')


def _lines(parts: Sequence[Part]) -> Iterator[str]:
  for part in parts:
    yield from part.lines()
