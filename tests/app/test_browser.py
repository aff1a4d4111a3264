"""The page in a real Chromium: what people do, and that it asks nothing of elsewhere.

Needs the extra `app-test` and a Chromium: Playwright's own, or one on the PATH.
"""

import base64
import contextlib
import dataclasses
import io
import json
import re
import shutil

import cv2
import numpy as np
import pages
import pytest
from PIL import Image
from small_extractions import FakeExtractor, pictures, write_video

pytest.importorskip('uvicorn', reason='The page needs the extra `app`.')
playwright = pytest.importorskip('playwright.sync_api', reason='It needs the extra `app-test`.')
expect = playwright.expect

PATIENCE = 120_000  # Milliseconds.
IMAGES = pictures(40, 96, 128)
expect.set_options(timeout=PATIENCE)


class Doubting(FakeExtractor):
  """Frames 12 and 13 are doubtful, and the eyes blink in frame 20."""

  def _masks(self, index, size, memory):
    masks = super()._masks(index, size, memory)
    verdict = 'doubtful' if index in (12, 13) else 'good'
    faces = tuple(dataclasses.replace(face, verdict=verdict) for face in masks.faces)
    if index == 20:
      masks.labels[masks.labels == 2] = 1
    return dataclasses.replace(masks, faces=faces)


@pytest.fixture(scope='module')
def chromium(tmp_path_factory):
  film = tmp_path_factory.mktemp('camera') / 'camera.y4m'
  film.write_bytes(filmed(pictures(30, 480, 640)))
  with playwright.sync_playwright() as started:
    found = [None, *filter(None, map(shutil.which, ('chromium', 'google-chrome')))]
    for path in found:
      with contextlib.suppress(playwright.Error):
        browser = started.chromium.launch(
          executable_path=path,
          args=[
            '--no-sandbox',
            '--use-fake-ui-for-media-stream',
            '--use-fake-device-for-media-stream',
            f'--use-file-for-fake-video-capture={film}',
          ],
        )
        break
    else:
      pytest.skip('No Chromium is here: playwright install chromium, or apt install chromium.')
    yield browser
    browser.close()


def filmed(images):
  """A film as Chromium's fake webcam takes it (YUV4MPEG2)."""
  height, width = images[0].shape[:2]
  content = f'YUV4MPEG2 W{width} H{height} F30:1 Ip A1:1 C420jpeg\n'.encode()
  for image in images:
    content += b'FRAME\n' + cv2.cvtColor(image, cv2.COLOR_RGB2YUV_I420).tobytes()
  return content


@pytest.fixture(scope='module')
def url(tmp_path_factory):
  with pages.served(tmp_path_factory.mktemp('page'), extractor=Doubting, max_people=50) as (
    served,
    _,
  ):
    yield served


@pytest.fixture
def page(chromium, url):
  """The page, opened; whatever it asks of elsewhere is refused, and fails the test at its end."""
  context = chromium.new_context(viewport={'width': 1280, 'height': 800})
  context.grant_permissions(['camera'], origin=url)
  opened = context.new_page()
  opened.set_default_timeout(PATIENCE)
  elsewhere, complaints = [], []

  def guard(route):
    if route.request.url.startswith((url, 'data:', 'blob:')):
      route.continue_()
    else:
      elsewhere.append(route.request.url)
      route.abort()

  context.route('**/*', guard)
  opened.on('pageerror', lambda error: complaints.append(str(error)))
  opened.on('websocket', lambda socket: elsewhere.extend(wrong(socket.url, url)))
  opened.goto(url)
  expect(opened.locator('#limits')).to_contain_text('At most 2 MB')
  yield opened
  context.close()
  assert (elsewhere, complaints) == ([], [])


def wrong(socket, url):
  return [] if socket.startswith(url.replace('http', 'ws')) else [socket]


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
  return write_video(tmp_path_factory.mktemp('clip') / 'clip.mp4', IMAGES)


def extracted(page, clip):
  page.set_input_files('#file', clip)
  expect(page.locator('#downloads')).to_be_visible(timeout=PATIENCE)


def seen(page):
  """The canvas, as an array."""
  page.wait_for_timeout(50)  # A frame of the browser's own.
  url = page.evaluate("document.querySelector('#picture').toDataURL('image/png')")
  content = base64.b64decode(url.partition(',')[2])
  image = Image.open(io.BytesIO(content)).convert('RGB')
  return np.asarray(image).astype(int)


def red(image):
  """How much redder than blue the pixels are where the skin is, on the average."""
  skin = image[20:24, 3:17]  # Rows without eyes or mouth.
  return float((skin[..., 0] - skin[..., 2]).mean())


def at(page, number):
  expect(page.locator('#where')).to_have_text(f'{number} / 40')


def test_a_video_is_gone_through_frame_by_frame(page, clip):
  extracted(page, clip)
  at(page, 1)
  page.click('#on')
  at(page, 2)
  page.click('#back')
  page.click('#back')  # There is none before the first.
  at(page, 1)
  page.focus('#frame')
  page.keyboard.press('ArrowRight')
  at(page, 2)
  page.click('#after')
  at(page, 13)
  expect(page.locator('#verdict')).to_have_text('doubtful; 2 of 40 frames are not good')
  page.click('#after')
  at(page, 14)
  page.click('#after')  # Round.
  at(page, 13)
  page.click('#before')
  at(page, 14)
  page.click('#play')
  at(page, 40)
  expect(page.locator('#play')).to_have_text('▶')


def test_a_click_in_the_plot_goes_to_that_frame(page, clip):
  extracted(page, clip)
  box = page.locator('#plot').bounding_box()
  across = box['width'] - 56  # Less the room of the labels: 46 pixels before, 10 behind.
  page.mouse.click(box['x'] + 46 + 0.515 * across, box['y'] + 100)
  at(page, 21)  # 0.515 * 39 = 20.1: frame 20, from 0.
  page.mouse.click(box['x'] + box['width'] - 10, box['y'] + 300)
  at(page, 40)


def test_masks_look_as_a_person_wants_them(page, clip):
  extracted(page, clip)
  before = red(seen(page))
  assert before > 60
  page.fill('#opacity', '0.9')
  assert red(seen(page)) > before + 30
  page.fill('#opacity', '0')
  assert abs(red(seen(page))) < 15
  page.fill('#opacity', '0.45')
  page.uncheck('#region-facial_skin')
  assert abs(red(seen(page))) < 15
  page.check('#region-facial_skin')
  page.check('#outline')
  outlined = seen(page)
  inside, rim = outlined[21:23, 5:15], outlined[20:24, 3]
  assert abs((inside[..., 0] - inside[..., 2]).mean()) < 15
  assert (rim[..., 0] - rim[..., 2]).mean() > 60
  page.check('#fill')
  page.check('#beside')
  both = seen(page)
  assert both.shape == (96, 256, 3)
  assert abs(red(both)) < 15
  assert red(both[:, 128:]) > 60


def test_files_are_downloaded(page, clip):
  page.check('#cutout')
  extracted(page, clip)
  sizes = {}
  for link in page.locator('#files a').all():
    with page.expect_download() as download:
      link.click()
    sizes[download.value.suggested_filename] = download.value.path().stat().st_size
  assert set(sizes) == {'overlay.mp4', 'masks.zip', 'measurements.csv', 'cutout.webm'}
  assert min(sizes.values()) > 100


def test_a_picture_and_the_example_are_extracted(page, tmp_path):
  Image.fromarray(IMAGES[0]).save(tmp_path / 'face.png')
  page.set_input_files('#file', tmp_path / 'face.png')
  expect(page.locator('#where')).to_have_text('1 / 1')
  page.click('#example')
  expect(page.locator('#where')).to_have_text('1 / 105')
  assert seen(page).shape == (360, 480, 3)


def test_a_file_is_dropped(page, clip):
  dropped = page.evaluate_handle(
    """(bytes) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([new Uint8Array(bytes)], 'clip.mp4', { type: 'video/mp4' }));
      return transfer;
    }""",
    list(clip.read_bytes()),
  )
  page.dispatch_event('#drop', 'drop', {'dataTransfer': dropped})
  at(page, 1)


def test_a_reload_shows_what_there_was(page, clip):
  extracted(page, clip)
  page.reload()
  at(page, 1)


def test_what_is_refused_is_told(page, tmp_path):
  (tmp_path / 'text.txt').write_text('no video')
  page.set_input_files('#file', tmp_path / 'text.txt')
  expect(page.locator('#error')).to_contain_text('It is neither a video nor a picture')
  (tmp_path / 'large.mp4').write_bytes(bytes(2_100_000))
  page.set_input_files('#file', tmp_path / 'large.mp4')
  expect(page.locator('#error')).to_have_text('The file has 2 MB; at most 2 MB are taken.')


def test_an_extraction_is_cancelled(chromium, tmp_path):
  long = write_video(tmp_path / 'long.mp4', pictures(400))
  with pages.served(tmp_path / 'page', extractor=pages.SlowExtractor) as (url, _):
    context = chromium.new_context()
    page = context.new_page()
    page.goto(url)
    expect(page.locator('#limits')).to_contain_text('At most')
    page.set_input_files('#file', long)
    expect(page.locator('#told')).to_have_text(re.compile(r'Frame \d+ of 400, \d+ s left'))
    assert page.is_visible('#picture')
    page.click('#cancel')
    expect(page.locator('#error')).to_have_text('Cancelled.')
    context.close()


def test_a_webcam_s_masks_are_shown_with_their_pace_and_nothing_is_kept(page, url):
  page.click('#webcam')
  expect(page.locator('#rate')).to_have_text(re.compile(r'^[1-9]\d*\.\d$'))
  expect(page.locator('#latency')).to_have_text(re.compile(r'^\d+$'))
  page.uncheck('#mirror')
  assert seen(page).shape == (480, 640, 3)
  assert red(seen(page)) > 60
  page.click('#record')
  page.wait_for_timeout(500)
  page.click('#record')
  with page.expect_download() as download:
    page.click('#recording')
  assert download.value.suggested_filename == 'webcam.webm'
  assert download.value.path().stat().st_size > 1000
  page.click('#off')
  expect(page.locator('#filming')).to_be_hidden()
  assert page.locator('#error').is_hidden()


def test_a_telephone_shows_all_of_it_in_one_column(page, clip):
  page.set_viewport_size({'width': 390, 'height': 844})
  extracted(page, clip)
  page.check('#beside')
  assert page.evaluate('document.documentElement.scrollWidth') <= 390
  boxes = json.loads(
    page.evaluate(
      "JSON.stringify(['#seen', '#numbers'].map((id) => "
      'document.querySelector(id).getBoundingClientRect()))'
    )
  )
  assert boxes[0]['bottom'] <= boxes[1]['top']
  assert seen(page).shape == (192, 128, 3)  # One under the other.
