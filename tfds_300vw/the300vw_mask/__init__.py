"""The TFDS builder of 300VW-Mask, in TFDS's folder convention."""
