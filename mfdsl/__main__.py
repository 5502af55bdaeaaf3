"""The `mfdsl` script and `python -m mfdsl`."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C while it is still loading ends it quietly too."""
    try:
        from mfdsl.cli import run
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
