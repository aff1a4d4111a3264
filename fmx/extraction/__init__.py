"""From a person's video to a mask per frame.

from fmx.extraction import FaceMaskExtractor

for masks in FaceMaskExtractor('runs/faces')(frames):
  print(masks.index, masks.faces, masks.labels.shape)
"""

from typing import Any

__all__ = ['FaceMaskExtractor']


def __getattr__(name: str) -> Any:
  """Loads the extractor when it is asked for: it needs jax, which not every module here does."""
  if name == 'FaceMaskExtractor':
    from fmx.extraction.extractor import FaceMaskExtractor

    return FaceMaskExtractor
  raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
