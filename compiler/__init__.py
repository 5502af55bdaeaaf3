"""Text in, model and code out. Nothing in this package imports torch."""
