"""Many videos on many machines: the job 'extract_many' of `run.py`.

`job` lists the videos and says in the end what became of them; `schedule` decides what is done
next, `pool` and `ray_pool` who does it, `worker` does it, with `fmx.extraction`. `storage` knows
addresses, `manifest` is the table of all videos. Only `ray_pool` imports ray, only `storage`
fsspec. The room imports `fmx.extraction` and the modules beside the rooms; only `run.py` imports
it.
"""
