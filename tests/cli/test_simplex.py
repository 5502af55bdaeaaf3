"""Grids of laws on the command line."""

from pathlib import Path
from typing import Any

import numpy
import pytest

SHORT = ("--set", "T=4", "--points", "8")


def test_an_equilibrium_on_a_grid_says_what_everybody_gains(mfdsl: Any, tmp_path: Path) -> None:
    arguments = ("simplex", "m3fg_sis", *SHORT, "--iterations", 10, "--out", tmp_path)
    outcome = mfdsl(*arguments)
    assert outcome.code == 0
    assert "9 laws" in outcome.out and "government earns" in outcome.out
    found = mfdsl(*arguments, "--json").json
    assert found["exploitability"] == min(found["history"])
    assert found["major"]["name"] == "government"
    gains = found["member"]["gain"] + found["major"]["gain"]
    assert found["exploitability"] == pytest.approx(gains)
    with numpy.load(found["file"]) as arrays:
        assert arrays["member"].shape == (4, 2, 9, 2, 2)
        assert arrays["variables"].tolist() == ["government.season"]
        assert numpy.allclose(arrays["major"].sum(-1), 1)


def test_control_has_a_value(mfdsl: Any) -> None:
    found = mfdsl("simplex", "m3fg_advertisement", *SHORT, "--method", "control", "--json").json
    game = mfdsl("simplex", "m3fg_advertisement", *SHORT, "--json").json
    assert found["value"] >= game["member"]["value"] + game["major"]["value"] - 0.05


def test_games_without_such_a_grid_are_refused(mfdsl: Any) -> None:
    outcome = mfdsl("simplex", "left_right")
    assert outcome.code != 0 and "beside one major" in outcome.err
