import json
import pickle
import threading
from operator import attrgetter

import numpy as np
import pytest
from PIL import Image
from small_extractions import PART_FRAMES, FakeExtractor, expected_masks, pictures

from fmx.extraction import joining, outputs, report
from fmx.extraction.loop import Record, extract_parts
from fmx.extraction.sources import FOLDER_RATE, open_source
from fmx.labelling.frame_masks import FrameMasks
from fmx.summary import Progress
from tfds_300vw import face_mask, video
from tfds_300vw.pictures import overlay
from tfds_300vw.video_writer import LabelWriter, VideoWriter


@pytest.mark.parametrize('seed', range(3))
def test_painting_is_the_overlay_that_all_pictures_have(seed):
  rng = np.random.default_rng(seed)
  frame = rng.integers(0, 256, (17, 23, 3), np.uint8)
  labels = rng.integers(0, 5, (17, 23), np.uint8)
  before = frame.copy()
  np.testing.assert_array_equal(outputs.paint(frame, labels), overlay(frame, labels))
  np.testing.assert_array_equal(outputs.paint(frame, labels * 0), frame)
  np.testing.assert_array_equal(frame, before)


def test_faces_next_to_each_other_in_number_have_colours_that_differ():
  colors = outputs.id_colors().astype(int)
  assert colors.shape == (256, 3)
  assert not colors[0].any()
  assert len(np.unique(colors[:40], axis=0)) == 40
  assert np.abs(colors[2:20] - colors[1:19]).max(axis=1).min() > 100


def test_mask_files_have_ids_as_indices_and_class_colours_as_palette(tmp_path):
  labels = np.random.default_rng(0).integers(0, 5, (9, 7), np.uint8)
  masks = outputs.PngMasks(tmp_path, 'masks', attrgetter('labels'), face_mask.COLORS)
  with masks.open_part(tmp_path) as write:
    write(outputs.Labelled('0001', None, FrameMasks(0, labels, labels, (), False)))
  assert not (tmp_path / 'masks').exists()
  masks.finish([], None)
  masks.finish([], None)  # Again, after an interruption.
  with Image.open(tmp_path / 'masks/0001.png') as picture:
    assert picture.mode == 'P'
    np.testing.assert_array_equal(np.asarray(picture), labels)
    np.testing.assert_array_equal(np.asarray(picture.convert('RGB')), face_mask.COLORS[labels])


@pytest.mark.parametrize('suffix', ['.mkv', '.avi'])
def test_labels_of_any_value_come_back_from_lossless_video(tmp_path, suffix):
  labels = np.random.default_rng(0).integers(0, 256, (6, 35, 41), np.uint8)
  with LabelWriter(tmp_path / f'labels{suffix}', 25) as writer:
    for frame in labels:
      writer.write(frame)
  read = [frame.image for frame in video.read_frames(tmp_path / f'labels{suffix}')]
  np.testing.assert_array_equal(read, np.repeat(labels[..., None], 3, axis=3))


@pytest.mark.parametrize(
  ('name', 'labels', 'match'),
  [
    ('v.mp4', np.zeros((8, 8), np.uint8), r'end it in \.mkv'),
    ('v.mkv', np.zeros((8, 8, 3), np.uint8), r'give uint8 \[H, W\]'),
    ('v.mkv', np.zeros((8, 8), np.int32), r'give uint8 \[H, W\]'),
  ],
)
def test_labels_that_cannot_be_written_are_refused(tmp_path, name, labels, match):
  with pytest.raises(ValueError, match=match), LabelWriter(tmp_path / name, 25) as writer:
    writer.write(labels)
  assert not list(tmp_path.iterdir())


def test_a_clock_is_even_where_times_are_even_but_for_rounding():
  # Milliseconds of 30000/1001 frames a second: 0, 33, 67, 100 … on a clock of 90,000 ticks.
  times = np.round(np.arange(300) * 1001 / 30000, 3)
  clock = joining.make_clock(times, 30000 / 1001, 0.25, joining.Fraction(1000))
  assert clock.ticks == 90_000
  np.testing.assert_array_equal(clock.stamps, 3003 * np.arange(300) + 22_500)
  assert clock.last == 3003
  assert clock.duration == pytest.approx(300 * 1001 / 30000)
  # Those beyond the ends go on evenly: decoding begins before the first frame is shown.
  assert [clock.at(i) for i in (-1, 0, 299, 301)] == [
    22_500 - 3003, 22_500, 22_500 + 299 * 3003, 22_500 + 301 * 3003
  ]  # fmt: skip


def test_a_clock_keeps_uneven_times_and_no_two_frames_are_at_once():
  times = [0.0, 0.04, 0.041, 0.0410001, 0.5]
  clock = joining.make_clock(times, 10, 0.0, joining.Fraction(1000))
  assert clock.stamps.tolist() == [0, 3600, 3690, 3691, 45_000]


def test_parts_join_to_the_frames_in_their_order(tmp_path):
  images, parts, first = pictures(24), [], 0
  for number, count in enumerate((7, 16, 1)):
    path = tmp_path / f'{number}.mp4'
    with VideoWriter(path, 25, crf=1) as writer:
      for image in images[first : first + count]:
        writer.write(image)
    parts.append((path, first))
    first += count
  clock = joining.make_clock(np.arange(24) / 25, 25)
  joining.join(parts, tmp_path / 'whole.mp4', clock, 25)
  joined = [frame.image for frame in video.read_frames(tmp_path / 'whole.mp4')]
  single = [frame.image for path, _ in parts for frame in video.read_frames(path)]
  np.testing.assert_array_equal(joined, single)


def layers_of(folder):
  masks = outputs.VideoMasks(folder, 'masks', attrgetter('labels'), 25)
  return {'overlay': outputs.Overlay(25, None), 'masks': masks}


def test_a_part_that_is_not_finished_is_not_there(tmp_path):
  watch = report.Stopwatch({})
  layers = {
    'overlay': outputs.Overlay(25, None),
    'masks': outputs.VideoMasks(tmp_path, 'masks', attrgetter('labels'), 25),
  }
  image = pictures(1)[0]
  (masks,) = expected_masks([image])
  frame = video.Frame(0, 0.0, image)
  for number in (1, 2):
    part = outputs.PartWriter(tmp_path / 'parts', number, layers, watch.timed)
    part.add(outputs.Labelled('000001', frame, masks), {'index': 0})
    assert len(part) == 1
    part.finish({'after': number})
  broken = outputs.PartWriter(tmp_path / 'parts', 3, layers, watch.timed)
  broken.add(outputs.Labelled('000002', frame, masks), {'index': 1})
  parts, state = outputs.read_parts(tmp_path / 'parts')
  assert [(part.first, part.stop) for part in parts] == [(0, 1), (1, 2)]
  assert parts[1].lines() == ['{"index": 0}']
  assert state == {'after': 2}
  assert not (parts[0].folder / 'state.pickle').exists()  # It is no longer needed.
  broken.abort()
  assert sorted(path.name for path in (tmp_path / 'parts').iterdir()) == ['000001', '000002']


def test_only_a_few_frames_are_held_however_long_the_video(tmp_path):
  held, most, images = set(), [0], pictures(8)

  class Counted:
    """Frames of a source that notices when they are let go."""

    properties = open_source(_folder(tmp_path, images)).properties
    files = ()

    def name(self, index):
      return f'{index}'

    def frames(self, start=0):
      for index in range(start, 120):
        image = images[index % 8].copy().view(_Noticed)
        image.number, image.held = index, held
        held.add(index)
        most[0] = max(most[0], len(held))
        yield video.Frame(index, index / FOLDER_RATE, image)

  layers = {
    'overlay': outputs.Overlay(25, None),
    'masks': outputs.VideoMasks(tmp_path, 'masks', attrgetter('labels'), 25),
  }
  record = extract_parts(
    Counted(),
    FakeExtractor(),
    tmp_path / 'parts',
    layers,
    asked=lambda: 0,
    progress=Progress(120, enabled=False),
  )
  assert (record.next_index, record.is_end) == (120, True)
  # Windows of 5: the one that is written and the one behind it, one that waits, those that the fake
  # has read, and the frames that are decoded ahead.
  assert most[0] <= 6 * 5


class _Noticed(np.ndarray):
  """An image that says when it is let go."""

  def __del__(self):
    if hasattr(self, 'held'):
      self.held.discard(self.number)


def _folder(tmp_path, images):
  folder = tmp_path / 'frames'
  folder.mkdir()
  for i, image in enumerate(images):
    Image.fromarray(image).save(folder / f'{i}.png')
  return folder


def test_a_stage_inside_another_one_is_not_counted_twice():
  now = iter([0, 1, 4, 9, 10])  # Starts outer; starts inner; ends it; ends outer.
  watch = report.Stopwatch({'outer': 2.0}, clock=lambda: next(now))
  with watch.timed('outer'), watch.timed('inner'):
    pass
  # Outer: 2 before, 1 − 0 up to the inner, 9 − 4 after it. Inner: 4 − 1.
  assert watch.seconds == {'outer': 2 + 1 + 5, 'inner': 3}


def test_stages_in_two_threads_overlap():
  watch = report.Stopwatch({'other': 1.0}, 3.0, clock=lambda: now[0])
  now = [0.0]
  watch.start()
  with watch.timed('one'):
    other = threading.Thread(target=_timed, args=(watch, 'other', now))
    other.start()
    other.join()
    with watch.timed(None):
      now[0] = 7.0  # Waiting is no work.
  assert watch.seconds == {'one': 5.0, 'other': 1 + 5}
  assert watch.elapsed == 3 + 7


def _timed(watch, name, now):
  with watch.timed(name):
    now[0] = 5.0


def test_speed_leaves_out_what_does_not_grow_with_the_video():
  # Within 4 seconds 40 frames; 3 seconds of one stage and 1.5 of the other one overlap.
  found = report.speed({'start': 10.0, 'decode': 1.5, 'segment': 3.0}, 4.0, 40)
  assert found['frames_per_second'] == 10
  assert found['stages']['segment'] == {'frames_per_second': 13.33, 'share': 0.75}
  assert found['stages']['decode'] == {'frames_per_second': 26.67, 'share': 0.375}
  assert found['seconds']['start'] == 10
  assert found['elapsed'] == 4


def test_totals_go_on_after_being_stored():
  masks = expected_masks(pictures(9), 2)
  whole, half = report.Totals(), report.Totals()
  for frame in masks:
    whole.add(frame)
  for frame in masks[:4]:
    half.add(frame)
  half = pickle.loads(pickle.dumps(half))
  for frame in masks[4:]:
    half.add(frame)
  assert half.result() == whole.result()
  assert whole.result()['frames_by_face'] == {'1': 9, '2': 9}
  assert whole.result()['cuts'] == 1


def test_a_summary_is_json_with_a_frame_a_line(tmp_path):
  lines = [json.dumps({'index': i}) for i in range(3)]
  head = {'a': np.float32(0.5), 'b': [float('nan'), (1, 2)], 'c': {'d': None}}
  for frames in (lines, []):
    report.write_summary(tmp_path / 'summary.json', head, iter(frames))
    text = (tmp_path / 'summary.json').read_text()
    assert json.loads(text) == {
      'version': 2, 'a': 0.5, 'b': [None, [1, 2]], 'c': {'d': None},
      'frames': [json.loads(line) for line in frames],
    }  # fmt: skip
    assert sum(line.startswith('    {"index"') for line in text.splitlines()) == len(frames)


def test_the_record_of_an_extraction_can_be_stored():
  record = Record(next_index=PART_FRAMES, seconds={'decode': 1.0}, is_end=True)
  assert pickle.loads(pickle.dumps(record)).seconds == {'decode': 1.0}
