"""Games in the words of other people's tools; docstrings of the modules name their extras."""
