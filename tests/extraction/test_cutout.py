import av
import numpy as np
import pytest
from small_extractions import PART_FRAMES, FakeExtractor, config, expected_masks, write_video

from fmx.extraction import cutout, job, loop
from tfds_300vw.video import read_frames
from tfds_300vw.video_writer import AlphaWriter


def decoded(path):
  """The frames of a transparent video, uint8 [H, W, 4], and their times in seconds."""
  decoder, images, times = av.CodecContext.create('libvpx-vp9', 'r'), [], []
  assert b'\x53\xc0\x81\x01' in path.read_bytes()[:1000]  # AlphaMode, which browsers look at.
  with av.open(str(path)) as container:
    unit = container.streams.video[0].time_base
    for packet in container.demux(video=0):
      for frame in decoder.decode(packet):
        images.append(frame.to_ndarray(format='rgba'))
        times.append(float(frame.pts * unit))
  return images, times


def smooth(num, height=96, width=128):
  """Pictures whose colours an encoder can keep."""
  ramp = np.mgrid[:height, :width].sum(0)[..., None] / 2
  return [(ramp + [20, 60, 90] + i).astype(np.uint8) for i in range(num)]


@pytest.mark.parametrize('size', [(96, 128), (95, 127)])
def test_a_cutout_is_transparent_but_for_the_face(tmp_path, monkeypatch, size):
  monkeypatch.setitem(job.METHODS, 'network', lambda config: FakeExtractor())
  monkeypatch.setattr(loop, 'PART_FRAMES', PART_FRAMES)
  path = write_video(tmp_path / 'clip.mp4', smooth(23, *size))
  job.run(config(path, tmp_path, extraction__outputs=('cutout',)), tmp_path / 'out')
  given = [frame.image for frame in read_frames(path)]
  images, times = decoded(tmp_path / 'out/cutout.webm')
  assert len(images) == len(given) == 23
  np.testing.assert_allclose(times, np.arange(23) / 25, atol=1e-3)
  for image, frame, masks in zip(images, given, expected_masks(given)):
    assert image.shape == (*size, 4)
    wanted = cutout.cut_out(frame, masks.labels)
    assert np.abs(image[..., 3].astype(int) - wanted[..., 3]).mean() < 1
    solid = wanted[..., 3] == 255
    assert solid.sum() > 200
    assert np.abs(image[solid][:, :3].astype(int) - frame[solid]).mean() < 8
    assert image[40:, 60:].max() < 24  # Far from the face there is nothing left to see.


def test_the_edge_is_soft_for_a_pixel_to_either_side():
  labels = np.zeros((20, 20), np.uint8)
  labels[:, 10:] = 1
  image = np.full((20, 20, 3), 200, np.uint8)
  found = cutout.cut_out(image, labels)
  # A Gaussian of (1, 2, 1) / 4 over 0, 0, 255, 255.
  assert found[10, 8:12, 3].tolist() == [0, 64, 191, 255]
  assert (found[:, 6:, :3] == 200).all()  # Colour under all of the edge.
  assert not found[:, :5].any()
  assert not cutout.cut_out(image, labels * 0).any()


@pytest.mark.parametrize(
  ('name', 'image', 'match'),
  [
    ('v.mp4', np.zeros((8, 8, 4), np.uint8), r'end it in \.webm'),
    ('v.webm', np.zeros((8, 8, 3), np.uint8), r'give uint8 \[H, W, 4\]'),
  ],
)
def test_what_cannot_be_transparent_is_refused(tmp_path, name, image, match):
  with pytest.raises(ValueError, match=match), AlphaWriter(tmp_path / name, 25) as writer:
    writer.write(image)
  assert not list(tmp_path.iterdir())
