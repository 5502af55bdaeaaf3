"""Logit equilibria with their slopes in parameters, and fits of parameters to observed flows."""
