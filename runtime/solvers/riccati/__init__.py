"""Linear-quadratic games and teams solved exactly, by Riccati equations."""
