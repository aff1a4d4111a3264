"""The parts that draw `fmx.drawing.videos`."""
