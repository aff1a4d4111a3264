"""What every answer of the page says, and which requests get none."""

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

# The page brings all it needs: a browser that obeys fetches nothing of elsewhere.
HEADERS = {
  'content-security-policy': "default-src 'none'; script-src 'self'; style-src 'self'; "
  "img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; base-uri 'none'; "
  "form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
}


class Guard:
  """Lets in what this page itself asks for, under a name that is this machine's.

  Other pages in the same browser may send requests too, and a stranger's name may be made to lead
  here; the headers `Origin` and `Host` tell.
  """

  def __init__(self, app: ASGIApp, is_local: bool):
    """Says what is behind it, and whether only this machine is to reach it."""
    self._app, self._is_local = app, is_local

  async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
    """As ASGI has it."""
    if scope['type'] not in ('http', 'websocket'):
      await self._app(scope, receive, send)
      return
    headers = Headers(scope=scope)
    host, origin = headers.get('host', ''), headers.get('origin')
    is_own = origin is None or urlsplit(origin).netloc == host
    if scope['type'] == 'websocket' and origin is None:
      is_own = False
    if not is_own or (self._is_local and not is_loopback(host)):
      refusal = PlainTextResponse('This page answers only itself.\n', 403)
      await (WebSocketClose(4403) if scope['type'] == 'websocket' else refusal)(
        scope, receive, send
      )
      return

    async def with_headers(message: Message) -> None:
      if message['type'] == 'http.response.start':
        MutableHeaders(scope=message).update(HEADERS)
      await send(message)

    await self._app(scope, receive, with_headers)


def is_loopback(host: str) -> bool:
  """Whether a host, with or without a port, is a name of this machine for itself."""
  name = host if host.count(':') > 1 and '[' not in host else urlsplit(f'//{host}').hostname or ''
  if name == 'localhost':
    return True
  try:
    return ipaddress.ip_address(name).is_loopback
  except ValueError:
    return False
