"""From a person's video to files."""
