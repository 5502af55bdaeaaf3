"""The `mfdsl` script and `python -m mfdsl`."""

import gc
import sys

LOADED = 5000  # new objects between looks for cycles; 700 costs a fifth of the time of loading


def main() -> None:
    """Run the command line; Ctrl-C while it is still loading ends it quietly too."""
    gc.set_threshold(LOADED, *gc.get_threshold()[1:])
    try:
        from mfdsl.cli import run
    except KeyboardInterrupt:
        sys.exit(130)
    code = run(sys.argv[1:])
    # Before it ends the interpreter looks for cycles in all that is there: 0.4 s with torch loaded.
    gc.freeze()
    sys.exit(code)


if __name__ == "__main__":
    main()
