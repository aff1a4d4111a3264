"""The parser and writer of `.pts` files."""

import os
import pathlib
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tfds_300vw.annotations import read_pts, write_pts

POINTS = np.stack([np.arange(68) + 0.25, 100.5 - np.arange(68)], axis=1)  # 0-based.
LINES = [f'{x + 1:.3f} {y + 1:.3f}' for x, y in POINTS]
HEADER = ['version: 1', 'n_points: 68', '{']


def pts_file(tmp_path, lines, end='\n', prefix=b''):
  path = tmp_path / '000001.pts'
  path.write_bytes(prefix + end.join([*lines, '']).encode())
  return path


@pytest.mark.parametrize('end', ['\n', '\r\n', '\r'])
@pytest.mark.parametrize('prefix', [b'', b'\xef\xbb\xbf'])
def test_points_lose_one_pixel_whatever_the_line_ends_and_byte_order_mark(tmp_path, end, prefix):
  # The first line of coordinates says 1.250 101.500, 1-based: 0.25, 100.5 from 0.
  landmarks = read_pts(pts_file(tmp_path, [*HEADER, *LINES, '}'], end, prefix))
  assert landmarks.dtype == np.float64
  np.testing.assert_array_equal(landmarks, POINTS)


@pytest.mark.parametrize(
  'lines',
  [
    LINES,
    ['{', *LINES, '}'],
    ['n_points:  68', *LINES],
    ['', 'version:1', '{', '', *LINES, '  }', '', ''],
    [f'\t{line.replace(" ", "   ")} ' for line in LINES],
    [f'{x + 1:.6e} +{y + 1}' for x, y in POINTS],
  ],
  ids=['bare', 'braces', 'count', 'blank lines', 'white space', 'exponents'],
)
def test_header_braces_and_blanks_are_optional(tmp_path, lines):
  np.testing.assert_allclose(read_pts(pts_file(tmp_path, lines)), POINTS, atol=1e-4)


@pytest.mark.parametrize(
  ('lines', 'line', 'problem'),
  [
    ([], 1, '0 points'),
    (LINES[:67], 67, '67 points'),
    ([*LINES, '3 4'], 69, '69 points'),
    (['n_points: 66', *LINES], 1, 'n_points is 66'),
    (['n_points: 66', 'n_points: 68', *LINES], 1, 'n_points is 66'),
    (['version: 1', 'n_points: 68', *LINES[:66]], 2, 'n_points is 68'),
    (['n_points: 66', *LINES[:66]], 67, '66 points'),
    ([*HEADER, *LINES], 72, 'the file ends'),  # Cut off: the last number may be too.
    ([*HEADER, *LINES, '}', '1 2'], 73, "'1 2' follows"),
    ([*LINES, '}'], 69, "'}'"),
    (['{', '{', *LINES, '}'], 2, "'{'"),
    ([*LINES[:5], 'n_points: 68', *LINES[5:]], 6, "'n_points: 68'"),
    (['points: 68', *LINES], 1, "'points: 68'"),
    ([*LINES[:3], '1 2 3', *LINES[4:]], 4, "'1 2 3'"),
    ([*LINES[:3], '1', *LINES[4:]], 4, "'1'"),
    ([*LINES[:3], '1,5 2', *LINES[4:]], 4, "'1,5 2'"),
    ([*LINES[:3], 'nan 2', *LINES[4:]], 4, "'nan 2'"),
    ([*LINES[:3], '2 -inf', *LINES[4:]], 4, "'2 -inf'"),
    ([*LINES[:3], '1e999 2', *LINES[4:]], 4, 'too large'),
    ([*LINES[:3], '1_0 2', *LINES[4:]], 4, "'1_0 2'"),
    ([*LINES[:3], '١ 2', *LINES[4:]], 4, '1'),
  ],
)
def test_bad_text_is_an_error_that_names_file_and_line(tmp_path, lines, line, problem):
  path = pts_file(tmp_path, lines)
  with pytest.raises(ValueError, match=re.escape(f'{path}, line {line}: ')) as caught:
    read_pts(path)
  assert problem in str(caught.value).replace('١', '1')


@pytest.mark.parametrize('prefix', [b'', b'\xef\xbb\xbf'])
def test_bytes_that_are_not_utf8_are_an_error_that_names_the_line(tmp_path, prefix):
  path = tmp_path / '000001.pts'
  path.write_bytes(prefix + b'version: 1\r\nn_points: 68\r\n\xff\xfe\r\n')
  with pytest.raises(ValueError, match=re.escape(f'{path}, line 3: it is not UTF-8')):
    read_pts(path)


def test_a_missing_file_is_a_file_not_found_error(tmp_path):
  with pytest.raises(FileNotFoundError):
    read_pts(tmp_path / 'none.pts')


def test_written_files_look_like_those_of_300vw(tmp_path):
  write_pts(tmp_path / 'a.pts', POINTS)
  lines = (tmp_path / 'a.pts').read_bytes().decode().split('\n')
  assert lines[:4] == ['version: 1', 'n_points: 68', '{', '1.250000 101.500000']
  assert lines[-2:] == ['}', '']


@given(st.integers(0, 2**32 - 1))
@settings(
  max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_what_is_written_is_read_back(tmp_path, seed):
  landmarks = np.random.default_rng(seed).uniform(-500, 5000, (68, 2))
  write_pts(tmp_path / 'a.pts', landmarks)
  np.testing.assert_allclose(read_pts(tmp_path / 'a.pts'), landmarks, rtol=0, atol=1e-6)


@pytest.mark.parametrize('landmarks', [np.zeros((66, 2)), np.full((68, 2), np.nan), np.zeros(136)])
def test_what_cannot_be_read_back_is_not_written(tmp_path, landmarks):
  with pytest.raises(ValueError, match=re.escape(str(tmp_path / 'a.pts'))):
    write_pts(tmp_path / 'a.pts', landmarks)
  assert not (tmp_path / 'a.pts').exists()


VALID = '\r\n'.join([*HEADER, *LINES, '}', '']).encode()
FRAGMENTS = [
  b'nan',
  b'-',
  b'.',
  b'1e400',
  b'1e308',
  b'\xff',
  b'\0',
  b'{',
  b'}',
  b'\n',
  b'n_points:',
]
FRAGMENTS += [b'version: 2', b' ', b'\xef\xbb\xbf', b'9' * 5000, '\u2028'.encode(), b'_', b'0x1']
EDITS = st.tuples(
  st.integers(0, len(VALID)),  # Where.
  st.integers(0, 60),  # Bytes deleted.
  st.one_of(st.sampled_from(FRAGMENTS), st.binary(max_size=8)),  # Inserted.
)


@given(st.lists(EDITS, min_size=1, max_size=5))
@settings(
  max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_mutated_files_give_a_value_error_or_landmarks(tmp_path, edits):
  data = VALID
  for start, deleted, inserted in edits:
    data = data[:start] + inserted + data[start + deleted :]
  path = tmp_path / 'mutated.pts'
  path.write_bytes(data)
  problem = landmarks = None
  try:
    landmarks = read_pts(path)
  except ValueError as error:
    problem = error
  if problem is None:
    assert landmarks.shape == (68, 2)
    assert np.isfinite(landmarks).all()
  else:
    assert not isinstance(problem, UnicodeError)  # Also a ValueError, but one that names no file.
    assert re.match(re.escape(str(path)) + r', line \d+: ', str(problem))


@pytest.mark.skipif('FMX_REAL_DATA' not in os.environ, reason='FMX_REAL_DATA names no real data')
def test_real_annotations_are_read_and_survive_a_round_trip(tmp_path):
  paths = sorted(pathlib.Path(os.environ['FMX_REAL_DATA']).glob('stills/*/*.pts'))
  assert paths
  for path in paths[::40]:
    landmarks = read_pts(path)
    write_pts(tmp_path / 'a.pts', landmarks)
    np.testing.assert_allclose(read_pts(tmp_path / 'a.pts'), landmarks, rtol=0, atol=1e-6)
