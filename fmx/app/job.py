"""The job 'app' of `run.py`: a page that people open in a browser."""

import functools
import importlib.util
import logging
import pathlib
import socket
from collections.abc import Callable
from typing import Any

from ml_collections import ConfigDict

from fmx import pretrained
from fmx.extraction import job as extraction
from fmx.extraction.loop import Extractor, Listener, Record
from fmx.extraction.sources import Source
from fmx.labelling.frame_masks import GOOD
from tfds_300vw import face_mask

_logger = logging.getLogger(__name__)
_OUTPUTS = ('overlay', 'masks', 'measurements')


def run(config: ConfigDict, workdir: pathlib.Path | None) -> None:
  """Serves the page until somebody ends the program.

  Args:
    config: As `configs/app.py`: `app`, and `weights` and `extraction` as for 'extract'.
    workdir: Where uploads lie; None for the system's temporary folder.

  Raises:
    ValueError: an option is out of its range, or a library is missing.
    OSError: there are no weights, or nothing can be written, or the port is taken.
  """
  check(config)
  import uvicorn  # It needs the extra `app`.

  from fmx.app import camera, guard, server
  from fmx.app.people import People
  from fmx.app.uploads import Limits

  options = config.app
  live = functools.lru_cache(maxsize=1)(lambda: live_extractor(config))
  live()  # What is wrong with the weights is told before the page is.
  page = server.Server(
    People(workdir, options.max_people, 60 * options.keep_minutes),
    Limits(options.max_megabytes, options.max_seconds, options.max_megapixels, options.max_faces),
    functools.partial(extract, config),
    live,
    facts(config),
  )
  is_local = guard.is_loopback(options.host)
  if not is_local:
    _logger.warning('Everybody who reaches this machine can open the page: it has no password.')
  with listening(options.host, options.port) as opened:
    host = f'[{options.host}]' if ':' in options.host else options.host
    print(f'The page is at http://{host}:{opened.getsockname()[1]}; Ctrl-C ends it.', flush=True)
    served = uvicorn.Config(
      page.app(is_local=is_local),
      log_level='warning',
      ws_max_size=camera.MAX_BYTES,
      timeout_graceful_shutdown=2,
    )
    uvicorn.Server(served).run(sockets=[opened])


def listening(host: str, port: int) -> socket.socket:
  """A socket that listens there; port 0 takes one that is free.

  Raises:
    OSError: it is taken, or the host is none of this machine's.
  """
  try:
    family = socket.AF_INET6 if ':' in host else socket.AF_INET
    return socket.create_server((host, port), family=family)
  except OSError as error:
    raise OSError(
      f'Nothing can listen at port {port} of {host} ({error.strerror}): give another port, as '
      f'--config.app.port={port + 1}, or another --config.app.host.'
    ) from error


def check(config: ConfigDict) -> None:
  """Looks at the options before anything is done.

  Raises:
    ValueError: one is out of its range, or a library is missing.
    FileNotFoundError: no weights are named, and none ship with this copy of fmx.
  """
  for library in ('starlette', 'uvicorn', 'websockets'):
    if importlib.util.find_spec(library) is None:
      raise ValueError(f"The page needs {library}: pip install 'fmx[app]'.")
  for name in ('max_megabytes', 'max_seconds', 'max_megapixels', 'max_people', 'keep_minutes'):
    if config.app[name] <= 0:
      raise ValueError(f'app.{name} is {config.app[name]}; it must be more than 0.')
  if not 1 <= config.app.max_faces <= 255:
    raise ValueError(f'app.max_faces is {config.app.max_faces}; it must be 1 to 255.')
  if not 0 <= config.app.port < 2**16:
    raise ValueError(f'app.port is {config.app.port}; it must be 0 to 65535.')
  extraction.check(config)


def extract(
  config: ConfigDict,
  source: Source,
  choice: Any,
  watched: Callable[[Extractor], Extractor],
  folder: pathlib.Path,
  progress: Listener,
) -> tuple[dict[str, Any], Record]:
  """Extracts what a person asks for; see `fmx.extraction.job.extract`.

  Args:
    config: Of the program.
    source: The upload.
    choice: A `fmx.app.extraction.Choice`.
    watched: Makes an extractor one that is watched.
    folder: Gets the outputs.
    progress: Is told.
  """
  config = config.copy_and_resolve_references()
  config.extraction.max_faces = choice.max_faces
  config.extraction.masks = 'png'
  config.extraction.outputs = (*_OUTPUTS, 'cutout') if choice.cutout else _OUTPUTS
  extractor = watched(extraction.METHODS[config.extraction.method](config))
  return extraction.extract(config, source, extractor, folder, progress)


def live_extractor(config: ConfigDict) -> Extractor:
  """What labels frames of webcams."""
  config = config.copy_and_resolve_references()
  config.extraction.rest = config.app.rest
  return extraction.METHODS[config.extraction.method](config)


def facts(config: ConfigDict) -> dict[str, Any]:
  """What the page is told of the program, as JSON."""
  limits = ('max_megabytes', 'max_seconds', 'max_megapixels', 'max_faces', 'keep_minutes')
  return {
    **{name: config.app[name] for name in limits},
    'networks': pathlib.Path(config.weights).name or pretrained.caption(),
    'classes': list(face_mask.CLASS_NAMES),
    'colors': face_mask.COLORS.tolist(),
    'good': GOOD,
  }
