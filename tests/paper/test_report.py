import html
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from fmx.evaluation.protocol import FrameScore, summarize
from fmx.paper import report
from fmx.paper.plan import Table

CLASSES = ('background', 'facial_skin', 'eyes')
# Clips that are all alike leave no spread to test against.
pytestmark = pytest.mark.filterwarnings('ignore:Precision loss')
FACTS = [('head', 'coarse <b>')]


def results(right, *, slope=0.0, noise=0):
  """Of 12 clips of three subjects; of 100 pixels of each class `right` are hit in each frame."""
  rng = np.random.default_rng(0)
  scores = []
  for clip in range(12):
    for t in range(1, 6):
      hits = int(right + slope * (t - 1) + rng.integers(-noise, noise + 1))
      counts = np.diag([100, hits, hits])
      counts[1:, 0] = 100 - hits
      scores.append(FrameScore(f'{clip % 3:03d}', f'c{clip:02d}', t - 1, t, counts))
  return summarize(scores, CLASSES)


ROWS = (
  ('base', 'fcn', 'FCN', 54.5),
  ('better & <i>best</i>', 'a', 'ConvLSTM-FCN', 55.53),
  ('lost', 'b', 'ConvLSTM-FCN', None),
)


def outcomes(**of_runs):
  names = {'fcn': 'FCN', 'a': 'ConvLSTM-FCN', 'b': 'ConvLSTM-FCN'}
  return {
    run: report.Outcome(
      f'{run}_0', (('fcn.loss', '<x>'),), ('abc',), {title: of_runs[run]} if run in of_runs else {}
    )
    for run, title in names.items()
  }


def table(kind='comparison', claims=(), **options):
  return Table('table3', 'Title & more', kind, ROWS, claims, **options)


class Cells(HTMLParser):
  """The cells of all tables of a page, by rows."""

  def __init__(self, text):
    super().__init__()
    self.rows, self._inside = [], False
    self.feed(text)

  def handle_starttag(self, tag, attributes):
    if tag == 'tr':
      self.rows.append([])
    if tag in ('td', 'th'):
      self.rows[-1].append('')
      self._inside = True

  def handle_endtag(self, tag):
    self._inside = self._inside and tag not in ('td', 'th')

  def handle_data(self, text):
    if self._inside:
      self.rows[-1][-1] += text


def write(tmp_path, planned, found, pictures=None, missing=None):
  page = report.write(tmp_path, planned, found, pictures or {}, missing or {}, 'small', FACTS)
  return page.read_text(), (tmp_path / report.DOCUMENT).read_text()


def test_our_numbers_stand_beside_the_paper_s(tmp_path):
  page, markdown = write(tmp_path, [table()], outcomes(fcn=results(50), a=results(60)))
  # IoU of a class: 60 hits of 100 labelled, and none elsewhere.
  rows = Cells(page).rows
  assert rows[0] == [
    *('model', 'mIoU', 'paper', 'gain', 'paper', 'p'),
    *('background', 'facial skin', 'eyes'),
  ]
  assert rows[1][1:6] == ['50.00', '54.50', '–', '–', '–']
  assert rows[1][7:] == ['50.00', '50.00']
  assert rows[2][0] == 'better & <i>best</i>'
  assert rows[2][1:6] == ['60.00', '55.53', '+10.00', '+1.03', '< 0.001']
  assert rows[3] == ['lost', *'––––––––']
  assert re.search(r'\| +60\.00 \| +55\.53 \| +\+10\.00 \| +\+1\.03 \| +< 0\.001 \|', markdown)


def test_names_are_text_not_markup(tmp_path):
  page, _ = write(tmp_path, [table(note='<script>')], outcomes(a=results(60)), {}, {'b': '<u>'})
  for name in ('better & <i>best</i>', 'coarse <b>', '<script>', 'Title & more', 'lost: <u>'):
    assert html.escape(name) in page
  assert not re.search('<script|<i>|<b>|<u>|<x>', page)


def test_without_its_baseline_a_row_has_no_gain(tmp_path):
  page, _ = write(tmp_path, [table()], outcomes(a=results(60)))
  rows = Cells(page).rows
  assert rows[1] == ['base', '–', '54.50', *'––––––']
  assert rows[2][1:6] == ['60.00', '55.53', '–', '+1.03', '–']


def test_gains_are_against_the_row_that_the_table_names():
  found = report.compared(table(baseline='lost'), {'base': results(50), 'lost': results(40)})
  assert [row[3] for row in found] == ['gain', '+10.00', '–', '–']
  assert [row[4] for row in found] == ['paper', '–', '–', '–']


@pytest.mark.parametrize(
  ('ours', 'theirs', 'by', 'expected'),
  [
    (results(60), results(50), 'mIoU', ('holds', '+10.00, p < 0.001')),
    (results(50), results(60), 'mIoU', ('does not hold', '-10.00, p < 0.001')),
    (results(60), results(50), 'eyes', ('holds', '+10.00')),
    (results(60), results(50), 'nose', ('not measured', '')),
    (results(50, slope=2), results(60), 'later', ('holds', '+5.00')),  # (2 + 4 + 6 + 8) / 4.
    (results(50), results(50, slope=2), 'later', ('does not hold', '-5.00')),
  ],
)
def test_a_claim_holds_or_not(ours, theirs, by, expected):
  assert report.verdict({'a': ours, 'b': theirs}, 'a', 'b', by) == expected


def test_a_difference_within_chance_leaves_a_claim_open():
  both = {'a': results(50, noise=0), 'b': results(50, noise=20)}
  found, text = report.verdict(both, 'a', 'b', 'mIoU')
  assert found == 'open: within chance'
  assert re.fullmatch(r'[+-]\d\.\d\d, p = 0\.\d{3}', text)
  assert report.verdict({'a': both['a']}, 'a', 'b', 'mIoU') == ('not measured', '')


def test_figures_and_pictures_are_inside_the_page_and_beside_the_markdown(tmp_path):
  found = outcomes(fcn=results(50), a=results(60, slope=1))
  planned = [
    Table('table4', 'By position', 'positions', ROWS, ()),
    Table('figure6', 'Subjects', 'subjects', ROWS, ()),
    Table('figure5', 'Masks', 'pictures', ROWS, ()),
  ]
  page, markdown = write(tmp_path, planned, found, {'figure5': b'a picture'})
  assert page.count('<svg') == 2
  assert 'src="data:image/jpeg;base64,YSBwaWN0dXJl"' in page
  assert not re.search(r'(src|href)="(?!data:|#)', page)  # Nothing to load.
  for name in ('table4.svg', 'figure6.svg', 'figure5.jpg'):
    assert f']({name})' in markdown
    assert (tmp_path / name).is_file()
  rows = Cells(page).rows
  assert ['better & <i>best</i>', *[f'{60 + t}.00 (+{10 + t}.00)' for t in range(5)]] in rows
  assert ['000', '50.00 ± 0.00', '62.00 ± 1.41'] in rows  # sqrt(2).


def test_what_is_not_done_is_said(tmp_path):
  planned = [table(claims=(('It is so', 'lost', 'base', 'mIoU'),)), table('pictures')]
  page, markdown = write(tmp_path, planned, outcomes())
  for text in (page, ' '.join(markdown.split())):
    assert '0 of 3 networks and systems are done' in text
    assert 'Not measured yet.' in text
    assert 'not done' in text
  assert '* It is so: **not measured**\n' in markdown
