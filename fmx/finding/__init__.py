"""Where faces are: frames in, poses out, and whether masks agree with them.

`looking` asks the finder, the `follower` knows whose each found face is (`association`, by place
and by `appearance`) and gives every frame a smoothed pose (`motion`); `cuts` says where a new shot
begins and `verification` what masks show. Class ids come in, but the room never asks for a label
itself.
"""
