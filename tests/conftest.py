"""Options of the test run."""

import gc
import os

import pytest

# Tests are small and run side by side: more threads would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
gc.set_threshold(100_000)  # while modules and tests are loaded there are no cycles to be found


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write the renderings of tests/golden/bad instead of comparing them",
    )


def pytest_collection_finish() -> None:
    """Look for cycles less often, and not among modules and tests, which stay: a tenth of the time.

    Memory that cycles hold is still found, after at most a million more objects.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)
