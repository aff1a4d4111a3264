"""A clip of a real face that anyone may show: what `fmx --demo` extracts masks from.

Needs only `tfds_300vw`.
"""
