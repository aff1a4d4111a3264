"""Networks: flax.linen modules, pure functions of their variables.

`segmenter` builds them from plain arguments, `pretrained` puts ImageNet weights in. Of ours the
room imports nothing but itself, and of libraries only jax, flax, optax, numpy and h5py.
"""
