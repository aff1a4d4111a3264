"""Training: optimiser, one step, the loop, what is kept at its end.

`loop.train` is what others use. `step` and `optimizer` import nothing of ours; the rest may import
`fmx.data`, `fmx.models`, `fmx.evaluation` and the modules beside the rooms, never `fmx.extraction`.
"""
