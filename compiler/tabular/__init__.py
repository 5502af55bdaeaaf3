"""Reductions: any game with finite tables becomes a model of one population with finite scalars."""
