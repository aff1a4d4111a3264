"""From a person's file to files: sources, sound, outputs, resumption, the report.

`job.run` is the job 'extract' of `run.py`. Nothing here decides about a pixel: masks come from
`fmx.labelling` or `fmx.baselines`, numbers of how still they are from `fmx.evaluation`. The room
imports these and the modules beside the rooms, never `fmx.train`; only `run.py` imports it.
"""
