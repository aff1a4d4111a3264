"""Puts networks with their weights into a folder for programs that know nothing of fmx.

  python run.py --config=configs/export.py --workdir=exported --config.format=onnx

`--config.format=stablehlo` is for JAX and other compilers of StableHLO, 'onnx' for ONNX Runtime and
others. The networks are those that ship with fmx, or others with --config.weights=FOLDER. The
workdir gets a file a network, and README.md, which says what goes in and what comes out.
"""

from ml_collections import ConfigDict

from configs import primary


def get_config() -> ConfigDict:
  config = primary.get_config()
  config.job = 'export'
  return config
