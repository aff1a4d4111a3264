"""Where faces are: frames and masks in, boxes out.

`detection` finds faces in one frame, `tracking` follows them from window to window by their own
masks, which `mask_shape` measures; `cuts` says where a new shot begins. Boxes leave the room, class
ids come in: it never asks for a label itself, so it imports no other room but `fmx.models` and
`fmx.data.transforms`, and beside the rooms only `fmx.weights`.
"""
