"""Certificates about the structure of a game: what theorems on equilibria and solvers rest on."""
