"""Proofs: what a certificate rests on, and checking it again without a search."""
