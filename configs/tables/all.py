"""Every table and figure of the paper's section 4: each network is trained once, then the report.

  for region in primary eyes mouth; do
    python -m tfds_300vw --config=$region --manual_dir=300vw --data_dir=data
  done
  python run.py --config=configs/tables/all.py --workdir=runs/tables --config.data_dir=data

--config.scale=small trains small networks for a short while, on a CPU. The report is
runs/tables/results/index.html, written anew after each network; interrupted, the same command goes
on. A single table's configuration with the same workdir shares the networks. docs/tables.md.
"""

from ml_collections import ConfigDict

from configs.tables import (
  figure5,
  figure6,
  networks,
  table2,
  table3,
  table4,
  table5,
  table6,
  table7,
  table8,
  table9,
)

PARTS = (table2, table3, table4, table5, table6, table7, table8, table9, figure5, figure6)


def get_config() -> ConfigDict:
  return networks.plan(*(part.TABLE for part in PARTS))
