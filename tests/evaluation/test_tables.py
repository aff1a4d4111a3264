import numpy as np
import pytest

from fmx.evaluation import protocol, tables

CLASSES = ['background', 'skin']


def make_result(*clips):
  """Clips of two frames; s of the first frame's 100 pixels of skin are found, then s + 2."""
  scores = [
    protocol.FrameScore('v', f'c{i}', t, t + 1, np.array([[100, 0], [100 - found, found]]))
    for i, s in enumerate(clips)
    for t, found in enumerate((s, s + 2))
  ]
  return protocol.summarize(scores, CLASSES)


RESULTS = {'FCN': make_result(50, 51, 52, 53), 'ConvLSTM-FCN': make_result(60, 61, 62, 64)}


def test_a_row_holds_iou_miou_gain_and_p():
  # Skin found: 420 of 800, then 502: 52.50 %, 62.75 %.
  # Background: 800 / (800 + 380 missed) = 67.80 %, then 800 / (800 + 298) = 72.86 %.
  # Gains of the groups, a clip each: 10, 10, 10, 11: mean 10.25, standard error 0.25, t = 41.
  header, fcn, conv_lstm = tables.comparison_rows(RESULTS)
  assert header == ['model', 'background', 'skin', 'mIoU', 'gain', 'p']
  assert fcn == ['FCN', '67.80', '52.50', '52.50', '–', '–']
  assert conv_lstm == ['ConvLSTM-FCN', '72.86', '62.75', '62.75', '+10.25', '< 0.001']


def test_a_loss_has_its_sign_and_a_large_p_its_digits():
  # Gains -1, 1, -2, -1: mean -0.75, standard error sqrt(4.75 / 3) / 2 = 0.629, t = -1.192 with
  # three degrees of freedom: p = 0.319.
  rows = tables.comparison_rows(RESULTS | {'worse': make_result(49, 52, 50, 52)})
  assert rows[3][-2:] == ['-0.75', '0.319']


def test_a_class_without_iou_and_a_single_clip_leave_a_dash():
  absent = protocol.summarize([protocol.FrameScore('v', 'c0', 0, 1, np.diag([4, 0]))], CLASSES)
  rows = tables.comparison_rows({'FCN': absent, 'other': make_result(50)})
  assert rows[1] == ['FCN', '100.00', '–', '–', '–', '–']
  assert rows[2][-2:] == ['–', '–']


def test_positions_are_compared_one_by_one():
  # t = 1: (50 + 51 + 52 + 53) / 4 = 51.5 and (60 + 61 + 62 + 64) / 4 = 61.75; t = 2: 2 more.
  header, fcn, conv_lstm = tables.position_rows(RESULTS)
  assert header == ['model', 't = 1', 't = 2']
  assert fcn == ['FCN', '51.50', '53.50']
  assert conv_lstm == ['ConvLSTM-FCN', '61.75 (+10.25)', '63.75 (+10.25)']


def test_a_position_that_a_model_lacks_leaves_a_dash():
  stills = RESULTS['FCN'] | {'positions': {'1': 0.5}}
  assert tables.position_rows(RESULTS | {'stills': stills})[3][1:] == ['50.00 (-1.50)', '– (–)']


def test_text_is_aligned():
  rows = [['model', 'mIoU'], ['FCN', '54.50'], ['all', '63.7']]
  assert tables.as_text(rows) == ('model   mIoU\n-----  -----\nFCN    54.50\nall     63.7\n')


def test_markdown_has_a_rule_and_escapes_bars():
  rows = [['model', 'p'], ['a|b', '0.010']]
  assert tables.as_markdown(rows) == ('| model |     p |\n| ----- | ----: |\n| a\\|b  | 0.010 |\n')


def test_models_of_other_classes_are_refused():
  other = RESULTS['FCN'] | {'classes': ['background', 'eyes']}
  with pytest.raises(ValueError, match='eyes has the classes'):
    tables.comparison_rows({'FCN': RESULTS['FCN'], 'eyes': other})
