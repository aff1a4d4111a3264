"""The parts that draw `fmx.data.synthetic`."""
