"""Configurations: primary.py assigns every option once; the others override a few lines of it."""
