"""The page with a fake extractor, served in a thread, and those who visit it."""

import contextlib
import functools
import http.cookiejar
import json
import struct
import threading
import time
import urllib.error
import urllib.request
import zlib

import numpy as np
from small_extractions import FakeExtractor

from configs import app as configuration
from fmx.extraction import job as extraction_job

LIMITS = {'max_megabytes': 2.0, 'max_seconds': 20.0, 'max_megapixels': 1.0, 'max_faces': 3}


class SlowExtractor(FakeExtractor):
  """Takes its time, so that it can be looked at and stopped."""

  def windows(self, frames, state=None):
    for found in super().windows(frames, state):
      time.sleep(0.1)
      yield found


@contextlib.contextmanager
def served(folder, *, extractor=FakeExtractor, max_people=3, **changes):
  """Gives the URL of a page whose files lie in the folder, and its `People`."""
  import uvicorn

  from fmx.app import job, people, server, uploads

  config = configuration.get_config()
  config.app.update(LIMITS | changes)
  config.extraction.engine = 'xla'
  config.weights = str(folder)
  there = people.People(folder, max_people, 60)
  method = lambda config: extractor(config.extraction.max_faces)  # noqa: E731
  before, extraction_job.METHODS['network'] = extraction_job.METHODS['network'], method
  page = server.Server(
    there,
    uploads.Limits(**(LIMITS | changes)),
    functools.partial(job.extract, config),
    lambda: extractor(),
    job.facts(config),
  )
  with job.listening('127.0.0.1', 0) as opened:
    served = uvicorn.Server(
      uvicorn.Config(page.app(is_local=True), log_level='warning', timeout_graceful_shutdown=2)
    )
    thread = threading.Thread(target=served.run, kwargs={'sockets': [opened]})
    thread.start()
    try:
      yield f'http://127.0.0.1:{opened.getsockname()[1]}', there
    finally:
      served.should_exit = True
      thread.join()
      extraction_job.METHODS['network'] = before


class Visitor:
  """A browser that opened the page."""

  def __init__(self, url):
    self.url = url
    self.jar = http.cookiejar.CookieJar()
    self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))
    self.status = self.ask('/')[0]

  @property
  def cookie(self):
    """As a header has it."""
    return '; '.join(f'{cookie.name}={cookie.value}' for cookie in self.jar)

  def ask(self, path, *, data=None, method=None, headers=()):
    """The status of an answer, and what it says: what JSON has, or bytes."""
    request = urllib.request.Request(self.url + path, data, dict(headers), method=method)
    try:
      answer = self._opener.open(request, timeout=60)
    except urllib.error.HTTPError as error:
      answer = error
    with answer:
      content = answer.read()
      is_json = answer.headers['content-type'] == 'application/json'
      return answer.status, json.loads(content) if is_json else content

  def upload(self, content, query=''):
    """Hands a file in."""
    return self.ask(f'/extraction?{query}', data=content, method='POST')

  def wait(self, *states, seconds=120):
    """The status of the extraction once its state is one of these."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
      status = self.ask('/extraction')[1]
      if status['state'] in states:
        return status
      time.sleep(0.02)
    raise AssertionError(f'{status} never became {states}.')


def taken_apart(packet):
  """The head, the picture and the labels of a packet."""
  said, seen = struct.unpack_from('<II', packet)
  head = json.loads(packet[8 : 8 + said])
  labels = np.frombuffer(zlib.decompress(packet[8 + said + seen :]), np.uint8)
  return head, packet[8 + said : 8 + said + seen], labels.reshape(head['height'], head['width'])
