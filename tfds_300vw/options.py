"""What decides the content of a prepared dataset: one value, handed unchanged to every worker."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from tfds_300vw import boxes, clips, face_mask
from tfds_300vw.others import Boxes

REGIONS = (*face_mask.REGIONS, 'frames')  # What a dataset can show.


@dataclasses.dataclass(frozen=True)
class ClipOptions:
  """How clips are chosen and cut.

  Attributes:
    region: 'primary' for whole faces, 'eyes' (both in one crop), 'eye' (each in its own) or 'mouth'
      for the zoomed-in datasets, 'frames' for whole frames.
    clip_length: Frames of a clip. The paper's clips last one second at 30 frames a second.
    fraction: Share of each video's clips that is kept, in (0, 1]; at least one clip is.
    seed: Seeds the split, the choice of clips and the noise on the region boxes, and the
      motion of stills.
    splits: The user's own lists of video ids by split name; None draws the split.
    bad_frames: Frame ranges (first, last) of each video id, counted from 1, last included, that
      are badly annotated: no clip has them.
    others: Boxes of faces that nobody annotated, by name, as `others.read` gives them: for whole
      frames.
    face_margin: Side of the face crop over the mean side of the landmarks' bounding box.
    face_window: Frames of a video for which a face box stays fixed; at 1 it follows each frame.
    face_shift: Largest shift of a video's face box, as a share of its side, in every split: above
      0 the face's place in the crop is uncertain.
    region_margin: Side of an eye or mouth box over the larger side of the region's bounding box.
    box_window: Frames for which an eye or mouth box stays fixed.
    box_shift: Largest shift of a region box in the training split, as a share of its side.
    box_scale: Largest relative change of a region box's side in the training split.
    frame_side: Largest side of a whole frame, pixels; larger frames are scaled to it.
    jpeg_quality: Of the stored frames, 95 to 100.
    camera_motion: Strength of the motion that makes a clip of a still image, 0 to 1; 0 is none.
  """

  region: str = 'primary'
  clip_length: int = clips.CLIP_LENGTH
  fraction: float = clips.FRACTION
  seed: int = 0
  splits: Mapping[str, Sequence[str]] | None = None
  bad_frames: Mapping[str, Sequence[tuple[int, int]]] = dataclasses.field(default_factory=dict)
  others: Mapping[str, Boxes] = dataclasses.field(default_factory=dict, repr=False)
  face_margin: float = boxes.FACE_MARGIN
  face_window: int = 1
  face_shift: float = 0.0
  region_margin: float = boxes.REGION_MARGIN
  box_window: int = boxes.WINDOW
  box_shift: float = boxes.BOX_SHIFT
  box_scale: float = boxes.BOX_SCALE
  frame_side: int = 640
  jpeg_quality: int = 95
  camera_motion: float = 1.0

  def __post_init__(self) -> None:
    """Refuses values that no dataset can be built with.

    Raises:
      ValueError: an option is out of its range; the message names it.
    """
    checks = {
      'region': (self.region in REGIONS, f'one of {", ".join(REGIONS)}'),
      'clip_length': (self.clip_length >= 1, 'at least 1 frame'),
      'fraction': (0 < self.fraction <= 1, 'above 0 and at most 1'),
      'seed': (self.seed >= 0, 'at least 0'),
      'face_margin': (self.face_margin > 0, 'above 0'),
      'face_window': (self.face_window >= 1, 'at least 1 frame'),
      'face_shift': (0 <= self.face_shift < 0.5, 'at least 0 and below 0.5'),
      'region_margin': (self.region_margin >= 1, 'at least 1'),
      'box_window': (self.box_window >= 1, 'at least 1 frame'),
      'box_shift': (0 <= self.box_shift < 0.5, 'at least 0 and below 0.5'),
      'box_scale': (0 <= self.box_scale < 1, 'at least 0 and below 1'),
      'frame_side': (self.frame_side >= 16, 'at least 16 pixels'),
      'jpeg_quality': (95 <= self.jpeg_quality <= 100, 'from 95 to 100'),
      'camera_motion': (0 <= self.camera_motion <= 1, 'from 0 to 1'),
    }
    for name, (holds, legal) in checks.items():
      if not holds:
        raise ValueError(f'{name} is {getattr(self, name)!r}; it must be {legal}.')
    if self.others and self.region != 'frames':
      raise ValueError(f'Boxes of unannotated faces are for whole frames, not for {self.region!r}.')

  def recorded(self) -> dict[str, Any]:
    """The options as a dataset's metadata keeps them: of the boxes of others, only a digest."""
    text = json.dumps(self.others, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest() if self.others else ''
    return dataclasses.asdict(dataclasses.replace(self, others={})) | {'others': digest}
