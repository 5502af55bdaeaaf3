"""Permutation symmetry of a game, from the strongest statement to the weakest.

`provenance` proves it for every number of agents from the way expressions are built, `generators`
decides it at one number of players, `types` finds which players can be exchanged when not all can.
"""
