"""Extracts the masks of many videos, on this machine or on those of a Ray cluster.

  python run.py --config=configs/extract_many.py --workdir=out --config.videos='in/*.mp4'

Needs the extra `cluster`. The videos are a folder, a glob, or a text file (.txt) with one a line:
paths, or addresses that fsspec knows, such as s3://bucket/in/*.mp4. `--config.cluster=ADDRESS`
joins a cluster; docs/scale.md says how to start one, and what a million hours of video cost.

The workdir gets for each video a folder as `configs/extract.py` makes it, and `manifest.csv`: a row
for each, with what came out or why it failed. A long video is cut at scene changes into shots that
are done side by side; its masks are those of the whole. The same command goes on where it was
interrupted, and tries again what failed.
"""

from ml_collections import ConfigDict

from configs import primary


def get_config() -> ConfigDict:
  config = primary.get_config()
  config.job = 'extract_many'
  return config
