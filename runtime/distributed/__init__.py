"""One solve over several processes: the games of a batch, or the states of one game, are shared."""
