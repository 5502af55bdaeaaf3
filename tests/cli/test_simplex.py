"""Grids of laws on the command line."""

from inspect import signature
from pathlib import Path
from typing import Any

import numpy
import pytest

from mfdsl import load, simplex_layout
from mfdsl.cli.simplex import simplex as verb
from mfdsl.errors import UsageError
from mfdsl.runtime.solvers.simplex_grid import equilibrium
from mfdsl.simplex import control_on_simplex, solve_on_simplex

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


def test_what_it_costs_is_said_before(mfdsl: Any) -> None:
    outcome = mfdsl("simplex", "m3fg_sis", *SHORT, "--iterations", 2)
    first = outcome.out.splitlines()[0]
    assert first.startswith("9 laws: at most ") and " MiB, all iterations about " in first
    quiet = mfdsl("simplex", "m3fg_sis", *SHORT, "--iterations", 2, "--quiet")
    assert "MiB" not in quiet.out


def test_a_game_is_laid_out_once_for_its_cost_and_its_tables(
    mfdsl: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    laid, observed = [], simplex_layout.observed
    monkeypatch.setattr(simplex_layout, "observed", lambda m: laid.append(m.name) or observed(m))
    for method in ("omd", "control"):
        assert mfdsl("simplex", "m3fg_sis", *SHORT, "--method", method, "--iterations", 1).code == 0
    assert len(laid) == 2


def test_what_the_machine_cannot_hold_is_refused_with_what_it_needs(
    mfdsl: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simplex_layout, "machine_memory", lambda: 1 << 30)
    outcome = mfdsl("simplex", "m3fg_sis", "--points", 1_000_000)
    assert outcome.code == 2 and "1,000,001 laws" in outcome.err
    assert "there are 1.0 GiB" in outcome.err and "fewer points than 1,000,000" in outcome.err
    game = load("m3fg_sis")
    with pytest.raises(UsageError, match=r"there are 1\.0 GiB"):
        solve_on_simplex(game, points=1_000_000)
    with pytest.raises(UsageError, match=r"there are 1\.0 GiB"):
        control_on_simplex(game, points=1_000_000)


def test_python_and_the_command_line_have_the_same_defaults() -> None:
    typed, there = signature(verb).parameters, signature(solve_on_simplex).parameters
    core = signature(equilibrium).parameters
    for name, option in (("iterations", "iterations"), ("rate", "rate"), ("tolerance", "tol")):
        assert typed[option].default == there[name].default == core[name].default
    assert typed["method"].default.value == there["method"].default == core["method"].default
    for function in (solve_on_simplex, control_on_simplex):
        assert typed["points"].default == signature(function).parameters["points"].default
