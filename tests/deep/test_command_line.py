"""Solvers with networks from the command line: three specs each, resumed, interrupted, refused."""

from typing import Any

import pytest

from mfdsl.runtime.solvers.networks.fitting import Networks
from mfdsl.runtime.solvers.networks.policy_gradient import StructuralPolicyGradient
from tests.cli.conftest import mfdsl as mfdsl

GRID = ("bins=7", "low.x=-4", "high.x=4", "low.a=-2", "high.a=2")
SPECS: dict[str, dict[str, tuple[str, ...]]] = {
    "deep_munchausen": {"sis": ("temperature=4",), "crowd_1d": (), "lq_game": GRID},
    "average_fp": {"sis": ("reservoir=1000",), "crowd_1d": (), "lq_game": GRID},
    "structural_pg": {"sis": (), "mfax_linear_quadratic": ("memory=4",), "lq_game": GRID},
    "master": {
        "sis": ("number=4",),
        "predator_prey": ("number=3",),
        "lq_game": (*GRID, "number=2"),
    },
}
FEW = {"hidden": 8, "updates": 2}


def flags_of(solver: str, spec: str) -> list[str]:
    options = [f"{name}={value}" for name, value in FEW.items()]
    given = [part for o in [*options, *SPECS[solver][spec]] for part in ("--opt", o)]
    return [spec, "--solver", solver, *given]


@pytest.mark.parametrize(("solver", "spec"), [(s, g) for s in SPECS for g in SPECS[s]])
def test_runs_are_resumed_simulated_and_scored(mfdsl: Any, solver: str, spec: str) -> None:
    flags = flags_of(solver, spec)
    whole = mfdsl("solve", *flags, "--iterations", 4, "--json")
    assert whole.code == 0, whole.err
    half = mfdsl("solve", *flags, "--iterations", 2, "--json")
    again = mfdsl("solve", "--resume", half.json["run"], "--iterations", 4, "--json")
    assert again.code == 0, again.err
    assert again.json["exploitability"] == whole.json["exploitability"]
    gaps = [record["exploitability"] for record in whole.json["history"]]
    assert len(gaps) == 5 and len(set(gaps)) == 5
    played = mfdsl("simulate", "--policy", whole.json["run"], "--agents", 20, "--json")
    assert played.code == 0, played.err


def test_ctrl_c_saves_what_there_is(mfdsl: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = flags_of("structural_pg", "sis")
    whole = mfdsl("solve", *flags, "--iterations", 5, "--json")
    step = StructuralPolicyGradient.step

    def pressed(self: Any, evaluation: Any, state: Networks) -> Networks:
        if state.iteration == 2:
            raise KeyboardInterrupt
        return step(self, evaluation, state)

    monkeypatch.setattr(StructuralPolicyGradient, "step", pressed)
    stopped = mfdsl("solve", *flags, "--iterations", 5, "--json")
    assert stopped.code == 130 and stopped.json["iterations"] == 2
    monkeypatch.setattr(StructuralPolicyGradient, "step", step)
    rest = mfdsl("solve", "--resume", stopped.json["run"], "--json")
    assert rest.code == 0, rest.err
    assert rest.json["exploitability"] == whole.json["exploitability"]


def test_runs_are_validated(mfdsl: Any) -> None:
    run = mfdsl("solve", *flags_of("deep_munchausen", "crowd_1d"), "--iterations", 2, "--json")
    outcome = mfdsl("validate", run.json["run"], "--agents", "20,40", "--json")
    assert outcome.code == 0, outcome.err + outcome.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sis", "--solver", "structural_pg", "--opt", "memory=3"), "`memory` is of a random"),
        (("stationary_sis", "--solver", "master"), "has a stationary horizon"),
        (("sis", "--solver", "deep_munchausen", "--opt", "layers=0"), "option `layers = 0`"),
        (("sis", "--solver", "average_fp", "--opt", "temperature=1"), "temperature"),
    ],
)
def test_wrong_options_are_explained(mfdsl: Any, arguments: tuple[str, ...], message: str) -> None:
    outcome = mfdsl("solve", *arguments, "--iterations", 1)
    assert outcome.code == 2, outcome.out
    assert message in outcome.err and "internal error" not in outcome.err


def test_experiments_of_tables_are_reproduced(mfdsl: Any) -> None:
    asked = ("reproduce", "mfax", "--only", "linear_quadratic", "--scale", "0.1", "-o", "found")
    outcome = mfdsl(*asked, "--json")
    assert outcome.code == 0, outcome.err
    (result,) = outcome.json["results"]
    assert result["iterations"] == 10 and result["measured"] == []
    assert 141.09 < result["exploitability"]["value"] < 1000  # of 2716 at the start


def test_the_seed_of_the_run_is_that_of_the_networks(mfdsl: Any) -> None:
    flags = [*flags_of("structural_pg", "sis"), "--iterations", 2, "--json"]
    one, other = (mfdsl("solve", *flags, "--seed", seed).json for seed in (0, 1))
    assert one["exploitability"] != other["exploitability"]
    given = mfdsl("solve", *flags, "--opt", "seed=1").json
    assert given["exploitability"] == other["exploitability"]
    refused = mfdsl("solve", *flags, "--seeds", 3)
    assert refused.code == 2 and "one seed at a time" in refused.err
