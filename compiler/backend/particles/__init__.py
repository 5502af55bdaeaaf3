"""Modules of agents: the simulator of any game as one readable torch module."""
