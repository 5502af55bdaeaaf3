"""Options of the test run."""

import os

import pytest

# Tests are small and run side by side: more threads would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write the renderings of tests/golden/bad instead of comparing them",
    )
