"""Programs in, solutions out. Nothing in this package imports lark."""
