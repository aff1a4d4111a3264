"""Training: optimiser, one step, the loop."""
