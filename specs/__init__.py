"""Games, each one a `.mfg` file with its source and known facts."""
