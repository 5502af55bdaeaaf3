"""Solvers, one algorithm in each file."""
