"""Runs as what a reader takes away: one page of HTML, and the papers to cite."""
