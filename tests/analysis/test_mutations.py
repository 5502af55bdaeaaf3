"""The layers of tests see mistakes that are put into the engine."""

import pytest

from tests.analysis.mutations import MUTATIONS, killer


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MUTATIONS)
def test_mistakes_are_seen(name: str) -> None:
    assert killer(name) is not None
