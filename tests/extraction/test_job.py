import pathlib
import shutil

import av
import numpy as np
import pytest
import small_extractions
from PIL import Image
from small_extractions import (
  FakeExtractor,
  config,
  expected_masks,
  images_of,
  names,
  pictures,
  stamps,
  summary_of,
  write_video,
)

from fmx import pretrained
from fmx.engines import choice
from fmx.extraction import job, outputs
from fmx.workdir import held
from tfds_300vw import face_mask, video

ROOT = pathlib.Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures('fake')


def test_every_frame_gets_its_mask_and_its_place_in_the_overlay(clip, uninterrupted):
  assert names(uninterrupted) == [
    'extraction.json', 'masks', 'measurements.csv', 'measurements.parquet', 'overlay.mp4',
    'summary.json',
  ]  # fmt: skip
  images = images_of(clip)
  expected = expected_masks(images)
  assert names(uninterrupted / 'masks') == [f'{i:06d}.png' for i in range(1, 34)]
  shown = images_of(uninterrupted / 'overlay.mp4')
  assert len(shown) == len(images) == 33
  for i, masks in enumerate(expected):
    with Image.open(uninterrupted / 'masks' / f'{i + 1:06d}.png') as mask:
      assert mask.mode == 'P'
      np.testing.assert_array_equal(np.asarray(mask), masks.labels)
      np.testing.assert_array_equal(
        np.asarray(mask.convert('RGB')), face_mask.to_color(masks.labels)
      )
    wanted = outputs.paint(images[i], masks.labels).astype(int)
    assert np.abs(shown[i] - wanted).mean() < 8
  given, made = video.probe(clip), video.probe(uninterrupted / 'overlay.mp4')
  assert (made.height, made.width, made.frame_rate) == (given.height, given.width, 25)


def test_the_summary_says_what_is_in_each_frame(clip, uninterrupted):
  summary = summary_of(uninterrupted)
  assert summary['video'] | {'path': ''} == {
    'path': '', 'kind': 'video', 'codec': 'h264', 'frames': 33, 'frame_rate': 25.0,
    'duration': 1.32, 'width': 64, 'height': 48, 'rotation': 0, 'pixel_aspect': 1.0,
    'sound': 'copied', 'damage': None,
  }  # fmt: skip
  expected = expected_masks(images_of(clip))
  assert len(summary['frames']) == 33
  assert summary['frames'][7] == {
    'index': 7, 'name': '000008', 'time': 0.28, 'face_found': True, 'is_cut': True,
    'faces': [
      {
        'id': 1, 'verdict': 'good', 'box': [3, 4, 17, 24], 'roll': 0.0,
        'areas': expected[7].faces[0].areas, 'confidence': 0.75,
      }
    ],
    'lost': [],
  }  # fmt: skip
  totals = summary['totals']
  assert (totals['frames'], totals['frames_without_face'], totals['cuts']) == (33, 0, 1)
  # The fake's mouth: 4 rows of 8 pixels, of which 1 row of 3 is inside; the face has 20 x 14.
  assert totals['mean_areas']['inner_mouth'] == 3
  assert totals['mean_areas']['outer_mouth'] == 4 * 8 - 3
  assert sum(totals['mean_areas'].values()) == pytest.approx(20 * 14, abs=0.02)
  assert totals['temporal_quality']['pairs'] == 31  # None across the cut.


@pytest.mark.parametrize('size', [(47, 64), (48, 63), (35, 41)])
def test_odd_sizes_stay(tmp_path, size):
  path = write_video(tmp_path / 'clip.mp4', pictures(12, *size))
  job.run(config(path, tmp_path), tmp_path / 'out')
  info = video.probe(tmp_path / 'out/overlay.mp4')
  assert (info.height, info.width, info.num_frames) == (*size, 12)


def test_a_video_of_one_frame(tmp_path):
  path = write_video(tmp_path / 'clip.mp4', pictures(1))
  job.run(config(path, tmp_path, contact_sheet=True), tmp_path / 'out')
  assert len(images_of(tmp_path / 'out/overlay.mp4')) == 1
  assert names(tmp_path / 'out/masks') == ['000001.png']
  assert (tmp_path / 'out/contact_sheet.png').exists()


def test_a_folder_of_frames_lends_the_masks_its_names(tmp_path):
  (tmp_path / 'frames').mkdir()
  images = pictures(12)
  for i, image in enumerate(images):
    Image.fromarray(image).save(tmp_path / 'frames' / f'shot-{i}.png')
  made = config(tmp_path / 'frames', tmp_path)
  job.run(made, tmp_path / 'frames/out')  # A person may put it there.
  shown = images_of(tmp_path / 'frames/out/overlay.mp4')
  assert len(shown) == 12
  for i, masks in enumerate(expected_masks(images)):
    with Image.open(tmp_path / 'frames/out/masks' / f'shot-{i}.png') as mask:
      np.testing.assert_array_equal(np.asarray(mask), masks.labels)
    assert np.abs(shown[i] - outputs.paint(images[i], masks.labels).astype(int)).mean() < 8
  summary = summary_of(tmp_path / 'frames/out')
  assert (summary['video']['kind'], summary['video']['frame_rate']) == ('pictures', 25)
  assert summary['frames'][11]['name'] == 'shot-11'


def test_masks_and_ids_come_back_exactly_from_lossless_videos(clip, tmp_path, monkeypatch):
  monkeypatch.setitem(job.METHODS, 'network', lambda config: FakeExtractor(3))
  made = config(
    clip,
    tmp_path,
    extraction__masks='video',
    extraction__max_faces=3,
    extraction__outputs=('overlay', 'masks'),
  )
  job.run(made, tmp_path / 'out')
  assert names(tmp_path / 'out') == [
    'extraction.json', 'faces.mkv', 'masks.mkv', 'overlay.mp4', 'summary.json'
  ]  # fmt: skip
  masks, faces = images_of(tmp_path / 'out/masks.mkv'), images_of(tmp_path / 'out/faces.mkv')
  expected = expected_masks(images_of(clip), 3)
  assert len(masks) == len(faces) == len(expected)
  for mask, face, frame in zip(masks, faces, expected):
    np.testing.assert_array_equal(mask, np.repeat(frame.labels[..., None], 3, 2))
    np.testing.assert_array_equal(face, np.repeat(frame.ids[..., None], 3, 2))
  np.testing.assert_allclose(stamps(tmp_path / 'out/masks.mkv'), np.arange(33) / 25, atol=1e-3)


def test_with_several_faces_it_is_told_which_pixel_is_whose(clip, tmp_path, monkeypatch):
  monkeypatch.setitem(job.METHODS, 'network', lambda config: FakeExtractor(3))
  job.run(config(clip, tmp_path, extraction__max_faces=3), tmp_path / 'out')
  for i, masks in enumerate(expected_masks(images_of(clip), 3)):
    with Image.open(tmp_path / 'out/faces' / f'{i + 1:06d}.png') as faces:
      np.testing.assert_array_equal(np.asarray(faces), masks.ids)
      assert len(np.unique(np.asarray(faces.convert('RGB')).reshape(-1, 3), axis=0)) == 4
  summary = summary_of(tmp_path / 'out')
  assert [face['id'] for face in summary['frames'][3]['faces']] == [1, 2, 3]
  assert summary['totals']['frames_by_face'] == {'1': 33, '2': 33, '3': 33}


def test_a_video_in_which_no_face_is_found_gets_empty_masks_and_a_warning(
  clip, tmp_path, monkeypatch, caplog
):
  monkeypatch.setitem(job.METHODS, 'network', lambda config: FakeExtractor(blind=True))
  job.run(config(clip, tmp_path), tmp_path / 'out')
  assert 'No face was found in any frame' in caplog.text
  totals = summary_of(tmp_path / 'out')['totals']
  assert totals['frames_without_face'] == 33
  assert totals['mean_areas']['eyes'] is None
  assert len(names(tmp_path / 'out/masks')) == 33


def test_a_video_that_breaks_off_is_finished_up_to_there(tmp_path, caplog):
  images = pictures(60)
  whole = write_video(tmp_path / 'whole.mkv', images, sound='aac', beep=(0.1, 2.4))
  cut = tmp_path / 'cut.mkv'
  cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
  with pytest.raises(video.VideoError):  # noqa: PT012
    readable = []
    for frame in video.read_frames(cut):
      readable.append(frame)
  assert 10 < len(readable) < 50
  job.run(config(cut, tmp_path), tmp_path / 'out')
  assert len(images_of(tmp_path / 'out/overlay.mp4')) == len(readable)
  assert f'Not all frames could be read. {cut}: cut off at frame {len(readable)}' in caplog.text
  assert 'cut off' in summary_of(tmp_path / 'out')['video']['damage']
  with av.open(str(tmp_path / 'out/overlay.mp4')) as container:
    assert container.duration / 1e6 == pytest.approx(len(readable) / 25, abs=0.1)


def test_a_finished_extraction_is_left_alone_but_for_a_contact_sheet(
  clip, uninterrupted, tmp_path, monkeypatch, capsys
):
  shutil.copytree(uninterrupted, tmp_path / 'out')
  made = config(clip, uninterrupted.parent)
  monkeypatch.setitem(job.METHODS, 'network', None)
  job.run(made, tmp_path / 'out')
  assert 'nothing is left to do' in capsys.readouterr().out
  assert names(tmp_path / 'out') == names(uninterrupted)
  job.run(config(clip, uninterrupted.parent, contact_sheet=True), tmp_path / 'out')
  with Image.open(tmp_path / 'out/contact_sheet.png') as sheet:
    assert sheet.width > 6 * 240
    assert sheet.height > 4 * 240


@pytest.mark.parametrize('is_finished', [True, False])
def test_another_extraction_in_the_same_folder_is_refused_with_what_differs(
  clip, uninterrupted, tmp_path, is_finished
):
  folder = uninterrupted.parent
  shutil.copytree(uninterrupted, tmp_path / 'out')
  if not is_finished:
    (tmp_path / 'out/summary.json').unlink()
    (tmp_path / 'out/unfinished/parts/000001').mkdir(parents=True)
  with pytest.raises(ValueError, match=r'another extraction: extraction\.zoom is False, there Tr'):
    job.run(config(clip, folder, extraction__zoom=False), tmp_path / 'out')
  other = write_video(tmp_path / 'other.mp4', pictures(5))
  with pytest.raises(ValueError, match=r'video\.path is .*other\.mp4.*, there .*clip\.mp4'):
    job.run(config(other, folder), tmp_path / 'out')
  changed = shutil.copytree(folder / 'weights', tmp_path / 'weights') / 'file'
  changed.write_text('more')
  with pytest.raises(ValueError, match=r'weights\.bytes is 4, there 0'):
    job.run(config(clip, tmp_path), tmp_path / 'out')


def test_masks_of_one_engine_are_not_gone_on_with_by_another(
  clip, uninterrupted, tmp_path, monkeypatch
):
  assert summary_of(uninterrupted)['engine'] == 'xla'
  monkeypatch.setattr(choice, 'described', lambda engine: 'openvino, bfloat16')
  workdir = shutil.copytree(uninterrupted, tmp_path / 'out')
  with pytest.raises(ValueError, match="extraction.engine is 'openvino, bfloat16', there 'xla'"):
    job.run(config(clip, uninterrupted.parent, extraction__engine='auto'), workdir)


def test_options_may_change_while_nothing_is_extracted(clip, tmp_path, monkeypatch):
  def broken(config):
    class Broken:
      def windows(self, frames, state=None):
        raise ValueError('there is nothing in the box')

    return Broken()

  monkeypatch.setitem(job.METHODS, 'network', broken)
  with pytest.raises(ValueError, match='nothing in the box'):
    job.run(config(clip, tmp_path, extraction__box=(50, 0, 60, 9)), tmp_path / 'out')
  monkeypatch.setitem(job.METHODS, 'network', lambda config: FakeExtractor())
  job.run(config(clip, tmp_path, extraction__box=(1, 2, 30, 40)), tmp_path / 'out')
  assert summary_of(tmp_path / 'out')['options']['box'] == [1, 2, 30, 40]


def test_files_of_others_are_not_overwritten(clip, tmp_path):
  (tmp_path / 'out').mkdir()
  (tmp_path / 'out/summary.json').write_text('mine')
  with pytest.raises(ValueError, match=r'out holds summary\.json, but no extraction\.json'):
    job.run(config(clip, tmp_path), tmp_path / 'out')
  assert (tmp_path / 'out/summary.json').read_text() == 'mine'


def test_what_cannot_be_extracted_is_one_sentence_and_nothing_is_written(
  clip, tmp_path, monkeypatch
):
  monkeypatch.setattr(pretrained, 'FOLDER', tmp_path / 'none')
  text, empty = tmp_path / 'notes.txt', tmp_path / 'empty.mp4'
  text.write_text('no video')
  empty.touch()
  with av.open(str(tmp_path / 'sound.m4a'), 'w', format='mp4') as container:
    for packet in small_extractions.add_sound(container, 'aac', 1, (0, 1), 0):
      container.mux(packet)
  (tmp_path / 'folder').mkdir()
  cases = [
    ('', {}, "video is '': give a file"),
    (tmp_path / 'none.mp4', {}, r'none\.mp4: there is no such file'),
    (text, {}, r'notes\.txt: no'),
    (empty, {}, r'empty\.mp4: the file is empty'),
    (tmp_path / 'sound.m4a', {}, r'sound\.m4a: no video stream in it'),
    (tmp_path / 'folder', {}, 'folder: no picture in this folder'),
    (clip, {'weights': ''}, 'No trained networks came with this copy of fmx'),
    (clip, {'extraction__method': 'magic'}, "extraction.method is 'magic'; it must be 'network'"),
    (clip, {'extraction__masks': 'gif'}, "extraction.masks is 'gif'; it must be 'png' or 'video'"),
    (
      clip,
      {'extraction__outputs': ('gif',)},
      "extraction.outputs has 'gif'; it may have 'overlay', ",
    ),
    (
      clip,
      {'extraction__outputs': ('masks',), 'contact_sheet': True},
      "contact_sheet is drawn from 'overlay': add that to extraction.outputs",
    ),
    (
      clip,
      {'extraction__outputs': ('masks',), 'plot': True},
      "plot is drawn from 'measurements': add that",
    ),
    (clip, {'extraction__max_faces': 0}, 'extraction.max_faces is 0'),
    (clip, {'extraction__bridge': 5}, 'extraction.bridge is 5'),
    (clip, {'extraction__steadiness': 1.0}, 'extraction.steadiness is 1.0'),
    (clip, {'extraction__skip': 3}, 'extraction.skip is 3'),
    (clip, {'extraction__box': (5, 5, 5, 9)}, r'extraction\.box is \(5, 5, 5, 9\); give x0'),
    (clip, {'extraction__box': (5, 9)}, r'extraction\.box is \(5, 9\)'),
  ]
  for path, changes, match in cases:
    with pytest.raises((ValueError, OSError), match=match):
      job.run(config(path, tmp_path, **changes), tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_a_folder_that_cannot_be_written_is_one_sentence(clip, tmp_path):
  (tmp_path / 'file').touch()
  with pytest.raises(OSError, match=r'file/out cannot be written \(Not a directory\)'):
    job.run(config(clip, tmp_path), tmp_path / 'file/out')


def test_a_folder_at_which_another_extraction_is_at_work_is_left_alone(clip, tmp_path):
  with held(tmp_path / 'out'), pytest.raises(ValueError, match='Another run is at work in'):
    job.run(config(clip, tmp_path), tmp_path / 'out')
  assert names(tmp_path / 'out') == []
