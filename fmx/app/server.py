"""What the page can ask for: each path of it, and who may."""

import contextlib
import pathlib
import secrets
import tempfile
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from fmx.app.camera import Camera
from fmx.app.extraction import Choice, Extract, Extraction
from fmx.app.guard import Guard
from fmx.app.people import People, Person
from fmx.app.turns import Turns
from fmx.app.uploads import Limits
from fmx.example import clip
from fmx.extraction.loop import Extractor

PAGE = pathlib.Path(__file__).with_name('page')
_SWEEP = 60.0  # Seconds from one look for people who left to the next.
_STRANGER = 'The program was started anew or forgot this page: load the page again.'


class Server:
  """The page of one program."""

  def __init__(
    self,
    people: People,
    limits: Limits,
    extract: Extract,
    live: Callable[[], Extractor],
    facts: dict[str, Any],
  ):
    """Says who there is and what is done.

    Args:
      people: Closed with the server.
      limits: Of uploads.
      extract: Makes masks of a source.
      live: Gives what labels frames of webcams, one for all.
      facts: What the page is told of the program, as JSON.
    """
    self._people, self._limits, self._extract, self._live = people, limits, extract, live
    self._facts, self._turns = facts, Turns()
    self._lock = threading.Lock()
    self._example: bytes | None = None
    self._cookie = f'fmx-{secrets.token_hex(4)}'  # Other ports of a host get the same cookies.

  def app(self, *, is_local: bool) -> Starlette:
    """The server as ASGI; `is_local`: only this machine is to reach it."""
    return Starlette(
      routes=[
        Route('/', self._page),
        Route('/facts', self._tell_facts),
        Route('/extraction', self._begin, methods=['POST']),
        Route('/extraction', self._status, methods=['GET']),
        Route('/extraction', self._cancel, methods=['DELETE']),
        Route('/extraction/measurements', self._measurements),
        Route('/extraction/frames/{index:int}', self._frame),
        Route('/extraction/files/{name}', self._download),
        WebSocketRoute('/live', self._camera),
        Mount('/page', StaticFiles(directory=PAGE)),
      ],
      middleware=[Middleware(Guard, is_local=is_local)],
      exception_handlers={_Refused: _refusal},
      lifespan=self._lifespan,
    )

  @contextlib.asynccontextmanager
  async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
    async def sweep() -> None:
      while True:
        await anyio.sleep(_SWEEP)
        await run_in_threadpool(self._people.sweep)

    async with anyio.create_task_group() as tasks:
      tasks.start_soon(sweep)
      yield
      tasks.cancel_scope.cancel()
    self._people.close()

  async def _page(self, request: Request) -> Response:
    response = FileResponse(PAGE / 'index.html', headers={'cache-control': 'no-store'})
    if self._people.known(request.cookies.get(self._cookie)) is None:
      secret = await run_in_threadpool(self._people.welcome)
      if secret is None:
        raise _Refused(503, 'Too many people are at work here; come back in some minutes.')
      response.set_cookie(self._cookie, secret, httponly=True, samesite='strict')
    return response

  async def _tell_facts(self, request: Request) -> Response:
    self._person(request)
    return JSONResponse(self._facts)

  async def _begin(self, request: Request) -> Response:
    """Takes an upload, or the example, and begins with it in place of what there was."""
    person, query = self._person(request), request.query_params
    if not query.get('faces', '1').isdecimal():
      raise _Refused(400, 'faces is no number.')
    choice = Choice(int(query.get('faces', '1')), query.get('cutout') == '1')
    if not 1 <= choice.max_faces <= self._limits.max_faces:
      raise _Refused(400, f'faces must be 1 to {self._limits.max_faces}.')
    await run_in_threadpool(person.drop_extraction)
    folder = pathlib.Path(tempfile.mkdtemp(dir=person.folder))
    extraction = Extraction(folder, self._turns, self._limits, self._extract)
    try:
      if query.get('example') == '1':
        await run_in_threadpool(self._write_example, extraction.upload)
      else:
        await self._receive(request, extraction.upload)
    except ClientDisconnect:
      await run_in_threadpool(extraction.remove)
      return Response(status_code=400)  # Nobody hears it.
    except BaseException:
      await run_in_threadpool(extraction.remove)
      raise
    await run_in_threadpool(person.drop_extraction)  # Another tab may have been quicker.
    person.extraction = extraction
    extraction.start(choice)
    return JSONResponse(extraction.status())

  def _write_example(self, path: pathlib.Path) -> None:
    """Writes the clip of the demo, which is made once."""
    with self._lock:
      if self._example is None:
        made = path.with_name('example.mp4')
        clip.write_clip(made)
        self._example = made.read_bytes()
        made.unlink()
    path.write_bytes(self._example)

  async def _receive(self, request: Request, path: pathlib.Path) -> None:
    """Writes what is uploaded; more than is allowed is not even read."""
    try:
      self._limits.check_bytes(int(request.headers.get('content-length', '0')))
      count = 0
      async with await anyio.open_file(path, 'wb') as file:
        async for chunk in request.stream():
          count += len(chunk)
          self._limits.check_bytes(count)
          await file.write(chunk)
    except ValueError as error:
      raise _Refused(413, str(error)) from error
    except OSError as error:
      raise _Refused(507, f'The file cannot be kept here ({error.strerror}).') from error
    if not count:
      raise _Refused(400, 'The file is empty; give another one.')

  async def _status(self, request: Request) -> Response:
    extraction = self._person(request).extraction
    return JSONResponse({'state': 'none'} if extraction is None else extraction.status())

  async def _cancel(self, request: Request) -> Response:
    self._extraction(request).cancel()
    return Response(status_code=204)

  async def _measurements(self, request: Request) -> Response:
    return JSONResponse(await run_in_threadpool(self._extraction(request).measurements))

  async def _frame(self, request: Request) -> Response:
    extraction, index = self._extraction(request), request.path_params['index']
    if index >= extraction.status()['shown']:
      raise _Refused(404, 'There is no such frame yet.')
    return _file(extraction.packet(index), 'application/octet-stream')

  async def _download(self, request: Request) -> Response:
    path = self._extraction(request).download(request.path_params['name'])
    if path is None:
      raise _Refused(404, 'There is no such file.')
    return _file(path, None, content_disposition_type='attachment', filename=path.name)

  async def _camera(self, socket: WebSocket) -> None:
    """Labels frames as they come, until the page goes."""
    person = self._people.known(socket.cookies.get(self._cookie))
    if person is None or person.cameras:
      await socket.close(4401 if person is None else 4409)
      return
    await socket.accept()
    person.cameras += 1
    try:
      camera = Camera(await run_in_threadpool(self._live), self._turns)
      while True:
        jpeg = await socket.receive_bytes()
        await socket.send_bytes(await run_in_threadpool(camera, jpeg))
    except WebSocketDisconnect:
      pass
    except (ValueError, KeyError):  # No JPEG, or text.
      await socket.close(1003)
    finally:
      person.cameras -= 1
      self._people.known(socket.cookies.get(self._cookie))

  def _person(self, connection: HTTPConnection) -> Person:
    person = self._people.known(connection.cookies.get(self._cookie))
    if person is None:
      raise _Refused(403, _STRANGER)
    return person

  def _extraction(self, request: Request) -> Extraction:
    extraction = self._person(request).extraction
    if extraction is None:
      raise _Refused(404, 'There is nothing here; drop a video first.')
    return extraction


class _Refused(Exception):
  """A request that is answered by a sentence."""

  def __init__(self, status: int, error: str):
    super().__init__(error)
    self.status = status


async def _refusal(_: Request, error: Exception) -> Response:
  status = error.status if isinstance(error, _Refused) else 500
  return JSONResponse({'error': str(error)}, status)


def _file(path: pathlib.Path, media_type: str | None, **options: Any) -> Response:
  return FileResponse(path, media_type=media_type, headers={'cache-control': 'no-store'}, **options)
