"""Solvers whose policies or values are networks, on laws that are pushed forward exactly."""
