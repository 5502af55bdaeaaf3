"""Certificates about the structure of a game: what theorems on equilibria and solvers rest on."""

from mfdsl.compiler.analysis.structure.certificates import structure_certificates

__all__ = ["structure_certificates"]
