"""Boxes: from landmarks and masks, cutting out and pasting back.

A box is int64 [4]: x0, y0, x1, y1 in pixels, half-open, so x1 - x0 is its width. Landmarks count
pixel centres: the point (3, 5) is the middle of the pixel whose box is (3, 5, 4, 6).
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np

FACE_MARGIN = 1.3  # The face crop's side over the mean side of the landmarks' bounding box.
REGION_MARGIN = 1.6  # A region box's side over the larger side of the region's bounding box.
EYE_MARGIN = 2.4  # The same for a single eye: what is around it says where it ends.
BOX_SHIFT = 0.1  # Noise on a region box's centre, up to this share of its side.
BOX_SCALE = 0.15  # Noise on a region box's side, up to this share of it.
WINDOW = 5  # Frames that share a region box.
MIN_SIDE = 2  # Pixels. A box made here has at least this side where the image has.
_MAX_COORDINATE = 1e9  # Pixels; far from where integers overflow.


def face_box(
  landmarks: np.ndarray, height: int, width: int, *, margin: float = FACE_MARGIN
) -> np.ndarray:
  """Boxes one frame's face as the authors' data scripts crop it.

  Centre c of the landmarks' bounding box, half side r = round(margin * (w + h) / 4), pixels c - r
  to c + r with both ends included, cut off at the border of the image. Halves are rounded up, of r
  and of c: then a face moved by whole pixels moves its box by as many.

  Args:
    landmarks: [..., 2], x then y, 0-based pixels.
    height: Of the image, pixels.
    width: Of the image, pixels.
    margin: Side over the mean side of the landmarks' bounding box.

  Returns:
    The box inside the image.

  Raises:
    ValueError: the landmarks lie wholly outside the image, or are not finite.
  """
  x0, y0, x1, y1 = _bounds(landmarks, height, width)
  half = _round(margin * (x1 - x0 + y1 - y0) / 4)
  # Bounds count pixel edges, so the centre pixel is half a pixel less.
  x, y = _round((x0 + x1) / 2 - 0.5), _round((y0 + y1) / 2 - 0.5)
  return _fit((x - half, y - half, x + half + 1, y + half + 1), height, width)


def region_box(
  points: np.ndarray,
  height: int,
  width: int,
  *,
  margin: float = REGION_MARGIN,
  rng: np.random.Generator | None = None,
  shift: float = BOX_SHIFT,
  scale: float = BOX_SCALE,
) -> np.ndarray:
  """Boxes all given points by one square, cut off at the border of the image.

  Args:
    points: [..., 2], x then y, 0-based pixels: a region's landmarks in the frames that share the
      box.
    height: Of the image, pixels.
    width: Of the image, pixels.
    margin: Side over the larger side of the points' bounding box.
    rng: Draws the noise; None for none.
    shift: See `enlarge`.
    scale: See `enlarge`.

  Returns:
    The box inside the image.

  Raises:
    ValueError: the points lie wholly outside the image, or are not finite.
  """
  bounds = _bounds(points, height, width)
  return _fit(enlarge(bounds, margin, rng=rng, shift=shift, scale=scale), height, width)


def window_boxes(
  points: np.ndarray,
  height: int,
  width: int,
  *,
  window: int = WINDOW,
  margin: float = REGION_MARGIN,
  rng: np.random.Generator | None = None,
  shift: float = BOX_SHIFT,
  scale: float = BOX_SCALE,
) -> np.ndarray:
  """Boxes the frames of a clip, fixed for every few consecutive frames.

  Each window draws noise of its own. The last one may be shorter.

  Args:
    points: [T, P, 2], x then y, 0-based pixels.
    height: Of the image, pixels.
    width: Of the image, pixels.
    window: Frames that share a box.
    margin: Side over the larger side of the points' bounding box.
    rng: Draws the noise; None for none.
    shift: See `enlarge`.
    scale: See `enlarge`.

  Returns:
    int64 [T, 4].

  Raises:
    ValueError: the points of a window lie wholly outside the image, or are not finite; the message
      counts the window's frames from 0.
  """
  if window < 1:
    raise ValueError(f'A window must have at least one frame, not {window}.')
  found = np.empty((len(points), 4), np.int64)
  for first in range(0, len(points), window):
    part = slice(first, min(first + window, len(points)))
    try:
      found[part] = region_box(
        points[part], height, width, margin=margin, rng=rng, shift=shift, scale=scale
      )
    except ValueError as error:
      raise ValueError(f'Frames {first} to {part.stop - 1} of the clip: {error}') from error
  return found


def all_seen(points: np.ndarray, height: int, width: int, *, window: int = WINDOW) -> bool:
  """Whether a clip's points can be boxed: no window of frames has all of them outside the image.

  Args:
    points: [T, P, 2], x then y, 0-based pixels.
    height: Of the image, pixels.
    width: Of the image, pixels.
    window: Frames that share a box.
  """
  return all(
    _reach(_extent(points[first : first + window]), height, width)
    for first in range(0, len(points), window)
  )


def enlarge(
  box: np.ndarray | Sequence[float],
  margin: float,
  *,
  rng: np.random.Generator | None = None,
  shift: float = BOX_SHIFT,
  scale: float = BOX_SCALE,
) -> np.ndarray:
  """Makes a square around a box's centre, with noise if asked; it may reach out of the image.

  Args:
    box: [4], integer or float.
    margin: Side over the larger side of the box.
    rng: Draws the noise uniformly; None for none.
    shift: The centre moves by up to this share of the noiseless side, in x and in y.
    scale: The side changes by up to this share of itself.

  Returns:
    int64 [4], at least `MIN_SIDE` wide.
  """
  x0, y0, x1, y1 = np.asarray(box, np.float64).tolist()
  side = margin * max(x1 - x0, y1 - y0)
  x, y = (x0 + x1) / 2, (y0 + y1) / 2
  if rng is not None:
    noise_x, noise_y, noise_side = rng.uniform(-1, 1, 3).tolist()
    x, y = x + shift * side * noise_x, y + shift * side * noise_y
    side *= 1 + scale * noise_side
  side = max(_round(side), MIN_SIDE)
  left, top = _round(x - side / 2), _round(y - side / 2)
  return np.array([left, top, left + side, top + side], np.int64)


def mask_box(mask: np.ndarray) -> np.ndarray | None:
  """Boxes the True pixels of one frame or of several together, tightly.

  Args:
    mask: bool [H, W] or [T, H, W].

  Returns:
    The box, or None if no pixel is True.

  Raises:
    ValueError: the mask is not bool or has another rank.
  """
  mask = np.asarray(mask)
  if mask.dtype != bool or mask.ndim not in (2, 3):
    raise ValueError(f'A mask must be bool [H, W] or [T, H, W], not {mask.dtype} {mask.shape}.')
  if mask.ndim == 3:
    mask = np.asarray(mask.any(axis=0))
  x, y, width, height = cv2.boundingRect(np.ascontiguousarray(mask).view(np.uint8))
  return np.array([x, y, x + width, y + height], np.int64) if width else None


def clamp(box: np.ndarray, height: int, width: int) -> np.ndarray:
  """Cuts a box off at the border of the image.

  Args:
    box: [4], integer.
    height: Of the image, pixels.
    width: Of the image, pixels.

  Returns:
    What of the box lies inside, int64 [4].

  Raises:
    ValueError: the box is empty or wholly outside the image.
  """
  x0, y0, x1, y1 = (int(edge) for edge in box)
  inside = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
  if inside[0] >= inside[2] or inside[1] >= inside[3]:
    raise ValueError(
      f'The box {(x0, y0, x1, y1)} is empty or wholly outside the image of {width} x {height}'
      ' pixels.'
    )
  return np.array(inside, np.int64)


def crop(image: np.ndarray, box: np.ndarray) -> np.ndarray:
  """Cuts a box out of an image.

  Args:
    image: [H, W, ...].
    box: [4], integer; what lies outside the image is cut off.

  Returns:
    A view of the image, [height of the box, width of the box, ...].

  Raises:
    ValueError: the box is empty or wholly outside the image.
  """
  x0, y0, x1, y1 = clamp(box, *image.shape[:2])
  return image[y0:y1, x0:x1]


def paste(canvas: np.ndarray, patch: np.ndarray, box: np.ndarray) -> np.ndarray:
  """Puts back what `crop` cut out by the same box.

  Args:
    canvas: [H, W, ...]; left as it is.
    patch: What belongs into the box, of the size that `crop` gives.
    box: [4], integer; what lies outside the canvas is cut off.

  Returns:
    A copy of the canvas with the patch in it.

  Raises:
    ValueError: the box is empty or wholly outside the canvas, or the patch has another size.
  """
  canvas = canvas.copy()
  inside = crop(canvas, box)
  if inside.shape != patch.shape:
    raise ValueError(f'The patch is {patch.shape}, but the box holds {inside.shape}.')
  inside[...] = patch
  return canvas


def _bounds(points: np.ndarray, height: int, width: int) -> tuple[float, float, float, float]:
  """The points' bounding box, where it reaches into the image."""
  x0, y0, x1, y1 = box = _extent(points)
  if not _reach(box, height, width):
    raise ValueError(
      f'The landmarks lie wholly outside the image of {width} x {height} pixels: '
      f'x from {x0 - 0.5:.1f} to {x1 - 0.5:.1f}, y from {y0 - 0.5:.1f} to {y1 - 0.5:.1f}.'
    )
  return box


def _extent(points: np.ndarray) -> tuple[float, float, float, float]:
  """The points' bounding box, counted from the image's edge: the pixel 0 reaches from 0 to 1."""
  points = np.asarray(points, np.float64).reshape(-1, 2)
  if not len(points) or not (np.abs(points) <= _MAX_COORDINATE).all():
    raise ValueError(f'Landmarks must be finite and within {_MAX_COORDINATE:g} pixels of 0.')
  return (*(points.min(axis=0) + 0.5).tolist(), *(points.max(axis=0) + 0.5).tolist())


def _reach(box: tuple[float, float, float, float], height: int, width: int) -> bool:
  """Whether a part of a box lies inside the image."""
  x0, y0, x1, y1 = box
  return x1 > 0 and y1 > 0 and x0 < width and y0 < height


def _fit(box: tuple[int, int, int, int] | np.ndarray, height: int, width: int) -> np.ndarray:
  """Clamps, never to less than `MIN_SIDE`: rounding and noise may have moved the box just out."""
  x0, y0, x1, y1 = box
  min_width, min_height = min(MIN_SIDE, width), min(MIN_SIDE, height)
  low = min(max(x0, 0), width - min_width), min(max(y0, 0), height - min_height)
  high = max(min(x1, width), min_width), max(min(y1, height), min_height)
  return np.array([*low, *high], np.int64)


def _round(value: float) -> int:
  """Halves go up: round(), which takes them to the even neighbour, depends on where the face is."""
  return math.floor(value + 0.5)
