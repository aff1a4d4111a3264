"""The 300VW-Mask dataset for TFDS: clips of faces with a class id for every pixel."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import io
import itertools
import pathlib
import shutil
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core import example_serializer
from tensorflow_datasets.core import splits as splits_lib

from tfds_300vw import (
  boxes,
  clips,
  face_mask,
  placing,
  released,
  stills,
  videos,
  whole_frames,
  workers,
)
from tfds_300vw.options import ClipOptions

CLIPS_PER_SHARD = 64  # About 100 MB of faces.
SOURCES = {'videos': videos, 'released': released, 'stills': stills}
# Where a source or a region has its own defaults; a region's go before a source's.
OPTIONS: dict[str, dict[str, Any]] = {
  'stills': {'clip_length': stills.CLIP_LENGTH},
  'eye': {'region_margin': boxes.EYE_MARGIN},
  'frames': {'clip_length': whole_frames.CLIP_LENGTH},
}


@dataclasses.dataclass(kw_only=True)
class MaskConfig(tfds.core.BuilderConfig):
  """A way of making the dataset.

  Attributes:
    source: 'videos' for 300VW itself or clips in its layout, 'released' for the authors' zip,
      'stills' for still images.
    options: How clips are chosen and cut.
  """

  source: str = 'videos'
  options: ClipOptions = dataclasses.field(default_factory=ClipOptions)


def _config(name: str, description: str) -> MaskConfig:
  source, _, region = name.rpartition('_')
  return MaskConfig(
    name=name,
    description=description,
    source=source or 'videos',
    options=ClipOptions(region=region, **OPTIONS.get(source, {}) | OPTIONS.get(region, {})),
  )


class Builder(tfds.core.GeneratorBasedBuilder):
  """Builds 300VW-Mask out of 300VW's videos and landmarks, or out of the authors' release."""

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'First version.'}
  BUILDER_CONFIGS = [
    _config(
      'primary', 'Whole faces from 300VW: background, facial skin, eyes, outer and inner mouth.'
    ),
    _config('eyes', 'Boxes around both eyes from 300VW.'),
    _config('mouth', 'Boxes around the mouth from 300VW: outer and inner mouth.'),
    _config('released_primary', "Whole faces from the authors' released zip."),
    _config('released_eyes', "Boxes around both eyes from the authors' released zip."),
    _config('released_mouth', "Boxes around the mouth from the authors' released zip."),
    _config('stills_primary', 'Whole faces from still images that a virtual camera films.'),
    _config('stills_eyes', 'Boxes around both eyes from still images.'),
    _config('stills_mouth', 'Boxes around the mouth from still images.'),
    _config('eye', 'Boxes around each eye by itself from 300VW.'),
    _config('stills_eye', 'Boxes around each eye by itself from still images.'),
    _config('frames', 'Whole frames from 300VW at a reduced size, with the landmarks of the face.'),
    _config('stills_frames', 'Whole photographs with the landmarks of all their faces.'),
  ]
  MANUAL_DOWNLOAD_INSTRUCTIONS = f"""\
The sources need a licence from their owners, so none is downloaded for you.

`primary`, `eyes`, `eye`, `mouth` and `frames` are made from 300VW: ask for it at
https://ibug.doc.ic.ac.uk/resources/300-VW/ and unpack it so that the manual directory is

{videos.EXPECTED_TREE}

Your own videos work too if they are laid out like that.

`released_primary`, `released_eyes` and `released_mouth` are made from the 300VW-Mask zip that the
paper's authors give out on request. Unpack it so that the manual directory is

{released.EXPECTED_TREE}

`stills_primary`, `stills_eyes`, `stills_eye`, `stills_mouth` and `stills_frames` are made from
still images with 68 landmarks, for instance those of 300-W,
https://ibug.doc.ic.ac.uk/resources/facial-point-annotations/. Unpack them so that the manual
directory is

{stills.EXPECTED_TREE}

`stills_frames` wants whole photographs.
"""

  def __init__(
    self,
    *,
    num_workers: int = 1,
    left_out: list[workers.LeftOut] | None = None,
    file_format: str | tfds.core.FileFormat | None = None,
    **kwargs: Any,
  ):
    """Makes a builder; nothing is read yet.

    Args:
      num_workers: Processes that work on videos at once. Does not change the result.
      left_out: Receives the videos that cannot be used. None stops at the first of them instead.
      file_format: Of the prepared files. None means TFDS's own default where TensorFlow is
        installed, and array_record, which needs no TensorFlow, where it is not.
      **kwargs: Of `tfds.core.DatasetBuilder`: `data_dir`, `config`, `version`.
    """
    self._num_workers = num_workers
    self._left_out = left_out
    if file_format is None and importlib.util.find_spec('tensorflow') is None:
      file_format = 'array_record'
    super().__init__(file_format=file_format, **kwargs)

  def _info(self) -> tfds.core.DatasetInfo:
    """The features of one clip; `T` frames whose sizes may differ."""
    options = self.builder_config.options
    whole = options.region == 'frames'
    return self.dataset_info_from_configs(
      features=tfds.features.FeaturesDict(
        (_whole_frames() if whole else _crops(options.region))
        | {
          'frame_numbers': tfds.features.Tensor(shape=(None,), dtype=np.int32),
          'frame_rate': tfds.features.Scalar(dtype=np.float32),
          'video_id': tfds.features.Text(),
        }
      ),
      homepage='https://ibug.doc.ic.ac.uk/resources/300-VW/',
      disable_shuffling=True,  # Clips lie in the order of their videos and frames.
      metadata=tfds.core.MetadataDict(
        source=self.builder_config.source,
        options=options.recorded(),
        # Of whole frames, those that their landmarks can draw.
        class_names=list(face_mask.class_names('primary' if whole else options.region)),
      ),
    )

  def _split_generators(
    self, dl_manager: tfds.download.DownloadManager
  ) -> dict[str, Iterator[tuple[str, workers.Example]]]:
    """One generator for each split that has a video."""
    found = SOURCES[self.builder_config.source].find(
      pathlib.Path(dl_manager.manual_dir), self.builder_config.options
    )
    self.info.metadata['fingerprint'] = fingerprint(found)
    if self._left_out is None:
      for video in found:  # Before the work of hours, not after it.
        video.check_files()
    return {
      split: self._generate_examples([video for video in found if video.split == split], split)
      for split in clips.SPLITS
      if any(video.split == split for video in found)
    }

  def _generate_examples(
    self, found: Sequence[workers.Video], split: str
  ) -> Iterator[tuple[str, workers.Example]]:
    """Yields the clips of one split in the order of videos and frames."""
    spool = pathlib.Path(self.data_dir) / f'spool_{split}'
    spool.mkdir(parents=True)
    for key, example in workers.produce(
      found, spool, num_workers=self._num_workers, left_out=self._left_out, description=split
    ):
      files = {'image': example.pop('images')}
      if 'labels' in example:
        files['labels'] = example.pop('labels')
      frames = [
        {name: io.BytesIO(data) for name, data in zip(files, of_frame)}
        for of_frame in zip(*files.values(), strict=True)
      ]
      yield key, example | {'frames': frames}
    shutil.rmtree(spool)

  def _generate_splits(
    self,
    dl_manager: tfds.download.DownloadManager,
    download_config: tfds.download.DownloadConfig,
  ) -> list[splits_lib.SplitInfo]:
    """Writes every split, clip by clip.

    TFDS's own writer keeps up to 1 GB of a split in memory to shuffle it, and beyond that needs
    TensorFlow. Here the clips keep their order and go straight into their shards.
    """
    splits = [
      self._write_split(split, generator, download_config.max_examples_per_split)
      for split, generator in self._split_generators(dl_manager).items()
    ]
    if self._left_out is not None:
      self.info.metadata['left_out'] = [dataclasses.asdict(video) for video in self._left_out]
    written = [split for split in splits if split.num_examples]
    if not written:
      raise ValueError('Not a single clip could be made, so there is no dataset.')
    return written

  def _write_split(
    self, split: str, generator: Iterator[tuple[str, workers.Example]], limit: int | None
  ) -> splits_lib.SplitInfo:
    """Writes the first `limit` clips of a split in shards of CLIPS_PER_SHARD."""
    features = self.info.features
    serializer = example_serializer.ExampleSerializer(features.get_serialized_info())
    template = self._get_filename_template(split_name=split)
    record_sizes: list[int] = []  # Bytes.
    # Readers need these before they read a clip.
    clip_lengths: list[int] = []  # Frames.
    clip_starts: list[tuple[str, int]] = []  # Video and number of the first frame.

    def serialize() -> Iterator[tuple[str, bytes]]:
      for key, example in itertools.islice(generator, limit):
        # Protocol buffers order their maps anew in each process unless told otherwise.
        encoded = serializer.get_tf_example(features.encode_example(example))
        record = encoded.SerializeToString(deterministic=True)
        record_sizes.append(len(record))
        clip_lengths.append(len(example['frame_numbers']))
        clip_starts.append((example['video_id'], int(example['frame_numbers'][0])))
        yield key, record

    parts: list[pathlib.Path] = []
    shard_lengths: list[int] = []
    records = serialize()
    while (first := next(records, None)) is not None:
      rest = itertools.islice(records, CLIPS_PER_SHARD - 1)
      parts.append(pathlib.Path(self.data_dir) / f'{split}_{len(parts):05d}.part')
      self._example_writer().write(parts[-1], itertools.chain([first], rest))
      shard_lengths.append(len(record_sizes) - sum(shard_lengths))
    for index, part in enumerate(parts):  # Their names hold their number, known only now.
      path = template.sharded_filepath(shard_index=index, num_shards=len(parts))
      placing.place(part, pathlib.Path(path))
    self.info.metadata.setdefault('clip_lengths', {})[split] = clip_lengths
    self.info.metadata.setdefault('clip_starts', {})[split] = clip_starts
    return splits_lib.SplitInfo(
      name=split,
      shard_lengths=shard_lengths,
      num_bytes=sum(record_sizes),
      filename_template=template,
    )


def _crops(region: str) -> dict[str, tfds.features.FeatureConnector]:
  """The features of clips that are cut out around a face or a part of it."""
  several = len(face_mask.REGIONS[region].parts) > 1
  return ({'part': tfds.features.Text()} if several else {}) | {
    'frames': tfds.features.Dataset(
      {
        'image': tfds.features.Image(shape=(None, None, 3), encoding_format='jpeg'),
        'labels': tfds.features.Image(shape=(None, None, 1), encoding_format='png'),
      }
    ),
    'landmarks': tfds.features.Tensor(shape=(None, 68, 2), dtype=np.float32),
    'boxes': tfds.features.Tensor(shape=(None, 4), dtype=np.int32),
  }


def _whole_frames() -> dict[str, tfds.features.FeatureConnector]:
  """The features of clips of whole frames: T frames, up to F faces, G other faces."""
  return {
    'frames': tfds.features.Dataset(
      {'image': tfds.features.Image(shape=(None, None, 3), encoding_format='jpeg')}
    ),
    # TFDS wants an encoding where two lengths are open; BYTES cannot be empty.
    'landmarks': tfds.features.Tensor(
      shape=(None, None, 68, 2), dtype=np.float32, encoding=tfds.features.Encoding.ZLIB
    ),
    'others': tfds.features.Tensor(
      shape=(None, None, 4), dtype=np.float32, encoding=tfds.features.Encoding.ZLIB
    ),
  }


def fingerprint(found: Sequence[workers.Video]) -> str:
  """Tells one collection of source files from another by their names and sizes."""
  listing = '\n'.join(
    f'{video.video_id} {path.name} {path.stat().st_size}' for video in found for path in video.files
  )
  return hashlib.sha256(listing.encode()).hexdigest()
