import io
import json
from contextlib import redirect_stdout

import numpy as np
import pytest
from PIL import Image
from small_extractions import FakeExtractor, config, expected_masks, pictures, write_video

from fmx.extraction import job, layers
from tfds_300vw.face_mask import CLASS_NAMES
from tfds_300vw.video import read_frames

coco = pytest.importorskip('pycocotools.coco')


@pytest.fixture(autouse=True)
def fake(monkeypatch):
  monkeypatch.setitem(job.METHODS, 'network', lambda config: FakeExtractor(3))


def opened(path):
  with redirect_stdout(io.StringIO()):  # It talks.
    return coco.COCO(str(path))


def test_pycocotools_reads_the_masks_of_each_face(tmp_path):
  path = write_video(tmp_path / 'clip.mp4', pictures(12, 48, 70))
  options = {'extraction__outputs': ('coco',), 'extraction__max_faces': 3}
  job.run(config(path, tmp_path, **options), tmp_path / 'out')
  read = opened(tmp_path / 'out/coco.json')
  assert [read.cats[i]['name'] for i in sorted(read.cats)] == list(CLASS_NAMES[1:])
  expected = expected_masks([frame.image for frame in read_frames(path)], 3)
  assert len(read.imgs) == len(expected) == 12
  for index, masks in enumerate(expected):
    image = read.imgs[index + 1]
    assert image['file_name'] == f'{index + 1:06d}.png'  # As ffmpeg -i clip.mp4 %06d.png has it.
    assert (image['frame'], image['time']) == (index, index / 25)
    labels, ids = np.zeros((2, 48, 70), np.uint8)
    for annotation in read.loadAnns(read.getAnnIds([image['id']])):
      mask = read.annToMask(annotation) == 1
      assert not labels[mask].any()
      labels[mask], ids[mask] = annotation['category_id'], annotation['track_id']
      assert annotation['area'] == mask.sum()
      x, y, width, height = map(int, annotation['bbox'])
      rows, columns = np.nonzero(mask)
      assert (x, y, width, height) == (
        columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1
      )  # fmt: skip
    np.testing.assert_array_equal(labels, masks.labels)
    np.testing.assert_array_equal(ids, masks.ids)
  assert min(read.anns) == 1


def test_pictures_of_a_folder_keep_their_names(tmp_path):
  (tmp_path / 'frames').mkdir()
  for i, image in enumerate(pictures(3)):
    Image.fromarray(image).save(tmp_path / 'frames' / f'shot-{i}.jpg')
  made = config(tmp_path / 'frames', tmp_path, extraction__outputs=('coco',))
  job.run(made, tmp_path / 'out')
  images = json.loads((tmp_path / 'out/coco.json').read_text())['images']
  assert [image['file_name'] for image in images] == ['shot-0.jpg', 'shot-1.jpg', 'shot-2.jpg']


def test_without_faces_there_are_images_without_annotations(tmp_path, monkeypatch):
  monkeypatch.setitem(job.METHODS, 'network', lambda config: FakeExtractor(blind=True))
  path = write_video(tmp_path / 'clip.mp4', pictures(6))
  job.run(config(path, tmp_path, extraction__outputs=('coco',)), tmp_path / 'out')
  read = opened(tmp_path / 'out/coco.json')
  assert (len(read.imgs), len(read.anns)) == (6, 0)


@pytest.mark.parametrize(
  ('options', 'library'), [({'outputs': ('coco',)}, 'pycocotools'), ({'plot': True}, 'matplotlib')]
)
def test_what_lacks_its_library_is_refused_before_anything_is_done(monkeypatch, options, library):
  monkeypatch.setattr(layers.importlib.util, 'find_spec', lambda name: None)
  asked = {'outputs': ('measurements',), 'contact_sheet': False, 'plot': False} | options
  with pytest.raises(ValueError, match=f'needs {library}: pip install {library} '):
    layers.check_outputs(asked.pop('outputs'), **asked)
