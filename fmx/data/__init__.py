"""From a prepared dataset to batches of frames and labels.

`prepared` opens what `tfds_300vw` wrote, `pipeline` makes batches for training and `eval_batches`
those for evaluation, `transforms` has the sizes and the augmentation. Worker processes run what is
here, and they must not touch a device: no jax. Of ours the room imports nothing but itself and
`tfds_300vw`.
"""
