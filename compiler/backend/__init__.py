"""From model to text: the torch module."""
