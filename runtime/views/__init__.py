"""Exact and sampled views of a program."""
