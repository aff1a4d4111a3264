"""From a prepared dataset, or from nothing at all, to batches of frames and labels."""
