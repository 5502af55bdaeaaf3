"""Generated mean fields: a generator stands for the law of a population that no table can hold."""
