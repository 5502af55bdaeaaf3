"""`mfdsl lsp` without its extra: what to install is said, nothing breaks."""

import sys

import pytest

from mfdsl.cli.failure import USAGE
from tests.cli.conftest import Command, mfdsl as mfdsl


def test_the_extra_is_named_where_it_is_missing(
    mfdsl: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "mfdsl.lsp.server", raising=False)
    monkeypatch.setitem(sys.modules, "lsprotocol", None)
    outcome = mfdsl("lsp")
    assert outcome.code == USAGE and outcome.out == ""
    assert "pip install 'mfdsl[lsp]'" in outcome.err and "`lsprotocol`" in outcome.err
