"""What runs the networks; and the networks as programs that run without fmx.

`choice` says which engine is taken and hands out networks that are ready to run on it: `xla`, or
`graphs` on one of the `runtimes`, ONNX Runtime and OpenVINO. `programs` says what is run of each
network: the one definition in `fmx.models` with its weights, batch norm folded. `onnx_writer`
writes such a program for ONNX, `exporting` puts programs into a folder for others.
The room imports `fmx.models`, `fmx.weights` and `fmx.caching`.
"""
