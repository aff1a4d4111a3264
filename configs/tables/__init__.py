"""The tables and figures of the paper: each file lists the networks of one, all.py those of all."""
