"""Independent statements of shipped games, by plain loops."""
