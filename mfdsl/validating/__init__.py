"""Checks of emitted simulators against what is claimed of their games."""
