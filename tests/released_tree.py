"""A small tree as 300VW-Mask was released, and the dataset made of it."""

NAME = 'the300vw_mask/released_primary'
# Frame numbers of each clip; a gap starts a new clip.
CLIPS = {
  'train': {'001': [range(1, 13), range(20, 23)], '005': [range(3, 13)], '006': [range(1, 12)]},
  'validation': {'002': [range(1, 8)]},
  'test': {'003': [range(5, 16)], '004': [range(1, 4)]},
}
