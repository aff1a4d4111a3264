"""The job 'benchmark' of `run.py`."""

from __future__ import annotations

import dataclasses
import json
import pathlib

import jax
from ml_collections import ConfigDict

from fmx.benchmark import machine, peers, report, rows, scaling, tracing
from fmx.data.prepared import open_dataset
from fmx.evaluation import tables
from tfds_300vw import placing

PROFILE = 'profile'  # Folder of the traces.


def run(config: ConfigDict, folder: pathlib.Path) -> None:
  """Measures, prints the tables and writes them to the folder.

  `benchmark.json` has the numbers, `benchmark.md` the tables and `benchmark.png` the roofline.

  Args:
    config: As `configs/benchmark.py`.
    folder: Created if it is not there.

  Raises:
    ValueError: the configuration does not fit the devices, or there is no earlier benchmark where
      it names one.
  """
  options = config.benchmark
  earlier = report.read(options.against) if options.against else None
  if options.peers:
    peers.check(config)
  devices = jax.devices()
  dtype = 'float32' if devices[0].platform == 'cpu' else 'bfloat16'
  folder.mkdir(parents=True, exist_ok=True)
  best = machine.measure(dtype)
  measured, costs = [], {}
  for name in config.stages:
    for row, call in rows.of_stage(config, name):
      measured.append(row)
      if options.profile:
        at = folder / PROFILE / row.what.replace(', ', '_').replace(': ', '_').replace(' ', '_')
        costs[row.what] = tracing.table(tracing.trace(call, at))
  try:
    dataset = open_dataset(config.data.dataset, config.data.data_dir)
  except FileNotFoundError as error:
    print(f'The input pipeline is not timed. {error}')
  else:
    measured += rows.of_input(config, dataset)
  about = {
    'jax': jax.__version__,
    'image_size': config.data.image_size,
    'model': config.model.to_dict(),
  }
  found = report.as_json(measured, best, about)
  parts = {'': report.table(measured, best, earlier)}
  parts |= {f'Costliest operations, {what}:': table for what, table in costs.items()}
  if options.devices:
    scaled = scaling.measure(config, options.devices)
    found['scaling'] = [dataclasses.asdict(row) for row in scaled]
    parts['Training step by number of devices:'] = scaling.table(scaled)
  if options.peers:
    compared = list(peers.measure(config))
    found['peers'] = [dataclasses.asdict(row) for row in compared]
    parts['In other libraries, in turns:'] = peers.table(compared)
  placing.write(folder / report.FILE, json.dumps(found, indent=2) + '\n')
  head = (
    f'{best.number} x {best.device}, {best.flops / 1e9:.0f} GFLOP/s in {best.dtype} products, '
    f'{best.bandwidth / 1e9:.1f} GB/s, {config.data.image_size} px, jax {jax.__version__}'
  )
  print(head)
  markdown = [f'{head}\n']
  for title, table in parts.items():
    print(f'{title}\n{tables.as_text(table)}')
    markdown.append(
      f'{title}\n\n{tables.as_markdown(table)}' if title else tables.as_markdown(table)
    )
  placing.write(folder / 'benchmark.md', '\n'.join(markdown))
  if not report.draw(measured, best, folder / 'benchmark.png'):
    print("The roofline is not drawn: it needs pip install 'fmx[plots]'.")
