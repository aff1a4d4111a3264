"""fmx: face masks in video.

from fmx import FaceMaskExtractor

for masks in FaceMaskExtractor()(frames):
  print(masks.index, masks.faces, masks.labels.shape)
"""

from typing import Any

__all__ = ['FaceMaskExtractor']
__version__ = '0.1.0'


def __getattr__(name: str) -> Any:
  """Loads the extractor when it is asked for: it needs jax, which not everyone who is here does."""
  if name == 'FaceMaskExtractor':
    from fmx.labelling.extractor import FaceMaskExtractor

    return FaceMaskExtractor
  raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
