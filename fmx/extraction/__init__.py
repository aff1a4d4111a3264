"""From a person's video to a mask per frame."""
