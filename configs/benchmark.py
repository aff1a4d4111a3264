"""Times the steps of both stages, the prediction and the input pipeline; needs no data.

  python run.py --config=configs/benchmark.py --workdir=runs/benchmark

The input pipeline is timed too if `--config.data.data_dir` holds the dataset.
--config.benchmark.against=earlier/benchmark.json compares, .profile=True says where the time goes,
.devices=1,2,4 how training gets faster with devices, .peers=True how fast the same FCN is in
PyTorch, ONNX Runtime and OpenVINO (extras `torch` and `cpu`). docs/speed.md says how to read it.
"""

from ml_collections import ConfigDict

from configs import primary


def get_config() -> ConfigDict:
  config = primary.get_config()
  config.job = 'benchmark'
  return config
