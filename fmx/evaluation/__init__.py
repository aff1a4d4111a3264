"""Evaluation: counts of pixels, the paper's protocol, significance, tables.

`protocol` scores frames and sums up; `run` does so for one model over a split, `systems` for all
that a folder of weights makes together; `temporal` says how still masks are. The room imports
`fmx.data`, `fmx.labelling`, `fmx.baselines` and what they are made of; `fmx.train` and
`fmx.extraction` import it.
"""
