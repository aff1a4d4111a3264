"""fmx: face masks in video."""

__version__ = '0.1.0'
