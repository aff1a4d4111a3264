"""Extracts the masks of the face in a video, or in a folder of frames.

  python run.py --config=configs/extract.py --workdir=out --config.video=clip.mp4

The networks are those that ship with fmx, or others with --config.weights=FOLDER. Without --workdir
the masks of `clip.mp4` go to `clip_masks` in the current folder.

The workdir gets `overlay.mp4` (the video under the class colours, with its sound), `masks/` (a PNG
of class ids for each frame), `measurements.csv` (a row for each face of a frame: areas, how far
mouth and eyes are open, blinks), `summary.json` (boxes, areas and confidence of every frame,
totals, temporal quality, speed) and, with --config.contact_sheet and --config.plot, pictures of
these. --config.extraction.outputs chooses, and has more. The same command goes on where it was
interrupted.
"""

from ml_collections import ConfigDict

from configs import primary


def get_config() -> ConfigDict:
  config = primary.get_config()
  config.job = 'extract'
  return config
