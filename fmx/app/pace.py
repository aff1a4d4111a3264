"""How many frames of a webcam this machine labels: `python -m fmx.app.pace`.

The frames are those of the demo's clip at 640 x 480, one after another as the page sends them, with
the networks that ship. A browser on the same machine needs processor time of its own.
"""

import time

import cv2
import numpy as np

from fmx.app.camera import Camera
from fmx.app.turns import Turns
from fmx.example import clip
from fmx.labelling.extractor import FaceMaskExtractor

REST = 2  # As `app.rest`.
_SIZE, _QUALITY = (640, 480), 85


def main() -> None:
  """Measures and prints."""
  pictures = [cv2.resize(frame, _SIZE)[..., ::-1] for frame in clip.frames()]
  jpegs = [
    cv2.imencode('.jpg', picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()
    for picture in pictures
  ]
  extractor = FaceMaskExtractor(rest=REST)
  _timed(extractor, jpegs[:10])  # Compiles.
  seconds, busy = _timed(extractor, jpegs)
  print(
    f'{len(jpegs) / seconds.sum():.1f} frames/s; a frame takes {1e3 * np.median(seconds):.0f} ms '
    f'(median; nine of ten at most {1e3 * np.quantile(seconds, 0.9):.0f} ms), of processor time '
    f'{1e3 * busy / len(jpegs):.0f} ms.'
  )


def _timed(extractor: FaceMaskExtractor, jpegs: list[bytes]) -> tuple[np.ndarray, float]:
  """Seconds of each frame, and of processor time of all."""
  camera, seconds, began = Camera(extractor, Turns()), [], time.process_time()
  for jpeg in jpegs:
    start = time.perf_counter()
    camera(jpeg)
    seconds.append(time.perf_counter() - start)
  return np.array(seconds), time.process_time() - began


if __name__ == '__main__':
  main()
