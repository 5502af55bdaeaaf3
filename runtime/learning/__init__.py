"""Policies that are learned from agents: networks, rollouts and the solvers that train them."""
