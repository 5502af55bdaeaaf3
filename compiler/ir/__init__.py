"""The model: a typed, hash-consed expression graph with players, and its reference interpreter."""
