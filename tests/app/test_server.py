"""The page over HTTP and WebSocket, as a browser speaks to it; its extractor knows nothing."""

import csv
import io
import json
import pathlib
import time
import zipfile

import av
import numpy as np
import pages
import pytest
from PIL import Image
from small_extractions import expected_masks, pictures, write_video

pytest.importorskip('uvicorn', reason='The page needs the extra `app`.')
sync_client = pytest.importorskip('websockets.sync.client')
from websockets.exceptions import ConnectionClosed, InvalidStatus  # noqa: E402

IMAGES = pictures(23)


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
  return write_video(tmp_path_factory.mktemp('clip') / 'clip.mp4', IMAGES).read_bytes()


@pytest.fixture(scope='module')
def page(tmp_path_factory):
  with pages.served(tmp_path_factory.mktemp('page'), max_people=50) as (url, _):
    yield url


def jpeg(image):
  file = io.BytesIO()
  Image.fromarray(image).save(file, 'JPEG')
  return file.getvalue()


def camera(url, cookie, origin=None):
  return sync_client.connect(
    url.replace('http', 'ws') + '/live',
    additional_headers={'Cookie': cookie},
    origin=origin or url,
    proxy=None,
  )


def test_a_video_becomes_frames_numbers_and_files(page, clip):
  visitor = pages.Visitor(page)
  assert visitor.ask('/extraction')[1] == {'state': 'none'}
  assert visitor.upload(clip, 'faces=2&cutout=1')[0] == 200
  status = visitor.wait('done', 'failed')
  assert (status['state'], status['frames'], status['shown']) == ('done', 23, 23)
  expected = expected_masks(list(decoded(clip)), 2)
  for index, masks in enumerate(expected):
    head, picture, labels = pages.taken_apart(visitor.ask(f'/extraction/frames/{index}')[1])
    assert head['frame'] == index
    np.testing.assert_array_equal(labels, masks.labels)
    assert Image.open(io.BytesIO(picture)).size == (64, 48)
  columns = visitor.ask('/extraction/measurements')[1]
  assert columns['frame'] == [i for i in range(23) for _ in range(2)]
  assert set(columns['verdict']) == {'good'}
  assert status['downloads'] == ['overlay.mp4', 'masks.zip', 'measurements.csv', 'cutout.webm']
  files = {name: visitor.ask(f'/extraction/files/{name}')[1] for name in status['downloads']}
  assert len(list(decoded(files['overlay.mp4']))) == len(list(decoded(files['cutout.webm']))) == 23
  rows = list(csv.DictReader(io.StringIO(files['measurements.csv'].decode())))
  assert [int(row['frame']) for row in rows] == columns['frame']
  with zipfile.ZipFile(io.BytesIO(files['masks.zip'])) as archive:
    assert archive.namelist() == [f'{i + 1:06d}.png' for i in range(23)]
    np.testing.assert_array_equal(
      np.asarray(Image.open(archive.open('000007.png'))), expected[6].labels
    )


def decoded(content):
  with av.open(io.BytesIO(content)) as container:
    for frame in container.decode(video=0):
      yield frame.to_ndarray(format='rgb24')


@pytest.mark.parametrize('kind', ['PNG', 'JPEG', 'WEBP'])
def test_a_picture_is_a_video_of_one_frame(page, kind):
  visitor, file = pages.Visitor(page), io.BytesIO()
  Image.fromarray(IMAGES[0]).save(file, kind)
  visitor.upload(file.getvalue())
  assert visitor.wait('done', 'failed')['frames'] == 1


def test_frames_that_are_not_there_yet_are_not_given(page, clip):
  visitor = pages.Visitor(page)
  assert visitor.ask('/extraction/frames/0')[0] == 404
  visitor.upload(clip)
  visitor.wait('done')
  assert visitor.ask('/extraction/frames/22')[0] == 200
  assert visitor.ask('/extraction/frames/23')[0] == 404
  assert visitor.ask('/extraction/files/cutout.webm')[0] == 404  # Nobody asked for it.


@pytest.mark.parametrize(
  ('content', 'sentence'),
  [
    (b'', 'The file is empty; give another one.'),
    (b'x' * 2_000_001, 'The file has more than 2 MB; cut it, or make it smaller.'),
  ],
)
def test_what_is_empty_or_too_large_is_not_taken(page, content, sentence):
  visitor = pages.Visitor(page)
  status, said = visitor.upload(content)
  assert (status, said) == (413 if content else 400, {'error': sentence})
  assert visitor.ask('/extraction')[1] == {'state': 'none'}


def test_what_cannot_be_read_is_told_without_a_path(page, clip):
  visitor = pages.Visitor(page)
  for content in (b'no video', clip[:300], jpeg(IMAGES[0])[:200]):
    visitor.upload(content)
    status = visitor.wait('done', 'failed')
    assert status['state'] == 'failed'
    assert '/' not in status['error'], status


def test_too_long_and_too_large_videos_are_told_so(tmp_path, clip):
  with pages.served(tmp_path, max_seconds=0.5) as (url, _):
    visitor = pages.Visitor(url)
    visitor.upload(clip)
    said = visitor.wait('failed')['error']
    assert said == 'The video takes 1 s; at most 0.5 s are taken: cut it.'
  with pages.served(tmp_path, max_megapixels=0.003) as (url, _):
    for content in (clip, jpeg(IMAGES[0])):
      visitor = pages.Visitor(url)
      visitor.upload(content)
      assert visitor.wait('failed')['error'] == (
        'It has 64 x 48 pixels; at most 0.003 million are taken: make it smaller.'
      )


@pytest.mark.parametrize('query', ['faces=0', 'faces=4', 'faces=x', 'faces=-1'])
def test_what_a_person_may_ask_for_is_checked(page, clip, query):
  assert pages.Visitor(page).upload(clip, query)[0] == 400


def test_files_of_others_are_out_of_reach(page, clip):
  owner, other = pages.Visitor(page), pages.Visitor(page)
  owner.upload(clip)
  owner.wait('done')
  for path in ('/frames/0', '/files/overlay.mp4', '/measurements'):
    assert owner.ask(f'/extraction{path}')[0] == 200
    assert other.ask(f'/extraction{path}')[0] == 404
  assert other.ask('/extraction', method='DELETE')[0] == 404
  stranger = pages.Visitor(page)
  stranger.jar.clear()
  for path in ('/facts', '/extraction', '/extraction/frames/0', '/extraction/files/overlay.mp4'):
    assert stranger.ask(path)[0] == 403
  assert stranger.upload(clip)[0] == 403


@pytest.mark.parametrize(
  'path',
  [
    '/page/../server.py',
    '/page/..%2fserver.py',
    '/page/%2e%2e/server.py',
    '/page//etc/passwd',
    '/extraction/files/..%2f..%2fupload',
    '/extraction/files/summary.json',
    '/extraction/files/%2fetc%2fpasswd',
    '/extraction/frames/..%2f..%2fout',
    '/extraction/frames/-1',
  ],
)
def test_no_path_reaches_the_file_system(page, clip, path):
  visitor = pages.Visitor(page)
  visitor.upload(clip)
  visitor.wait('done')
  assert visitor.ask(path)[0] == 404


def test_a_file_that_names_others_is_not_followed(page, tmp_path, clip):
  (tmp_path / 'secret.ts').write_bytes(clip)
  playlists = (
    f'#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{tmp_path}/secret.ts\n#EXT-X-ENDLIST\n',
    f"ffconcat version 1.0\nfile '{tmp_path}/secret.ts'\n",
  )
  for playlist in playlists:
    visitor = pages.Visitor(page)
    visitor.upload(playlist.encode())
    assert visitor.wait('done', 'failed')['error'] == (
      'It is neither a video nor a picture that can be read here; give another file.'
    )


def test_only_the_page_itself_is_answered(page):
  visitor = pages.Visitor(page)
  port = page.rpartition(':')[2]
  for headers in (
    {'Origin': 'http://elsewhere.example'},
    {'Origin': 'null'},
    {'Host': f'elsewhere.example:{port}'},
  ):
    assert visitor.ask('/facts', headers=headers)[0] == 403
  for headers in ({'Origin': page}, {'Host': f'localhost:{port}'}):
    assert visitor.ask('/facts', headers=headers)[0] == 200
  with pytest.raises(InvalidStatus):
    camera(page, visitor.cookie, origin='http://elsewhere.example')


def test_a_browser_is_told_to_fetch_nothing_of_elsewhere(page):
  visitor = pages.Visitor(page)
  request = visitor._opener.open(page)
  policy = request.headers['content-security-policy']
  assert "default-src 'none'" in policy
  assert 'unsafe' not in policy
  assert 'http' not in policy


def test_nothing_that_the_page_brings_names_another_address():
  folder = pathlib.Path(pages.__file__).parent.parent / 'fmx/app/page'
  for path in folder.iterdir():
    text = path.read_text().replace('/^http/', '')
    assert 'http:' not in text, path
    assert 'https:' not in text, path
    assert '@import' not in text, path


def test_cancelling_ends_it_and_another_one_takes_its_place(tmp_path, clip):
  long = write_video(tmp_path / 'long.mp4', pictures(300)).read_bytes()
  with pages.served(tmp_path / 'page', extractor=pages.SlowExtractor) as (url, people):
    visitor = pages.Visitor(url)
    visitor.upload(long)
    while not visitor.ask('/extraction')[1].get('shown'):
      time.sleep(0.02)
    assert pages.taken_apart(visitor.ask('/extraction/frames/0')[1])[0]['frame'] == 0
    assert visitor.ask('/extraction', method='DELETE')[0] == 204
    assert visitor.wait('cancelled', seconds=20)['shown'] < 300
    (person,) = people._people.values()
    before = person.extraction.folder
    visitor.upload(clip)
    assert not before.exists()
    assert visitor.wait('done')['shown'] == 23
  assert list((tmp_path / 'page').iterdir()) == []  # Nothing is left.


def test_the_time_that_is_left_is_told(tmp_path):
  long = write_video(tmp_path / 'long.mp4', pictures(300)).read_bytes()
  with pages.served(tmp_path / 'page', extractor=pages.SlowExtractor) as (url, _):
    visitor = pages.Visitor(url)
    visitor.upload(long)
    while 'seconds_left' not in (status := visitor.ask('/extraction')[1]):
      time.sleep(0.02)
    assert 0.05 * (300 - status['shown']) / 5 < status['seconds_left']


def test_two_people_share_the_machine(tmp_path):
  long = write_video(tmp_path / 'long.mp4', pictures(200)).read_bytes()
  with pages.served(tmp_path / 'page', extractor=pages.SlowExtractor) as (url, _):
    one, two = pages.Visitor(url), pages.Visitor(url)
    one.upload(long)
    while one.ask('/extraction')[1].get('shown', 0) < 20:
      time.sleep(0.02)
    two.upload(long)
    while two.ask('/extraction')[1].get('shown', 0) < 30:
      time.sleep(0.02)
    assert one.ask('/extraction')[1]['shown'] < 100  # Alone it would be at the end.


def test_those_who_are_too_many_are_told_and_those_who_left_make_room(tmp_path, clip):
  with pages.served(tmp_path, max_people=2) as (url, people):
    visitors = [pages.Visitor(url) for _ in range(3)]
    assert [visitor.status for visitor in visitors] == [200, 200, 503]
    visitors[0].upload(clip)
    visitors[0].wait('done')
    folder = people._people[next(iter(visitors[0].jar)).value].folder
    assert any(folder.iterdir())
    people._people[next(iter(visitors[0].jar)).value].last -= 61
    assert pages.Visitor(url).status == 200
    assert not folder.exists()
    assert visitors[0].ask('/extraction')[0] == 403


def test_a_camera_s_masks_go_on_from_frame_to_frame(page):
  visitor = pages.Visitor(page)
  states = []
  with camera(page, visitor.cookie) as socket:
    for image in IMAGES[:4]:
      socket.send(jpeg(image))
      head, picture, labels = pages.taken_apart(socket.recv())
      assert (picture, labels.shape) == (b'', image.shape[:2])
      assert head['rows'][0]['left_blink'] in (None, True, False)
      assert head['worked_ms'] > 0
      states.append((head['frame'], int((labels == 2).sum())))
  assert [frame for frame, _ in states] == [0, 1, 2, 3]
  images = [np.asarray(Image.open(io.BytesIO(jpeg(image)))) for image in IMAGES[:4]]
  assert [eyes for _, eyes in states] == [
    int((m.labels == 2).sum()) for m in expected_masks(images)
  ]


def test_a_camera_that_is_turned_begins_anew(page):
  visitor = pages.Visitor(page)
  with camera(page, visitor.cookie) as socket:
    for image, expected in ((IMAGES[0], 0), (IMAGES[0], 1), (IMAGES[0].transpose(1, 0, 2), 0)):
      socket.send(jpeg(image))
      head, _, labels = pages.taken_apart(socket.recv())
      assert (head['frame'], labels.shape) == (expected, image.shape[:2])


def test_nothing_of_a_camera_is_kept(tmp_path):
  with pages.served(tmp_path) as (url, _):
    visitor = pages.Visitor(url)
    before = sorted(tmp_path.rglob('*'))
    with camera(url, visitor.cookie) as socket:
      socket.send(jpeg(IMAGES[0]))
      socket.recv()
      assert sorted(tmp_path.rglob('*')) == before
    assert sorted(tmp_path.rglob('*')) == before


def test_a_camera_needs_a_visitor_and_one_is_enough(page):
  visitor = pages.Visitor(page)
  with pytest.raises(InvalidStatus), camera(page, ''):
    pass
  with camera(page, visitor.cookie), pytest.raises(InvalidStatus), camera(page, visitor.cookie):
    pass
  for _ in range(100):  # The first one is heard to be off.
    try:
      with camera(page, visitor.cookie) as socket:
        socket.send(jpeg(IMAGES[0]))
        assert pages.taken_apart(socket.recv())[0]['frame'] == 0
        return
    except InvalidStatus:
      time.sleep(0.05)
  raise AssertionError('The webcam cannot be switched on again.')


@pytest.mark.parametrize('message', [b'no picture', 'text'])
def test_what_is_no_frame_ends_a_camera(page, message):
  with camera(page, pages.Visitor(page).cookie) as socket:
    socket.send(message)
    with pytest.raises(ConnectionClosed):
      socket.recv()


def test_the_page_says_beforehand_what_it_takes(page):
  facts = pages.Visitor(page).ask('/facts')[1]
  assert json.dumps(pages.LIMITS, sort_keys=True) == json.dumps(
    {name: facts[name] for name in pages.LIMITS}, sort_keys=True
  )
  assert len(facts['classes']) == len(facts['colors']) == 5
