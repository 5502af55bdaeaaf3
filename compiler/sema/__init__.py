"""From syntax tree to model: names, types, probabilities, domains."""
