"""What the pixels of a face are."""
