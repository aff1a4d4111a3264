"""Drawn faces with exact landmarks, for those who have no data.

`videos` has what others use (`draw_video`, `write_dataset`, `Difficulty`), `python -m fmx.drawing`
writes videos in the layout of 300VW, and the other modules each draw one thing: a head, its skin,
its hair, what hides it, what the camera does to it. numpy and OpenCV only: of ours the room imports
nothing but itself and `tfds_300vw`.
"""
