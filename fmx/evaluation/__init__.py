"""Evaluation: counts of pixels, the paper's protocol, significance, tables."""
