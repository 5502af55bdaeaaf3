"""`python -m mfdsl` is the command line."""

from mfdsl.cli import main

main()
