"""Where faces are: frames in, poses and boxes out."""
