"""One page for each diagnostic code, shown by `mfdsl explain`."""
